"""Limits on the output of a step that is passed on: what is above them is cut, and a line says so. Pure.

Values and variables are those of BuildKit (reference 4.8): 2 MiB a step, and so many bytes a second on average, where
pybuild sets no limit unless asked. Errors show the end of a step's output all the same.
"""

from collections.abc import Mapping

from builder.events import Emit, Event, StepOutput
from layers.tuples import NamedTuple

SIZE_VARIABLE = "BUILDKIT_STEP_LOG_MAX_SIZE"
SPEED_VARIABLE = "BUILDKIT_STEP_LOG_MAX_SPEED"
DEFAULT_SIZE = 2 << 20
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


class Limits(NamedTuple):
    """Bytes of a step, and bytes a second since its first output; None for no limit."""

    size: int | None = DEFAULT_SIZE
    speed: int | None = None


def from_environment(environ: Mapping[str, str]) -> Limits:
    """-1 is no limit. Raises ValueError, with the variable's name, for what is no number."""
    return Limits(_limit(environ, SIZE_VARIABLE, DEFAULT_SIZE), _limit(environ, SPEED_VARIABLE, None))


def _limit(environ: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{name}={text} is no number of bytes") from None
    return value if value >= 0 else None


class _Step:
    def __init__(self, at: float) -> None:
        self.started = at
        self.passed = 0
        self.clipped = False


class Clipper:
    """Passes events on to ``emit``. Output of one step comes from one thread; steps may be many."""

    def __init__(self, emit: Emit, limits: Limits) -> None:
        self._emit = emit
        self._limits = limits
        self._steps: dict[int, _Step] = {}

    def __call__(self, event: Event) -> None:
        if not isinstance(event, StepOutput) or self._limits == (None, None):
            self._emit(event)
            return
        step = self._steps.setdefault(event.step, _Step(event.at))
        room, said = self._room(step, event.at)
        kept = event.data if room is None else event.data[:room]
        step.passed += len(kept)
        if kept:
            step.clipped = False
            self._emit(event._replace(data=kept))
        if len(kept) < len(event.data) and not step.clipped:
            step.clipped = True
            self._emit(event._replace(data=f"\n[output clipped, log limit {said} reached]\n".encode()))

    def _room(self, step: _Step, at: float) -> tuple[int | None, str]:
        """How many bytes more may pass at this moment, and the limit that says so."""
        size, speed = self._limits
        allowed = []
        if size is not None:
            allowed.append((max(size - step.passed, 0), size_text(size)))
        if speed is not None:
            whole_seconds = int(at - step.started) + 1
            allowed.append((max(speed * whole_seconds - step.passed, 0), f"{size_text(speed)}/s"))
        return min(allowed) if allowed else (None, "")


def size_text(size: int) -> str:
    """As BuildKit shows sizes: ``2MiB``."""
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (1, "B"))
    return f"{size / unit:.4g}{name}"
