"""Hub: takes events from every thread of a build and hands them, in one thread, to a renderer."""

import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from builder.events import Event

INTERVAL = 0.1
"""Seconds between two ``tick`` calls: how often a live view is redrawn at most."""
PENDING = 256
"""Events that may wait. A terminal slower than the build's output slows the build down, as with any pipe."""


class Renderer(Protocol):
    """Called from one thread only. Writes to what it was made with and raises OSError when that fails."""

    def __call__(self, event: Event) -> None: ...

    def tick(self, now: float) -> None:
        """Some time has passed: ``now`` is on the clock of the events' ``at``."""

    def close(self) -> None:
        """Nothing more comes: writes what is left to write."""


class Hub:
    """A context manager; ``emit`` may be called inside it, from any thread.

    A renderer that fails is not called again, and ``on_failure`` is told at once, so that a build nobody can watch
    stops. ``failure`` keeps the error; leaving the context raises it unless another one is under way.
    """

    def __init__(self, renderer: Renderer, *, on_failure: Callable[[], None] = lambda: None) -> None:
        self._renderer: Renderer | None = renderer
        self._on_failure = on_failure
        self._queue: queue.Queue[Event | None] = queue.Queue(PENDING)
        self._thread = threading.Thread(target=self._drain, name="report", daemon=True)
        self._offset = 0.0
        self.failure: OSError | None = None

    def emit(self, event: Event) -> None:
        self._queue.put(event)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if self.failure is not None and error is None:
            raise self.failure

    def _drain(self) -> None:
        ticked = time.monotonic()
        while True:
            try:
                event = self._queue.get(timeout=INTERVAL)
            except queue.Empty:
                pass
            else:
                if event is None:
                    self._call(lambda renderer: renderer.close())
                    return
                self._take(event)
            now = time.monotonic()
            if now - ticked >= INTERVAL:
                ticked = now
                self._tick(now + self._offset)

    def _take(self, event: Event) -> None:
        self._offset = event.at - time.monotonic()
        self._call(lambda renderer: renderer(event))

    def _tick(self, now: float) -> None:
        self._call(lambda renderer: renderer.tick(now))

    def _call(self, work: Callable[[Renderer], None]) -> None:
        if self._renderer is None:
            return
        try:
            work(self._renderer)
        except OSError as error:
            self.failure = error
            self._renderer = None
            self._on_failure()
