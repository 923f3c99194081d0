"""What happens during a build, as values. Everything a person or a program sees of a build is drawn from these.

``at`` is seconds since the epoch (float), taken by whoever emits. ``step`` is a number of the plan's node.
``StepOutput.data`` is bytes as the process wrote them: decoding is the renderer's, incrementally.
"""

from collections.abc import Callable

from layers.tuples import NamedTuple


class StepInfo(NamedTuple):
    """One step as announced: ``title`` is the instruction as BuildKit prints it, ``[stage 2/5] RUN make``'s parts."""

    step: int
    title: str
    stage: str
    position: int
    """1-based place among the shown steps of its stage; 0 for steps outside of stages (contexts, bases)."""
    total: int
    first_line: int
    """Line in the Dockerfile, 0 when there is none."""


class PlanReady(NamedTuple):
    at: float
    steps: tuple[StepInfo, ...]
    target: int


class StepStarted(NamedTuple):
    at: float
    step: int


class StepCached(NamedTuple):
    """The step was not run: ``how`` is ``recipe`` or ``content`` (the kind of key that hit)."""

    at: float
    step: int
    how: str


class StepOutput(NamedTuple):
    at: float
    step: int
    stream: int
    """1 standard output, 2 standard error."""
    data: bytes


class StepFinished(NamedTuple):
    at: float
    step: int
    seconds: float


class StepFailed(NamedTuple):
    at: float
    step: int
    message: str
    seconds: float


class Transfer(NamedTuple):
    """Progress of moving or packing bytes. ``what`` names it (a digest, a layer, a file); ``total`` None if unknown."""

    at: float
    step: int | None
    what: str
    done: int
    total: int | None


class Phase(NamedTuple):
    """A part of the build began (``start`` True) or ended: ``resolve``, ``context``, ``unpack``, ``run``, ``pack``,
    ``output``...; ``detail`` names the thing. Kill tests and the benchmark read these."""

    at: float
    step: int | None
    name: str
    start: bool
    detail: str = ""


class Warned(NamedTuple):
    at: float
    step: int | None
    message: str
    first_line: int = 0


class BuildFinished(NamedTuple):
    at: float
    image_id: str
    manifest_digest: str | None
    names: tuple[str, ...]
    seconds: float
    cached: int
    total: int


Event = (
    PlanReady
    | StepStarted
    | StepCached
    | StepOutput
    | StepFinished
    | StepFailed
    | Transfer
    | Phase
    | Warned
    | BuildFinished
)
Emit = Callable[[Event], None]
