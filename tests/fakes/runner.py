"""A runner that starts nothing: commands are looked up by their text, and what they would do is done to the upper."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from builder.sandbox.spec import Outcome, SandboxSpec

DONE = Outcome(0, None, None, 0.0)


def exits(code: int) -> Outcome:
    return DONE._replace(exit_code=code)


def _nothing() -> None:
    """What most commands do besides."""


class Script(NamedTuple):
    """What a command does: ``meanwhile`` is called while it "runs", then ``files`` (path to bytes) are written."""

    files: Mapping[str, bytes] = {}
    output: tuple[tuple[int, bytes], ...] = ()
    outcome: Outcome = DONE
    meanwhile: Callable[[], object] = _nothing


class FakeRunner:
    """A ``Runner``. ``scripts``: by the last word of the command; what is not there succeeds and changes nothing."""

    def __init__(self, scripts: Mapping[str, Script] | None = None) -> None:
        self.scripts = dict(scripts or {})
        self.specs: list[SandboxSpec] = []
        """In the order the commands were started."""
        self.most = 0
        """Commands that ran at once."""
        self.cancelled = threading.Event()
        self.closed = False
        self._running = 0
        self._lock = threading.Lock()

    pid = None

    @property
    def commands(self) -> list[str]:
        return [spec.args[-1] for spec in self.specs]

    def run(self, spec: SandboxSpec, output: Callable[[int, bytes], None]) -> Outcome:
        with self._lock:
            self.specs.append(spec)
            self._running += 1
            self.most = max(self.most, self._running)
        try:
            script = self.scripts.get(spec.args[-1], Script())
            script.meanwhile()
            for stream, data in script.output:
                output(stream, data)
            for name, content in script.files.items():
                path = Path(spec.root.upper, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return script.outcome
        finally:
            with self._lock:
                self._running -= 1

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.closed = True
