"""HTTP requests and answers as values, and what an exchange is: no library in sight. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from layers.tuples import NamedTuple
from registry.endpoints import HostSettings
from registry.errors import redact

CHUNK = 1 << 16
"""Bytes read at a time; of a piece that breaks off nothing is had."""


AGENT = "pybuild"
"""The User-Agent."""


class Timeouts(NamedTuple):
    """Seconds. ``connect`` covers the TLS handshake too; ``read`` is the longest silence; in any ``patience`` an
    exchange must end, or at least ``progress_bytes`` (either way) must move.
    """

    connect: float = 30.0
    read: float = 60.0
    patience: float = 90.0
    progress_bytes: int = 64 << 10


DEFAULT_TIMEOUTS = Timeouts()


class Body(Protocol):
    """A body of known length, read once."""

    def __len__(self) -> int: ...

    def read(self, size: int = ..., /) -> bytes: ...


class Request(NamedTuple):
    """``question``: its answer is small, and read whole at once. ``repr`` shows neither headers nor the query: they
    may be secret."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | Body | None = None
    question: bool = False

    def __repr__(self) -> str:
        return f"Request({self.method} {redact(self.url)}, hidden)"


class Response(Protocol):
    """An answer whose body is still to be read, once; names of ``headers`` in lower case. To be closed."""

    status: int
    headers: Mapping[str, str]
    url: str

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The body in pieces of at most ``size`` bytes. Raises Unreachable when it breaks off."""
        ...

    def read(self, limit: int, what: str = "an answer") -> bytes:
        """The whole body. Raises BadAnswer when it is longer than ``limit`` bytes."""
        ...

    def close(self) -> None: ...


Exchange = Callable[[Request, HostSettings], Response]
"""Sends one request and returns when the headers of its answer are there. Raises Unreachable, Untrusted, BadAnswer."""


class Answer(NamedTuple):
    """An answer with its whole body; ``url`` is where it came from after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: credentials stay within one. Raises ValueError for what has no usable port."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
