"""Which stages and images a target needs, triggers of bases included. Pure.

ONBUILD triggers of an image are known only with its config, and may name further images: ``reach`` is asked again
with the bases found so far until it misses none.
"""

from collections.abc import Mapping
from types import MappingProxyType

from builder.dockerfile.instructions import Copy, Instruction, Onbuild, Run
from builder.dockerfile.mounts import mount_from
from builder.dockerfile.parse import parse_trigger
from builder.errors import PlanError, Span
from builder.plan.stages import ImageRef, Ref, StageRef, Survey, copy_source, mount_sources
from layers.digest import Rootfs
from layers.image import ImageConfig
from layers.tuples import NamedTuple

TRIGGER_ESCAPE = "\\"
"""A trigger is parsed on its own, without the directives of any file."""


class Base(NamedTuple):
    """An image to build on. ``clamps``: per layer, the SOURCE_DATE_EPOCH its packing was clamped to. ``looked_up``:
    when a registry was asked what ``name`` means, in seconds since 1970; None when none was."""

    name: str
    config: ImageConfig
    rootfs: Rootfs
    clamps: tuple[int | None, ...]
    looked_up: float | None = None


Bases = Mapping[str, Base]
"""By ``ImageRef.key``."""


class Step(NamedTuple):
    """An instruction to carry out in a stage; ``source`` is what ``COPY --from`` names, ``mounts`` what each
    ``RUN --mount=from=`` does."""

    instruction: Instruction
    onbuild: bool = False
    source: Ref | None = None
    mounts: tuple[Ref | None, ...] = ()


class Reach(NamedTuple):
    """``stages``: the steps of each stage that is needed, in the order of the file (triggers of the base first).
    ``images``: what they stand on and copy from. ``unknown``: those of them that ``bases`` lacked."""

    stages: Mapping[int, tuple[Step, ...]]
    images: tuple[ImageRef, ...]
    unknown: tuple[ImageRef, ...]


def reach(found: Survey, bases: Bases) -> Reach:
    """Raises PlanError for what a needed stage cannot have, as a later stage to copy from."""
    stages: dict[int, tuple[Step, ...]] = {}
    images: dict[str, ImageRef] = {}
    todo = [found.target]
    while todo:
        number = todo.pop()
        if number in stages:
            continue
        stages[number] = _steps(found, number, bases)
        frame = found.frames[number]
        named = (source for step in stages[number] for source in (step.source, *step.mounts))
        for source in (frame.source, *named):
            if isinstance(source, ImageRef):
                images.setdefault(source.key, source)
            elif isinstance(source, StageRef):
                todo.append(source.number)
    return Reach(
        MappingProxyType(dict(sorted(stages.items()))),
        tuple(images.values()),
        tuple(ref for key, ref in images.items() if key not in bases),
    )


def _steps(found: Survey, number: int, bases: Bases) -> tuple[Step, ...]:
    frame = found.frames[number]
    if frame.replaced:
        return ()
    triggers = tuple(
        parse_trigger(text, frame.stage.base.span, TRIGGER_ESCAPE) for text in _trigger_texts(found, number, bases)
    )
    return (
        *(_step(found, number, instruction, onbuild=True) for instruction in triggers),
        *(_step(found, number, instruction, onbuild=False) for instruction in frame.stage.instructions),
    )


def _step(found: Survey, number: int, instruction: Instruction, *, onbuild: bool) -> Step:
    if isinstance(instruction, Run) and instruction.mounts:
        mounts = mount_sources(found, instruction)
        for source, value in zip(mounts, instruction.mounts, strict=True):
            what = f'mount from stage "{mount_from(value)}"'
            _refuse_later(found, number, source, what, (instruction.span, f"--mount={value}"))
        return Step(instruction, onbuild, mounts=mounts)
    if not isinstance(instruction, Copy) or not instruction.from_stage:
        return Step(instruction, onbuild)
    source = copy_source(found, number, instruction)
    where = (instruction.span, f"--from={instruction.from_stage}")
    _refuse_later(found, number, source, f'copy from stage "{instruction.from_stage}"', where)
    return Step(instruction, onbuild, source)


def _refuse_later(found: Survey, number: int, source: Ref | None, what: str, where: tuple[Span, str]) -> None:
    if isinstance(source, StageRef) and source.number >= number:
        here = found.frames[number].label or str(number)
        raise PlanError(
            f'cannot {what}, it needs to be defined before current stage "{here}"',
            span=where[0],
            hint="move that stage above this one",
            about=where[1],
        )


def _trigger_texts(found: Survey, number: int, bases: Bases) -> tuple[str, ...]:
    """Those of the image or stage it is built on; a stage hands on only what it wrote itself."""
    match found.frames[number].source:
        case StageRef(parent) if not found.frames[parent].replaced:
            return tuple(i.trigger for i in found.frames[parent].stage.instructions if isinstance(i, Onbuild))
        case ImageRef() as ref if ref.key in bases:
            return bases[ref.key].config.onbuild
        case _:
            return ()
