"""Ends connections on which too little happens: a peer that sends a byte now and then satisfies every timeout
of a single read, and would otherwise hold us for ever.
"""

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Watch:
    """One exchange: ended when ``patience_s`` pass without ``moved``. Reports ``expired`` afterwards."""

    def __init__(self, dog: "Watchdog", patience_s: float) -> None:
        self._dog = dog
        self.patience_s = patience_s
        self.deadline = dog.now() + patience_s
        self.expired = False
        self.connection: Any = None
        """Has the socket in use as ``sock`` (http.client); set once known."""

    def moved(self) -> None:
        self.deadline = self._dog.now() + self.patience_s

    def expire(self) -> None:
        self.expired = True
        found = getattr(self.connection, "sock", None)
        if isinstance(found, socket.socket):
            try:
                # The base class's method: that of SSLSocket would take the session from under a reading thread.
                socket.socket.shutdown(found, socket.SHUT_RDWR)
            except OSError:
                return  # closed by now: nothing waits for it any more

    def close(self) -> None:
        self._dog.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class Watchdog:
    """Looks at all watches from one thread, which sleeps while there are none."""

    def __init__(self, now: Callable[[], float] = time.monotonic, interval_s: float = 0.25) -> None:
        self.now = now
        self._interval_s = interval_s
        self._changed = threading.Condition()
        self._watches: set[Watch] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def watch(self, patience_s: float) -> Watch:
        made = Watch(self, patience_s)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="registry-watchdog", daemon=True)
                self._thread.start()
            self._watches.add(made)
            self._changed.notify()
        return made

    def forget(self, watch: Watch) -> None:
        with self._changed:
            self._watches.discard(watch)

    def close(self) -> None:
        """Ends what is still under way: there may be threads that read, and nobody who wants it."""
        with self._changed:
            self._closed = True
            for watch in self._watches:
                watch.expire()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self.now()
                for watch in [watch for watch in self._watches if watch.deadline < now]:
                    # Again at every look: the connection may have been made only now.
                    watch.expire()
                self._changed.wait(self._interval_s if self._watches else None)
