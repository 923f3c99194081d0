"""One HTTP exchange: the only importer of requests, which callers import lazily with this module.

No retries, no redirects, no credentials of its own: ``registry.client`` decides on those. What a connection does
wrong becomes an error of ``registry.errors`` here.
"""

import contextlib
import errno
import functools
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from registry.endpoints import HostSettings
from registry.errors import (
    BadAnswer,
    NotTls,
    RegistryError,
    SettingsError,
    Unreachable,
    Untrusted,
    Where,
    printable,
    too_large,
)
from registry.messages import CHUNK, DEFAULT_TIMEOUTS, Request, Timeouts
from registry.proxies import Proxies
from registry.watchdog import Watch, Watchdog


class Response:
    """An answer whose body is still to be read, once. Close it, or use it as a context."""

    def __init__(self, found: requests.Response, request: Request, watch: Watch, timeouts: Timeouts) -> None:
        self.status = found.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in found.headers.items()}
        self.url = request.url
        self._found = found
        self._watch = watch
        self._timeouts = timeouts
        # Digests are of the bytes as sent: a Content-Encoding is not for us to undo, nor a bomb for us to set off.
        with contextlib.suppress(KeyError):
            del found.raw.headers["Content-Encoding"]

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The body in pieces of at most ``size`` bytes. Raises Unreachable when it breaks off."""
        unseen = 0
        try:
            for data in self._found.iter_content(size):
                unseen += len(data)
                if unseen >= self._timeouts.progress_bytes:
                    self._watch.moved()
                    unseen = 0
                yield data
        except (requests.RequestException, OSError) as error:
            raise _translated(error, self.url, self._watch) from error
        finally:
            self._watch.close()

    def read(self, limit: int, what: str = "an answer") -> bytes:
        """The whole body. Raises BadAnswer when it is longer than ``limit`` bytes."""
        found = bytearray()
        for data in self.chunks():
            found += data
            if len(found) > limit:
                self.close()
                raise too_large(urlsplit(self.url).netloc, what, limit, self.url)
        self.close()
        return bytes(found)

    def close(self) -> None:
        self._watch.close()
        self._found.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


_local = threading.local()


@functools.cache
def _watched(kind: type) -> type:
    """The connection class with its sockets known to the watch of the thread that uses them."""

    def connect(self: Any) -> None:
        _local.watch.connection = self
        kind.connect(self)  # type: ignore[attr-defined]  # a connection class of urllib3, known at run time only

    def request(self: Any, *arguments: Any, **more: Any) -> None:
        _local.watch.connection = self
        kind.request(self, *arguments, **more)  # type: ignore[attr-defined]  # as above

    return type(f"Watched{kind.__name__}", (kind,), {"connect": connect, "request": request})


class _Adapter(HTTPAdapter):
    """With one TLS context for all, made by us: requests would add certifi's authorities to the system's. Plain HTTP
    does without: reading the system's authorities takes 25 ms, a quarter of a build that asks for its base again."""

    def __init__(self, settings: HostSettings, connections: int, *, plain: bool) -> None:
        self._settings = settings
        self._context = None if plain else _context(settings)
        super().__init__(pool_connections=4, pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, blocksize=CHUNK, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        # It may be reached by TLS itself.
        return super().proxy_manager_for(proxy, ssl_context=self._context or _context(self._settings), **more)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        parts = urlsplit(request.url)
        return {"scheme": parts.scheme, "host": parts.hostname, "port": parts.port}, {}

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Mapping[str, str] | None = None, cert: Any = None
    ) -> Any:
        pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
        if not pool.ConnectionCls.__name__.startswith("Watched"):
            pool.ConnectionCls = _watched(pool.ConnectionCls)
        return pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to add: the context says it all."""


class Transport:
    """Connections to any host, kept open between exchanges; safe to use from many threads."""

    def __init__(
        self, proxies: Proxies, *, timeouts: Timeouts = DEFAULT_TIMEOUTS, connections: int = 4, agent: str = "pybuild"
    ) -> None:
        self._proxies = proxies
        self._timeouts = timeouts
        self._connections = connections
        self._agent = agent
        self._dog = Watchdog(interval_s=min(0.25, timeouts.patience / 4))
        self._lock = threading.Lock()
        self._adapters: dict[tuple[bool, str, HostSettings], _Adapter] = {}

    def exchange(self, request: Request, settings: HostSettings) -> Response:
        """Sends it and returns as soon as the headers are there. Raises Unreachable, Untrusted, BadAnswer."""
        parts = urlsplit(request.url)
        host = parts.hostname
        if parts.scheme not in {"http", "https"} or not host:
            raise BadAnswer("not an address of a registry", where=Where(request.url))
        adapter = self._adapter(parts.scheme == "http", parts.netloc, settings)
        proxy = self._proxies.choose(parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))
        watch = self._dog.watch(self._timeouts.patience)
        _local.watch = watch
        try:
            found = adapter.send(
                self._prepared(request, watch),
                stream=True,
                timeout=(settings.dial_s or self._timeouts.connect, self._timeouts.read),
                verify=True,
                proxies={parts.scheme: proxy} if proxy else {},
            )
        except (requests.RequestException, OSError, UnicodeError) as error:
            watch.close()
            raise _translated(error, request.url, watch, proxy) from error
        except BaseException:
            watch.close()
            raise
        response = Response(found, request, watch, self._timeouts)
        if watch.expired:
            # http.client takes headers that break off for complete ones.
            response.close()
            raise _translated(TimeoutError(), request.url, watch)
        return response

    def close(self) -> None:
        self._dog.close()
        for adapter in self._adapters.values():
            adapter.close()

    def _prepared(self, request: Request, watch: Watch) -> requests.PreparedRequest:
        made = requests.PreparedRequest()
        made.prepare_method(request.method)
        made.prepare_url(request.url, None)
        made.prepare_headers({"User-Agent": self._agent, "Accept-Encoding": "identity", **request.headers})
        if request.body is not None:
            made.headers["Content-Length"] = str(len(request.body))
            length_known = isinstance(request.body, bytes)
            body: Any = request.body if length_known else _Sent(request.body, watch, self._timeouts.progress_bytes)
            made.body = body
        return made

    def _adapter(self, plain: bool, netloc: str, settings: HostSettings) -> _Adapter:
        key = plain, netloc, settings
        with self._lock:
            if key not in self._adapters:
                self._adapters[key] = _Adapter(settings, self._connections, plain=plain)
            return self._adapters[key]


class _Sent:
    """A body that tells the watch how it moves."""

    def __init__(self, body: Any, watch: Watch, progress_bytes: int) -> None:
        self._body = body
        self._watch = watch
        self._progress_bytes = progress_bytes
        self._unseen = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._body.read(size)
        self._unseen += len(data)
        if self._unseen >= self._progress_bytes:
            self._watch.moved()
            self._unseen = 0
        return data


def _context(settings: HostSettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    for path in settings.ca:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"cannot use the authority in {path}: {error.strerror or error}") from error
    if settings.client is not None:
        try:
            context.load_cert_chain(*settings.client)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"cannot use the client certificate {settings.client[0]}: {error}") from error
    if settings.insecure or settings.unverified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        # Asked for in the settings: no need to be told at every request.
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")
    return context


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all it wraps; urllib3 and requests use arguments and ``reason`` for that.

    Not ``__context__``: that leads on to errors that were being handled when this exchange began.
    """
    queue: list[Any] = [error]
    seen: set[int] = set()
    while queue:
        found = queue.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            queue += [*found.args, getattr(found, "reason", None), found.__cause__]


def _translated(error: BaseException, url: str, watch: Watch, proxy: str = "") -> RegistryError:
    host = urlsplit(url).netloc.rpartition("@")[2]
    where = Where(url)
    causes = tuple(_causes(error))
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if watch.expired:
        return _unreachable(host, "too little came in too long a time", where)
    if any(isinstance(cause, requests.exceptions.ProxyError) for cause in causes):
        place = urlsplit(proxy).netloc.rpartition("@")[2]
        return Unreachable(
            f"cannot reach {host} through the proxy {place}: {_reason(causes)}",
            hint=f"check HTTPS_PROXY and HTTP_PROXY, or add {host} to NO_PROXY",
            where=where,
            temporary=True,
        )
    if tls is not None:
        return _tls_error(tls, host, where)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidHeader | UnicodeError):
        return BadAnswer(f"{host} is not a host that can be asked", where=where)
    unknown = next((cause for cause in causes if isinstance(cause, socket.gaierror)), None)
    if unknown is not None:
        temporary = unknown.errno == socket.EAI_AGAIN
        return Unreachable(
            f"cannot reach {host}: no address is known for that name",
            hint="check the spelling of the host, and the network",
            where=where,
            temporary=temporary,
        )
    return _unreachable(host, _reason(causes), where)


def _unreachable(host: str, reason: str, where: Where) -> Unreachable:
    hint = f"check that {host} is the right host and port, and that the network reaches it"
    return Unreachable(f"cannot reach {host}: {reason}", hint=hint, where=where, temporary=True)


def _reason(causes: tuple[BaseException, ...]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.errno in errno.errorcode:
            return (cause.strerror or errno.errorcode[cause.errno]).lower()
    if any(isinstance(cause, TimeoutError | requests.Timeout) for cause in causes):
        return "no answer in time"
    return f"the connection broke ({printable(str(causes[-1])) or type(causes[-1]).__name__})"


def _tls_error(error: ssl.SSLError, host: str, where: Where) -> RegistryError:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Untrusted(
            f"the certificate of {host} is not trusted: {printable(error.verify_message or reason)}",
            hint=f"put the certificate of its authority at /etc/docker/certs.d/{host}/ca.crt, or name it as 'ca' of "
            f'[registry."{host}"] in config.toml',
            where=where,
        )
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"}:
        return NotTls(
            f"{host} does not speak TLS",
            hint=f'if it is meant to be plain HTTP, say http = true in [registry."{host}"] of config.toml',
            where=where,
        )
    if "CERTIFICATE" in reason:
        return Untrusted(
            f"{host} wants a client certificate: {printable(reason.lower().replace('_', ' '))}",
            hint=f"put it at /etc/docker/certs.d/{host}/client.cert, its key at client.key beside it",
            where=where,
        )
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        # So ends the handshake of TLS 1.3 too, when what follows it tells that a certificate is missing.
        return Unreachable(
            f"cannot reach {host}: it broke off TLS",
            hint=f"check that {host} is the right host and port, and whether it wants a client certificate: those are "
            f"at /etc/docker/certs.d/{host}/client.cert, their key at client.key beside it",
            where=where,
            temporary=True,
        )
    return _unreachable(host, f"TLS failed ({printable(reason or str(error)).lower()})", where)
