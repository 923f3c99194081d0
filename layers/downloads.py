"""Downloads of blobs into a store: several at once, each once however many wait for it."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from layers.blobs import Progress
from layers.digest import BlobDigest
from layers.errors import StoreError
from layers.pullrecords import Origin
from layers.tuples import NamedTuple

CONNECTIONS = 4
"""Downloads at once: as many as BuildKit and Docker have to one registry."""
_TELL_EVERY = 1 << 20
_POLL_S = 0.2
_PATIENCE_S = 2.0
"""How long transfers that are given up may take to notice."""

Fetch = Callable[[BlobDigest, int, Sequence[Origin], Progress, threading.Event], None]
"""Puts the blob of that many bytes, which one of the origins has, into the store; raises when it cannot. Tells of bytes
as they come, of negative numbers when some were in vain; ends soon, by raising, once the event is set."""

Listener = Callable[[BlobDigest, int, int], None]
"""Told of a blob on its way: its digest, how many of its bytes are there, and how many it has. From any thread."""


class Download:
    """One blob on its way."""

    def __init__(self, digest: BlobDigest, size: int) -> None:
        self.result: Future[None] = Future()
        self.digest = digest
        self._size = size
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._done = 0
        self._told = 0

    def join(self, listener: Listener | None) -> None:
        """From now on ``listener`` is told of it."""
        if listener is None:
            return
        with self._lock:
            if listener not in self._listeners:
                self._listeners.append(listener)
                listener(self.digest, self._done, self._size)

    def moved(self, count: int) -> None:
        with self._lock:
            self._done += count
            if abs(self._done - self._told) >= _TELL_EVERY:
                self._tell()

    def came(self) -> None:
        """All of it is there. Told before anybody can see it: who finds it there need not wait for us."""
        with self._lock:
            self._done = self._size
            self._tell()

    def end(self, error: BaseException | None) -> None:
        """Wakes who waits."""
        if error is None:
            self.result.set_result(None)
        else:
            self.result.set_exception(error)

    def _tell(self) -> None:
        self._told = self._done
        for listener in self._listeners:
            listener(self.digest, self._done, self._size)


class _Job(NamedTuple):
    download: Download
    digest: BlobDigest
    size: int
    origins: Sequence[Origin]


class Downloads:
    """Thread-safe. ``finished`` is called, in the download's thread, with each blob that came; ``has`` says which are
    there.

    The threads are daemons: one that hangs in a read must not keep a process from ending.
    """

    def __init__(
        self,
        fetch: Fetch,
        finished: Callable[[BlobDigest], None],
        has: Callable[[BlobDigest], bool],
        stop: threading.Event,
    ) -> None:
        self._fetch = fetch
        self._has = has
        self._finished = finished
        self._stop = stop
        self._lock = threading.Lock()
        self._running: dict[BlobDigest, Download] = {}
        self._waiting: deque[_Job] = deque()
        self._threads: set[threading.Thread] = set()

    def begin(
        self, digest: BlobDigest, size: int, origins: Sequence[Origin], listener: Listener | None
    ) -> Download | None:
        """None when it is there: also one that came after the caller had looked."""
        with self._lock:
            download = self._running.get(digest)
            if download is None and self._has(digest):
                return None
            if download is None:
                self._check(digest)
                download = self._running[digest] = Download(digest, size)
                self._waiting.append(_Job(download, digest, size, origins))
                if len(self._threads) < CONNECTIONS:
                    thread = threading.Thread(target=self._work, name="pybuild-fetch", daemon=True)
                    self._threads.add(thread)
                    thread.start()
        download.join(listener)
        return download

    def wait(self, download: Download) -> None:
        """Until it has ended. Raises what it failed with."""
        while True:
            try:
                return download.result.result(_POLL_S)
            except TimeoutError:
                if download.result.done():
                    raise
                self._check(download.digest)

    def _check(self, digest: BlobDigest) -> None:
        if self._stop.is_set():
            raise StoreError(f"the transfer of blob {digest} was given up")

    def _work(self) -> None:
        while (job := self._next()) is not None:
            error: BaseException | None = None
            try:
                self._check(job.digest)
                self._fetch(job.digest, job.size, job.origins, job.download.moved, self._stop)
                job.download.came()
                self._finished(job.digest)
            except BaseException as caught:
                error = caught
            with self._lock:
                del self._running[job.digest]
            job.download.end(error)

    def _next(self) -> _Job | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def close(self) -> None:
        """Whoever still waits gets an error. What does not end soon is left to itself."""
        self._stop.set()
        deadline = time.monotonic() + _PATIENCE_S
        with self._lock:
            threads = tuple(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
