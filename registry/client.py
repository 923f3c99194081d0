"""A conversation with one registry: who we are, trying again, redirects, plain HTTP where it is allowed.

Credentials go to the registry itself, and to the token service it names if ``auth.trusted_realm`` allows; never
along a redirect to another host, and over plain HTTP only to loopback or where the settings ask for it.
"""

import threading
from collections.abc import Callable, Mapping
from urllib.parse import urljoin, urlsplit

from layers.tuples import NamedTuple
from registry.auth import Credential, TokenAnswer, TokenRequest, trusted_realm
from registry.authorizer import Authorizer
from registry.endpoints import HostSettings, combined
from registry.errors import (
    Action,
    BadAnswer,
    NotTls,
    RegistryError,
    Unreachable,
    Untrusted,
    Where,
    of_answer,
    printable,
)
from registry.messages import Answer, Body, Exchange, Request, Response, origin
from registry.pace import DEFAULT_PACE, Pace, repeated
from registry.proxies import is_loopback

MAX_SMALL = 1 << 20
"""Bytes of an answer that is neither a manifest nor a blob."""
_MAX_REDIRECTS = 5
_MAX_ROUNDS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Want(NamedTuple):
    """A request to be made. ``path`` begins with ``/v2/`` or is an address on this registry; ``ok`` are the statuses
    that are no error; ``once``: it must not be repeated when nobody knows whether it was done.
    """

    action: Action
    method: str
    path: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    body: bytes | Callable[[], Body] | None = None
    ok: frozenset[int] = frozenset({200})
    once: bool = False


class Network(NamedTuple):
    """What all clients of a process share."""

    exchange: Exchange
    settings: Callable[[str], HostSettings]
    pace: Pace = DEFAULT_PACE


class Client:
    """One registry. Safe to use from many threads."""

    def __init__(
        self,
        host: str,
        settings: HostSettings,
        network: Network,
        lookup: Callable[[], Credential | None],
        name: str = "",
    ) -> None:
        self.name = name or host
        """The host as people write it."""
        try:
            origin(f"https://{host}")
        except ValueError as error:
            raise Unreachable(f"{printable(host)} is no host: {error}", hint="check its port") from None
        self._host = host
        self._settings = settings
        self._network = network
        self._authorizer = Authorizer(self.name, lookup, self._ask_token, network.pace.clock.now)
        self._lock = threading.Lock()
        self._base: str | None = None

    @property
    def base(self) -> str:
        """``https://host``, or ``http://host``: found out by the first use, without credentials."""
        with self._lock:
            if self._base is None:
                self._base = self._find_base()
            return self._base

    def renew(self) -> None:
        """The next request asks for the credential and a token again."""
        self._authorizer.renew()

    def ask(self, want: Want, *, question: bool = False) -> Response:
        """The answer, its body unread, if its status is one of ``want.ok``. Raises RegistryError."""
        url = want.path if "://" in want.path else self.base + want.path
        for _ in range(_MAX_ROUNDS):
            grant = self._authorizer.grant(want.scopes)
            response = self._send(want, url, grant.header, question=question)
            foreign = origin(response.url) != origin(url)
            if response.status != 401 or foreign:
                break
            body = _close_with(response)
            if not self._authorizer.refused(grant, want.scopes, response.headers.get("www-authenticate", "")):
                raise self._failure(want, 401, body, url)
        else:
            raise self._failure(want, 401, b"", url)
        self._authorizer.accepted(grant)
        if response.status in want.ok:
            return response
        body = _close_with(response)
        if foreign:
            raise _foreign_failure(self.name, response)
        raise self._failure(want, response.status, body, url)

    def ask_all(self, want: Want, limit: int = MAX_SMALL, what: str = "an answer") -> Answer:
        """As ``ask``, with the whole body. Breaking off in the middle counts as a failed attempt."""
        clock, patience = self._network.pace.clock, self._network.pace.patience
        for attempt in range(patience.attempts):
            response = self.ask(want, question=want.method in {"GET", "HEAD"})
            try:
                return Answer(response.status, response.headers, response.read(limit, what), response.url)
            except Unreachable:
                if want.once or attempt + 1 == patience.attempts:
                    raise
            finally:
                response.close()
            clock.sleep(patience.wait(attempt, clock.jitter()))
        raise AssertionError("the last attempt returns or raises")

    def login(self) -> Credential | None:
        """Proves the credential to the registry; returns what to keep in its stead: a refresh token, if one came."""
        want = Want(Action("log in to", self.name), "GET", "/v2/")
        if self.base and self._authorizer.grant((), offline=True).header is None:
            self.ask_all(want)
            return None
        self.ask_all(want)
        token = self._authorizer.refresh_token()
        return Credential(identity_token=token) if token else None

    def _failure(self, want: Want, status: int, body: bytes, url: str) -> RegistryError:
        return of_answer(want.action, status, body, url, known=self._authorizer.known)

    def _find_base(self) -> str:
        secure = f"https://{self._host}"
        if self._settings.http:
            return self._ping(f"http://{self._host}")
        plain_allowed = self._settings.insecure or is_loopback(urlsplit(secure).hostname or "")
        try:
            if plain_allowed:
                self._knock(secure)
            return self._ping(secure, patient=not plain_allowed)
        except (NotTls, Unreachable) as error:
            if not plain_allowed:
                raise
            try:
                return self._ping(f"http://{self._host}", patient=isinstance(error, NotTls))
            except RegistryError as plain:
                raise (plain if isinstance(error, NotTls) else error) from None

    def _knock(self, base: str) -> None:
        """Raises NotTls, or Unreachable, where asking in earnest would: to be ready to verify takes 25 ms, in which
        authorities are read that plain HTTP does not need. Nothing is sent that is secret, nothing heard is believed.
        """
        if self._settings.insecure or self._settings.unverified:
            return  # as little is read for asking in earnest
        try:
            request = Request("GET", f"{base}/v2/", question=True)
            self._network.exchange(request, HostSettings(unverified=True, dial_s=self._settings.dial_s)).close()
        except NotTls:
            raise
        except Unreachable:
            if self._settings.client is None:
                raise
            # It may be our certificate that it waits for.
        except RegistryError:
            return

    def _ping(self, base: str, *, patient: bool = True) -> str:
        want = Want(Action("reach", self.name), "GET", "/v2/", once=not patient)
        response = self._send(want, f"{base}/v2/", None, question=True)
        _close_with(response)
        if response.status == 401 and origin(response.url) == origin(base):
            self._authorizer.learn(response.headers.get("www-authenticate", ""))
        return base

    def _send(self, want: Want, url: str, authorization: str | None, *, question: bool) -> Response:
        headers = dict(want.headers)
        if authorization is not None:
            headers["Authorization"] = authorization

        def send() -> Response:
            body = want.body() if callable(want.body) else want.body
            return self._follow(Request(want.method, url, headers, body, question), self._settings)

        return self._repeated(send, once=want.once)

    def _repeated(self, send: Callable[[], Response], *, once: bool = False) -> Response:
        return repeated(self._network.pace, send, once=once)

    def _follow(self, request: Request, settings: HostSettings) -> Response:
        """Follows redirects of what only reads; the Authorization header stays with its origin."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._network.exchange(request, settings)
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or location is None or request.method not in {"GET", "HEAD"}:
                return response
            response.close()
            target = checked_target(self.name, request.url, location)
            if origin(target) != origin(request.url):
                kept = {name: value for name, value in request.headers.items() if name != "Authorization"}
                request = request._replace(headers=kept)
                settings = self._network.settings(urlsplit(target).netloc)
                self._check_plain(target, settings)
            request = request._replace(url=target)
        raise BadAnswer(
            f"{self.name} redirects in a circle, or more than {_MAX_REDIRECTS} times", where=Where(request.url)
        )

    def _check_plain(self, url: str, settings: HostSettings) -> None:
        """Raises Untrusted when ``url`` is plain HTTP and nothing allows it."""
        parts = urlsplit(url)
        if parts.scheme == "https" or is_loopback(parts.hostname or "") or settings.http or settings.insecure:
            return
        raise Untrusted(
            f"{self.name} sends us on to {parts.netloc} over plain HTTP",
            hint=f'if that is meant, say http = true in [registry."{parts.netloc}"] of config.toml',
            where=Where(url),
        )

    def _ask_token(self, wanted: TokenRequest) -> TokenAnswer:
        realm = checked_target(self.name, self._base or f"https://{self._host}", wanted.url)
        host = urlsplit(realm).netloc
        same = urlsplit(realm).hostname == urlsplit(f"//{self._host}").hostname
        own = self._network.settings(host)
        settings = combined(own, self._settings if same else HostSettings(ca=self._settings.ca))
        self._check_plain(realm, settings)
        if wanted.secret and not trusted_realm(self._host, realm, self._settings.token_hosts):
            raise Untrusted(
                f"{self.name} asks for its password to be sent to another host, {printable(host)}",
                hint=f'if that is its token service, say token-hosts = ["{urlsplit(realm).hostname}"] in '
                f'[registry."{self.name}"] of config.toml',
                where=Where(realm),
            )
        request = Request(wanted.method, realm, dict(wanted.headers), wanted.body, question=True)
        response = self._repeated(lambda: self._follow(request, settings))
        try:
            return TokenAnswer(response.status, response.read(MAX_SMALL, "a token"))
        finally:
            response.close()


def checked_target(name: str, base: str, location: str) -> str:
    """The address a server refers us to, absolute. Raises BadAnswer for one that cannot be asked."""
    try:
        target = urljoin(base, location)
        parts = urlsplit(target)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and not parts.password
        origin(target)
    except ValueError:
        usable, target = False, ""
    if not usable:
        raise BadAnswer(f"{name} refers us to an address that cannot be used", where=Where(target))
    return target


def _close_with(response: Response) -> bytes:
    """What an error says, as far as it can be read: the error itself matters more."""
    try:
        return response.read(64 << 10, "an error")
    except RegistryError:
        return b""
    finally:
        response.close()


def _foreign_failure(name: str, response: Response) -> RegistryError:
    host = urlsplit(response.url).netloc
    return BadAnswer(
        f"{name} sent us on to {printable(host)}, which answered {response.status}",
        hint="the registry's storage has trouble: try again later",
        where=Where(response.url, response.status),
        temporary=response.status >= 500 or response.status == 403,
    )
