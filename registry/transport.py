"""One HTTP exchange: the only importer of requests, which callers import lazily with this module.

No retries, no redirects, no credentials of its own: ``registry.client`` decides on those. What a connection does
wrong becomes an error of ``registry.errors`` here.
"""

import contextlib
import functools
import http.client
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter, LocationValueError  # type: ignore[attr-defined]  # urllib3's

from registry.broken import Kinds, translated
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, Where
from registry.messages import AGENT, CHUNK, DEFAULT_TIMEOUTS, Request, Timeouts
from registry.proxies import Proxies
from registry.received import Received, sent_headers
from registry.tls import Contexts
from registry.watchdog import Watch, Watchdog

_KINDS = Kinds(
    all=(requests.RequestException, OSError, UnicodeError, LocationValueError),
    unusable=(
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidHeader,
        UnicodeError,
        LocationValueError,
    ),
    timeout=(requests.Timeout,),
    proxy=(requests.exceptions.ProxyError,),
)


class Response(Received):
    """What requests found."""

    KINDS = _KINDS

    def __init__(self, found: requests.Response, request: Request, watch: Watch, timeouts: Timeouts) -> None:
        super().__init__(found.status_code, found.headers, request, watch, timeouts)
        self._found = found
        # Digests are of the bytes as sent: a Content-Encoding is not for us to undo, nor a bomb for us to set off.
        with contextlib.suppress(KeyError):
            del found.raw.headers["Content-Encoding"]
        _refuse_negative_chunks(found.raw)

    def _pieces(self, size: int) -> Iterator[bytes]:
        yield from self._found.iter_content(size)

    def _release(self) -> None:
        self._found.close()


def _refuse_negative_chunks(raw: Any) -> None:
    """To urllib3 a chunk of -1 bytes is all there is, read at once."""
    update = raw._update_chunk_length

    def checked() -> None:
        update()
        if (raw.chunk_left or 0) < 0:
            raise http.client.HTTPException("a chunk of negative size")

    raw._update_chunk_length = checked


_local = threading.local()


@functools.cache
def _watched(kind: type) -> type:
    """The connection class with its sockets known to the watch of the thread that uses them."""

    def hold(self: Any) -> None:
        if self.sock is not None:
            # By itself: the connection lets go of it when an answer is to be its last.
            _local.watch.connection = SimpleNamespace(sock=self.sock)

    def opened(self: Any) -> Any:
        sock = kind._new_conn(self)  # type: ignore[attr-defined]  # a connection class of urllib3, known at run time only
        # TLS takes it over, and gives out its own only after the handshake: a second one of the same connection.
        self.handshaking = sock.dup()
        _local.watch.connection = SimpleNamespace(sock=self.handshaking)
        return sock

    def connect(self: Any) -> None:
        self.handshaking = None
        try:
            kind.connect(self)  # type: ignore[attr-defined]  # as above
            hold(self)
        finally:
            if self.handshaking is not None:
                self.handshaking.close()

    def request(self: Any, *arguments: Any, **more: Any) -> None:
        hold(self)
        kind.request(self, *arguments, **more)  # type: ignore[attr-defined]  # as above

    return type(f"Watched{kind.__name__}", (kind,), {"_new_conn": opened, "connect": connect, "request": request})


class _Adapter(HTTPAdapter):
    """With one TLS context for all, made by us: requests would add certifi's authorities to the system's. Plain HTTP
    does without."""

    def __init__(self, settings: HostSettings, contexts: Contexts, connections: int, *, plain: bool) -> None:
        self._settings = settings
        self._contexts = contexts
        self._context = None if plain else contexts.of(settings)
        if settings.insecure or settings.unverified:
            # Asked for in the settings: no need to be told at every request.
            warnings.filterwarnings("ignore", message="Unverified HTTPS request")
        super().__init__(pool_connections=4, pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, blocksize=CHUNK, **more)

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        # It may be reached by TLS itself.
        return super().proxy_manager_for(proxy, ssl_context=self._contexts.of(self._settings), **more)

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
        self,
        proxies: Proxies,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        contexts: Contexts | None = None,
        connections: int = 4,
        agent: str = AGENT,
    ) -> None:
        self._proxies = proxies
        self._contexts = contexts or Contexts()
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
        except _KINDS.all as error:
            watch.close()
            raise translated(error, request.url, watch, _KINDS, proxy) from error
        except BaseException:
            watch.close()
            raise
        response = Response(found, request, watch, self._timeouts)
        if watch.expired:
            # http.client takes headers that break off for complete ones.
            response.close()
            raise translated(TimeoutError(), request.url, watch, _KINDS)
        return response

    def close(self) -> None:
        self._dog.close()
        for adapter in self._adapters.values():
            adapter.close()

    def _prepared(self, request: Request, watch: Watch) -> requests.PreparedRequest:
        made = requests.PreparedRequest()
        made.prepare_method(request.method)
        made.prepare_url(request.url, None)
        made.prepare_headers(sent_headers(request, self._agent))
        if request.body is not None:
            length_known = isinstance(request.body, bytes)
            body: Any = request.body if length_known else _Sent(request.body, watch, self._timeouts.progress_bytes)
            made.body = body
        return made

    def _adapter(self, plain: bool, netloc: str, settings: HostSettings) -> _Adapter:
        key = plain, netloc, settings
        with self._lock:
            if key not in self._adapters:
                self._adapters[key] = _Adapter(settings, self._contexts, self._connections, plain=plain)
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
