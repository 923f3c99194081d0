"""Downloads of blobs into a store: several at once, each once however many wait for it."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from layers.blobs import Progress
from layers.digest import BlobDigest
from layers.errors import StoreError
from layers.pullrecords import Origin

CONNECTIONS = 4
"""Downloads at once: as many as BuildKit and Docker have to one registry."""
_TELL_EVERY = 1 << 20

Fetch = Callable[[BlobDigest, int, Sequence[Origin], Progress, threading.Event], None]
"""Puts the blob of that many bytes, which one of the origins has, into the store; raises when it cannot. Tells of bytes
as they come, of negative numbers when some were in vain; ends soon, by raising, once the event is set."""

Listener = Callable[[BlobDigest, int, int], None]
"""Told of a blob on its way: its digest, how many of its bytes are there, and how many it has. From any thread."""


class Download:
    """One blob on its way."""

    def __init__(self, digest: BlobDigest, size: int) -> None:
        self.result: Future[None] = Future()
        self._digest = digest
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
            if listener in self._listeners:
                return
            self._listeners.append(listener)
            done = self._done
        listener(self._digest, done, self._size)

    def moved(self, count: int) -> None:
        with self._lock:
            self._done += count
            if abs(self._done - self._told) < _TELL_EVERY:
                return
            self._told = self._done
        self._tell(self._done)

    def end(self, error: BaseException | None) -> None:
        """Wakes who waits. Listeners hear of all bytes, or of none."""
        self._tell(self._size if error is None else 0)
        if error is None:
            self.result.set_result(None)
        else:
            self.result.set_exception(error)

    def _tell(self, done: int) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(self._digest, done, self._size)


class Downloads:
    """Thread-safe. ``finished`` is called, in the download's thread, with each blob that came."""

    def __init__(self, fetch: Fetch, finished: Callable[[BlobDigest], None], stop: threading.Event) -> None:
        self._fetch = fetch
        self._finished = finished
        self._stop = stop
        self._lock = threading.Lock()
        self._running: dict[BlobDigest, Download] = {}
        self._pool = ThreadPoolExecutor(CONNECTIONS, "pybuild-fetch")

    def begin(self, digest: BlobDigest, size: int, origins: Sequence[Origin], listener: Listener | None) -> Download:
        with self._lock:
            download = self._running.get(digest)
            if download is None:
                if self._stop.is_set():
                    raise StoreError(f"blob {digest} is not fetched: the store is being closed")
                download = self._running[digest] = Download(digest, size)
                self._pool.submit(self._work, download, digest, size, origins)
        download.join(listener)
        return download

    def _work(self, download: Download, digest: BlobDigest, size: int, origins: Sequence[Origin]) -> None:
        error: BaseException | None = None
        try:
            self._fetch(digest, size, origins, download.moved, self._stop)
            self._finished(digest)
        except BaseException as caught:
            error = caught
        with self._lock:
            del self._running[digest]
        download.end(error)

    def close(self) -> None:
        """Whoever still waits gets an error."""
        self._stop.set()
        self._pool.shutdown()
