"""Files from any HTTP server: redirects and new attempts as for registries, but no credential of theirs.

The Authorization header a caller gives goes to the origin of the address alone. Of the settings of a host only its
authorities count.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from registry.client import Network, checked_target
from registry.endpoints import HostSettings
from registry.errors import RegistryError, Unreachable, Where, printable, redact
from registry.messages import Request, Response, origin
from registry.pace import repeated

T = TypeVar("T")

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
"""As Go's HTTP client, which BuildKit uses."""
NOT_MODIFIED = 304


class DownloadFailed(RegistryError):
    """A server that does not give the file it was asked for."""

    code = "download"


def download(network: Network, url: str, headers: Mapping[str, str], take: Callable[[Response], T]) -> T:
    """What ``take`` makes of the answer to a GET: a success, or 304. It is called again, with a new answer, when it
    raises Unreachable because the body broke off.

    Raises RegistryError.
    """
    clock, patience = network.pace.clock, network.pace.patience
    attempt = 0
    while True:
        response = repeated(network.pace, lambda: _follow(network, Request("GET", url, headers)))
        try:
            if response.status // 100 != 2 and response.status != NOT_MODIFIED:
                raise _failed(url, response)
            return take(response)
        except Unreachable:
            if attempt + 1 >= patience.attempts:
                raise
        finally:
            response.close()
        clock.sleep(patience.wait(attempt, clock.jitter()))
        attempt += 1


def _follow(network: Network, request: Request) -> Response:
    for _ in range(_MAX_REDIRECTS + 1):
        host = urlsplit(request.url).netloc
        response = network.exchange(request, HostSettings(ca=network.settings(host).ca))
        location = response.headers.get("location")
        if response.status not in _REDIRECTS or location is None:
            return response
        response.close()
        target = checked_target(host, request.url, location)
        if origin(target) != origin(request.url):
            kept = {name: value for name, value in request.headers.items() if name != "Authorization"}
            request = request._replace(headers=kept)
        request = request._replace(url=target)
    raise DownloadFailed(
        f"{redact(request.url)}: redirected more than {_MAX_REDIRECTS} times", where=Where(request.url)
    )


def _failed(url: str, response: Response) -> DownloadFailed:
    where, status = Where(response.url, response.status), response.status
    moved = "" if origin(response.url) == origin(url) else f" (it sent us on to {printable(redact(response.url))})"
    hints = {
        401: "it wants a credential: give one with --secret id=HTTP_AUTH_TOKEN_HOST, or HTTP_AUTH_HEADER_HOST",
        403: "check that the file is public; a credential is given with --secret id=HTTP_AUTH_TOKEN_HOST",
        404: "check the address",
    }
    hint = hints.get(status, "the server has trouble of its own: try again later" if status >= 500 else None)
    return DownloadFailed(
        f"{redact(url)}: the server answered {status}{moved}", hint=hint, where=where, temporary=status >= 500
    )
