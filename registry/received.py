"""An answer as it comes in, and what goes with every request, whichever library carries them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from registry.broken import Kinds, translated
from registry.errors import too_large
from registry.messages import CHUNK, Request, Timeouts
from registry.watchdog import Watch


def sent_headers(request: Request, agent: str) -> dict[str, str]:
    """Bodies are wanted as they are stored: digests are of those bytes."""
    headers = {"User-Agent": agent, "Accept-Encoding": "identity", **request.headers}
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    return headers


class Received(ABC):
    """An answer whose body is still to be read, once. Close it, or use it as a context."""

    KINDS: Kinds

    def __init__(
        self, status: int, headers: Mapping[str, str], request: Request, watch: Watch, timeouts: Timeouts
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in headers.items()}
        self.url = request.url
        self._watch = watch
        self._timeouts = timeouts

    @abstractmethod
    def _pieces(self, size: int) -> Iterator[bytes]:
        """The body, in pieces of at most ``size`` bytes. Raises what KINDS names."""

    @abstractmethod
    def _release(self) -> None:
        """Gives the connection back, or closes it. Called again it does nothing."""

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """The body in pieces of at most ``size`` bytes. Raises Unreachable when it breaks off."""
        unseen = 0
        try:
            for data in self._pieces(size):
                unseen += len(data)
                if unseen >= self._timeouts.progress_bytes:
                    self._watch.moved()
                    unseen = 0
                yield data
            if self._watch.expired:
                # A body of no known length is taken to have ended where the watch ended it.
                raise TimeoutError
        except self.KINDS.all as error:
            raise translated(error, self.url, self._watch, self.KINDS) from error
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
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
