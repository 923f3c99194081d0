"""Questions: exchanges with small answers, made with Python's own HTTP, which a build has imported in a fraction of
the 75 ms that requests takes. What only asks what names mean needs no more.

As ``registry.transport``: no retries, no redirects, no credentials of its own, and the same errors. No proxies
either, and only addresses that requests would send as they stand: ``askable`` tells which.
"""

import contextlib
import http.client
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from urllib.parse import urlsplit

from registry.broken import Kinds, translated
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, Where
from registry.messages import AGENT, DEFAULT_TIMEOUTS, Request, Timeouts, origin
from registry.proxies import Proxies
from registry.received import Received, sent_headers
from registry.tls import Contexts
from registry.watchdog import Watch, Watchdog

_NAME = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*"
_PLAIN = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2}"
_NOT_AS_IT_STANDS = r"/\.|%(?:2[DE]|5F|7E|3[0-9]|[46][1-9A-F]|[57][0-9A])"
"""Dots that may be resolved, and escapes of what needs none: requests would change them."""
_ADDRESS = re.compile(
    rf"(?!.*(?:{_NOT_AS_IT_STANDS}))https?://(?:{_NAME}|\[[0-9A-Fa-f:.]+\])(?::\d{{1,5}})?"
    rf"(?:/(?!/)(?:{_PLAIN})*)?(?:\?(?:{_PLAIN}|\?)*)?\Z"
)
_KINDS = Kinds(
    all=(http.client.HTTPException, OSError, ValueError),
    unusable=(http.client.InvalidURL, ValueError),
)

_Key = tuple[tuple[str, str, int], HostSettings]


def askable(url: str, proxies: Proxies) -> bool:
    """Whether ``Asker`` can ask there; ``Transport`` can always."""
    return _ADDRESS.match(url) is not None and not proxies.choose(*origin(url))


class Asker:
    """Asks any host directly; a connection is kept for the next question to it. Safe to use from many threads."""

    def __init__(
        self, *, timeouts: Timeouts = DEFAULT_TIMEOUTS, contexts: Contexts | None = None, agent: str = AGENT
    ) -> None:
        self._timeouts = timeouts
        self._contexts = contexts or Contexts()
        self._agent = agent
        self._dog = Watchdog(interval_s=min(0.25, timeouts.patience / 4))
        self._lock = threading.Lock()
        self._idle: dict[_Key, _Line] = {}
        self._retired = False

    def exchange(self, request: Request, settings: HostSettings) -> Received:
        """Sends it and returns as soon as the headers are there. Raises Unreachable, Untrusted, BadAnswer."""
        if _ADDRESS.match(request.url) is None:
            raise BadAnswer("not an address of a registry", where=Where(request.url))
        key = origin(request.url), settings
        watch = self._dog.watch(self._timeouts.patience)
        line: _Line | None = None
        try:
            line = self._taken(key) or self._made(key)
            answer = self._asked(line, request, watch, key)
        except BaseException as error:
            watch.close()
            if line is not None:
                line.close()
            if isinstance(error, _KINDS.all):
                raise translated(error, request.url, watch, _KINDS) from error
            raise
        if watch.expired:
            # http.client takes headers that break off for complete ones.
            answer.close()
            raise translated(TimeoutError(), request.url, watch, _KINDS)
        return answer

    def _asked(self, line: "_Line", request: Request, watch: Watch, key: _Key) -> "_Answer":
        watch.connection = line
        if line.sock is None:
            line.connect()
            line.reads_within(self._timeouts.read)
        # By itself: the line lets go of it when the answer is to be its last.
        watch.connection = SimpleNamespace(sock=line.sock)
        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            # Reading tells what became of it: a peer may have answered before it hung up.
            line.request(request.method, target, request.body, sent_headers(request, self._agent))
        return _Answer(line.getresponse(), request, watch, self._timeouts, partial(self._back, key, line))

    def _made(self, key: _Key) -> "_Line":
        (scheme, host, port), settings = key
        context = self._contexts.of(settings) if scheme == "https" else None
        return _Line(host, port, context, settings.dial_s or self._timeouts.connect)

    def _taken(self, key: _Key) -> "_Line | None":
        """One that is still open, and on which nothing came in that nobody asked for."""
        with self._lock:
            line = self._idle.pop(key, None)
        if line is None or _silent(line.sock):
            return line
        line.close()
        return None

    def _back(self, key: _Key, line: "_Line", good: bool) -> None:
        with self._lock:
            if good and not self._retired and key not in self._idle:
                self._idle[key] = line
                return
        line.close()

    def retire(self) -> None:
        """No connection is kept any longer; questions may still be asked."""
        with self._lock:
            self._retired = True
            idle = list(self._idle.values())
            self._idle.clear()
        for line in idle:
            line.close()

    def close(self) -> None:
        """Ends what is under way, too."""
        self._dog.close()
        self.retire()


class _Line(http.client.HTTPConnection):
    """A connection, over TLS with ``context``."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._context = context
        if context is not None:
            self.default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        # As bytes: a string would pass through the codec for foreign names, 2 ms of imports.
        host = self.host.encode("ascii")
        self.sock = socket.create_connection((host, self.port), self.timeout)  # type: ignore[arg-type]
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            # Known as ``sock`` before the handshake, which is to be ended from outside like all else.
            self.sock = self._context.wrap_socket(self.sock, server_hostname=host, do_handshake_on_connect=False)
            self.sock.do_handshake()

    def reads_within(self, seconds: float) -> None:
        assert self.sock is not None
        self.sock.settimeout(seconds)


class _Answer(Received):
    KINDS = _KINDS

    def __init__(
        self,
        found: http.client.HTTPResponse,
        request: Request,
        watch: Watch,
        timeouts: Timeouts,
        let_go: Callable[[bool], None],
    ) -> None:
        """``let_go`` is told whether the connection is as good as new."""
        super().__init__(found.status, _joined(found), request, watch, timeouts)
        self._found = found
        self._let_go = let_go
        self._released = False
        self._lasts = not found.will_close and found.status >= 200
        self._whole = request.method == "HEAD" or found.status < 200 or found.status in {204, 304}
        encoding = self.headers.get("transfer-encoding", "").lower()
        if "chunked" in [part.strip() for part in encoding.split(",")]:
            found.chunked, found.length = True, None
            found.chunk_left = None
        else:
            length = _length(self.headers.get("content-length", ""))
            if found.length is None:
                found.length = length
            self._whole = self._whole or found.length == 0

    def _pieces(self, size: int) -> Iterator[bytes]:
        count = 0
        # Not ``read``: it takes a length that is negative for none, and one that is huge at its word.
        while not self._whole and (data := self._found.read1(size)):
            left = self._found.chunk_left
            if isinstance(left, int) and left < 0:  # it is a text as long as nobody knows
                raise http.client.HTTPException("a chunk of negative size")
            count += len(data)
            yield data
        if not self._whole and self._found.length:
            raise http.client.HTTPException(f"IncompleteRead({count} bytes read, {self._found.length} more expected)")
        self._whole = True

    def _release(self) -> None:
        if self._released:
            return
        self._released = True
        self._found.close()
        self._let_go(self._whole and self._lasts and not self._watch.expired)


def _joined(found: http.client.HTTPResponse) -> dict[str, str]:
    """Headers by lower-case name, those of one name in one line, lines that go on likewise: as urllib3 has them."""
    joined: dict[str, str] = {}
    for name, value in found.headers.items():
        text = re.sub(r"\r\n[ \t]+", " ", value)
        before = joined.get(name.lower())
        joined[name.lower()] = text if before is None else f"{before}, {text}"
    return joined


def _length(text: str) -> int | None:
    """What Content-Length says, perhaps more than once; None if that is no length. Raises ValueError for several."""
    try:
        lengths = {int(word) for word in text.split(",")}
    except ValueError:
        return None
    if len(lengths) > 1:
        raise ValueError("several lengths")
    length = lengths.pop()
    return length if length >= 0 else None


def _silent(sock: socket.socket | None) -> bool:
    """Whether nothing is there to be read: neither an end nor an answer to no question."""
    if sock is None:
        return False
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return not poll.poll(0)
