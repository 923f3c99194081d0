"""The shapes of threads that bytes go through: a bounded queue to one consumer or from one producer, and a map that
keeps the order.

What runs in them are hashes, compressors and system calls, which let go of the interpreter's lock for large buffers.
"""

import contextlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Self

Data = bytes | memoryview


class Pipe:
    """One thread that calls ``consume`` with each piece given to ``put``, in order; at most ``depth`` pieces wait.

    An error in the thread is raised by the next ``put`` or by ``close``. Whoever made a Pipe ends it: with ``close``,
    which waits for the last piece, or with ``cancel``, which drops what waits.
    """

    def __init__(self, consume: Callable[[Data], object], *, depth: int = 8) -> None:
        self._consume = consume
        self._queue: queue.Queue[Data | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, name="pybuild-pipe", daemon=True)
        self._thread.start()

    def put(self, data: Data) -> None:
        self._check()
        self._queue.put(data)

    def close(self) -> None:
        self._stop()
        self._check()

    def cancel(self) -> None:
        self._cancelled = True
        self._stop()

    def _stop(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """After an error goes on emptying the queue, so that the producer never waits for ever."""
        while (data := self._queue.get()) is not None:
            if self._error is None and not self._cancelled:
                try:
                    self._consume(data)
                except BaseException as error:
                    self._error = error


class ReadAhead:
    """``read`` of another source, called by a thread that is at most ``depth`` pieces of ``size`` bytes ahead.

    What the source raises is raised by the read that would have got those bytes. Whoever made one ends it with
    ``close``, after which the source is not read any more. Context manager.
    """

    def __init__(self, read: Callable[[int], bytes], *, size: int = 1 << 20, depth: int = 8) -> None:
        self._source = read
        self._size = size
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(depth)
        self._piece = b""
        self._at = 0
        self._ended = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="pybuild-ahead", daemon=True)
        self._thread.start()

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; b"" at the end."""
        if self._at >= len(self._piece) and not self._next():
            return b""
        start, self._at = self._at, self._at + size
        if start == 0 and size >= len(self._piece):
            return self._piece
        return self._piece[start : self._at]

    def drain(self) -> None:
        """Reads what is left: the source has then been read to its end."""
        while self._next():
            pass

    def close(self) -> None:
        self._closing = True
        while self._thread.is_alive():
            # The thread may wait for room; what it brings is not wanted any more.
            with contextlib.suppress(queue.Empty):
                self._queue.get_nowait()
            self._thread.join(0.001)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> bool:
        if self._ended:
            return False
        found = self._queue.get()
        if isinstance(found, BaseException):
            self._ended = True
            raise found
        self._piece, self._at, self._ended = found, 0, not found
        return not self._ended

    def _run(self) -> None:
        piece = None
        while piece != b"" and not self._closing:
            try:
                piece = self._source(self._size)
            except BaseException as error:
                self._queue.put(error)
                return
            self._queue.put(piece)


class _Task:
    __slots__ = ("data", "done", "error", "result")

    def __init__(self, data: tuple[object, ...]) -> None:
        self.data = data
        self.done = threading.Event()
        self.result = b""
        self.error: BaseException | None = None


def processors() -> int:
    return len(os.sched_getaffinity(0))


class OrderedMap:
    """Calls ``work(*data)`` in several threads and ``emit`` (in the caller's) with the results, in the order given.

    Holds at most ``workers + 2`` pieces. Errors of a worker are raised when its result is due.
    """

    def __init__(
        self, work: Callable[..., bytes], emit: Callable[[bytes], object], *, workers: int | None = None
    ) -> None:
        self._work = work
        self._emit = emit
        self._workers = max(1, min(workers or processors(), 8))
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._pending: deque[_Task] = deque()
        self._threads: list[threading.Thread] = []

    def put(self, *data: object) -> None:
        """Starts its threads as they are first needed: most layers are smaller than one piece."""
        if len(self._threads) < self._workers and len(self._pending) >= len(self._threads):
            thread = threading.Thread(target=self._run, name="pybuild-map", daemon=True)
            thread.start()
            self._threads.append(thread)
        task = _Task(data)
        self._pending.append(task)
        self._tasks.put(task)
        while self._pending and (len(self._pending) > self._workers + 2 or self._pending[0].done.is_set()):
            self._collect()

    def close(self) -> None:
        """Emits what is still due and ends the threads, also when that fails."""
        try:
            while self._pending:
                self._collect()
        finally:
            self.cancel()

    def cancel(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._pending.clear()

    def _collect(self) -> None:
        task = self._pending.popleft()
        task.done.wait()
        if task.error is not None:
            raise task.error
        self._emit(task.result)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task.result = self._work(*task.data)
            except BaseException as error:
                task.error = error
            task.done.set()
