"""Names in a Dockerfile and what they stand for: stages, images, contexts. Nothing is resolved beyond names. Pure."""

import itertools
from collections.abc import Iterator, Mapping

from builder.dockerfile.instructions import Copy, Dockerfile, Run, Stage
from builder.dockerfile.mounts import mount_from
from builder.errors import PlanError, Span, Unsupported
from builder.grants import Grants
from builder.plan.arguments import Arguments, arguments
from builder.plan.expand import Expander
from builder.plan.graph import BareFiles
from builder.request import BuildRequest, NamedContext
from builder.runflags import NO_RUN_FLAGS, RunFlags
from layers.errors import PybuildError
from layers.image import Platform
from layers.tuples import NamedTuple
from registry.reference import Reference

SCRATCH = "scratch"
MAIN = "context"
"""Name of the build context's LocalOp; named contexts have their own."""


_IMAGE_HINT = "write [host[:port]/]name[:tag][@digest] in small letters; is a variable unset?"


def _name_hint(name: str) -> str | None:
    if "://" in name:
        return f"leave out {name.partition('://')[0]}://"
    if name.startswith((":", "/", "@")) or name.endswith((":", "/", "@")) or "//" in name:
        return "is a variable unset? FROM sees only ARGs above the first FROM, and those given with --build-arg"
    return None


class StageRef(NamedTuple):
    number: int


class ScratchRef(NamedTuple):
    """The empty root filesystem. ``name`` is what it is called."""

    name: str = SCRATCH


class LocalRef(NamedTuple):
    """A named context that is a directory. ``directory`` is its name in the request."""

    directory: str


class ImageRef(NamedTuple):
    """An image by its name as written, or by a named context."""

    name: str
    platform: Platform
    context: NamedContext | None
    span: Span

    def full_name(self) -> str:
        """``docker.io/library/debian:12``. Raises PlanError."""
        try:
            return str(Reference.parse(self.name).tagged())
        except PybuildError as error:
            raise PlanError(
                f"failed to parse stage name {error}",
                span=self.span,
                hint=_name_hint(self.name) or error.hint or _IMAGE_HINT,
                about=self.name,
            ) from error

    @property
    def key(self) -> str:
        """Names of the same image have the same key. Raises PlanError."""
        return f"{f'context:{self.context.name}' if self.context else self.full_name()} {self.platform}"


Ref = StageRef | ScratchRef | LocalRef | ImageRef


class Frame(NamedTuple):
    """A stage with its FROM line resolved. ``replaced``: a named context stands for the whole stage."""

    stage: Stage
    source: Ref
    label: str
    """As progress shows it; "" for the only stage of a file."""
    replaced: bool = False


class Survey(NamedTuple):
    frames: tuple[Frame, ...]
    target: int
    arguments: Arguments
    contexts: Mapping[str, NamedContext]
    platform: Platform
    escape: str
    owned: frozenset[str] = frozenset()
    """Contexts whose files keep their owners."""
    grants: Grants = Grants()
    run_flags: RunFlags = NO_RUN_FLAGS
    seccomp: bool = True
    again: frozenset[str] = frozenset()
    """Names of stages whose steps are run again, in lower case."""


def survey(dockerfile: Dockerfile, request: BuildRequest) -> Survey:
    """Resolves every FROM line to a name. Raises PlanError for names that are empty, platforms and targets unknown."""
    values = arguments(dockerfile, request)
    contexts = _contexts(request)
    frames: list[Frame] = []
    names: dict[str, int] = {}
    for stage in dockerfile.stages:
        expander = Expander(values.globals, dockerfile.escape, stage.base.span)
        base = expander.word(stage.base.image)
        if not base:
            raise PlanError(
                f"base name ({stage.base.image}) should not be blank",
                span=stage.base.span,
                hint="FROM sees only ARGs above the first FROM: give one there a default, or set it with --build-arg",
                about=stage.base.image,
            )
        platform = _stage_platform(stage, expander, request.platform) or request.platform
        label = "" if len(dockerfile.stages) == 1 else stage.name or f"stage-{stage.number}"
        replacement = _context(contexts, stage.name, platform) if stage.name else None
        if replacement is not None:
            source = _context_ref(replacement, base, platform, stage.base.span, names)
        elif base in names:
            source = StageRef(names[base])
        else:
            source = _outside(contexts, base, platform, stage.base.span, names)
        frames.append(Frame(stage, source, label, replacement is not None))
        if stage.name:
            names[stage.name.lower()] = stage.number
    found = Survey(
        tuple(frames),
        _target(request.target, names, frames),
        values,
        contexts,
        request.platform,
        dockerfile.escape,
        _owned(request),
        request.grants,
        request.run_flags,
        request.seccomp,
        frozenset(request.no_cache_filter),
    )
    _refuse_cycles(found)
    return found


def bare(found: Survey) -> BareFiles | None:
    """The directory in the place of the stage that the target stands on."""
    frame = found.frames[found.target]
    while isinstance(frame.source, StageRef) and not frame.replaced:
        frame = found.frames[frame.source.number]
    if not frame.replaced or not isinstance(frame.source, LocalRef):
        return None
    return BareFiles(frame.stage.name or "", frame.stage.base.span)


def copy_source(found: Survey, number: int, copy: Copy) -> Ref:
    """What ``COPY --from`` in stage ``number`` names: the last stage of that name, a stage by number, or an image."""
    name = copy.from_stage or ""
    if name.lstrip("+-").isdecimal():
        if not 0 <= int(name) < len(found.frames):
            hint = f"stages are counted from 0; this is stage {number} of {len(found.frames)}"
            raise PlanError(f"invalid stage index {int(name)}", span=copy.span, hint=hint, about=f"--from={name}")
        return StageRef(int(name))
    return _named(found, name, copy.span)


def mount_sources(found: Survey, run: Run) -> tuple[Ref | None, ...]:
    """What ``from`` of each ``--mount`` names: as ``--from``, but a number is no stage. None where there is none."""
    names = (mount_from(value) for value in run.mounts)
    return tuple(_named(found, name, run.span) if name else None for name in names)


def _named(found: Survey, name: str, span: Span) -> Ref:
    """The last stage of that name, or what is outside of the file."""
    for frame in reversed(found.frames):
        if frame.stage.name == name.lower():
            return StageRef(frame.stage.number)
    names = {frame.stage.name: frame.stage.number for frame in found.frames if frame.stage.name}
    return _outside(found.contexts, name, found.platform, span, names)


def suggestion(name: str, known: list[str]) -> str | None:
    import difflib  # for error messages only

    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else None


def _owned(request: BuildRequest) -> frozenset[str]:
    fetched = frozenset(context.name for context in request.build_contexts if context.kind == "remote")
    return fetched | {MAIN} if request.unpacked else fetched


def _outside(
    contexts: Mapping[str, NamedContext], name: str, platform: Platform, span: Span, stages: Mapping[str, int]
) -> Ref:
    """What is no stage of this file. No named context can replace scratch."""
    if name == SCRATCH:
        return ScratchRef()
    context = _context(contexts, name, platform)
    if context is None:
        return ImageRef(name, platform, None, span)
    return _context_ref(context, name, platform, span, stages)


def _contexts(request: BuildRequest) -> dict[str, NamedContext]:
    if any(context.name == MAIN for context in request.build_contexts):
        raise Unsupported(
            f"a named context cannot be called {MAIN}: that is the main one", hint="choose another name for it"
        )
    return {_context_key(context.name): context for context in request.build_contexts}


def _context(contexts: Mapping[str, NamedContext], name: str, platform: Platform) -> NamedContext | None:
    key = _context_key(name)
    return contexts.get(f"{key}::{platform}") or contexts.get(key)


def _context_ref(context: NamedContext, name: str, platform: Platform, span: Span, stages: Mapping[str, int]) -> Ref:
    """``stages``: those that a context may stand for, by name."""
    match context.kind:
        case "local" | "remote":
            return LocalRef(context.name)
        case "scratch":
            return ScratchRef()
        case "target":
            if context.path.lower() in stages:
                return StageRef(stages[context.path.lower()])
            raise PlanError(
                f"--build-context {context.name}=target:{context.path}: there is no such stage above this line",
                span=span,
                hint=suggestion(context.path, list(stages)) or "it names a stage of the same Dockerfile",
            )
        case _:
            return ImageRef(name, platform, context, span)


def _context_key(name: str) -> str:
    """Contexts and the names they stand for are compared in their familiar form without ``:latest``."""
    plain, separator, platform = name.partition("::")
    try:
        plain = Reference.parse(plain).familiar.removesuffix(":latest")
    except PybuildError:
        plain = plain.lower()  # no image name, so it can only be a stage's
    return plain + separator + platform


def _stage_platform(stage: Stage, expander: Expander, own: Platform) -> Platform | None:
    text = stage.base.platform
    if not text:
        return None
    value = expander.word(text)
    if not value:
        raise PlanError(
            f"empty platform value from expression {text}",
            span=stage.base.span,
            hint="FROM sees only ARGs above the first FROM and the automatic ones, like TARGETPLATFORM",
            about=f"--platform={text}",
        )
    try:
        return Platform.parse(value, own)
    except ValueError as error:
        raise PlanError(
            f"failed to parse platform {text}: {value} is none",
            span=stage.base.span,
            hint="write os/architecture: linux/amd64, or linux/arm/v7",
            about=f"--platform={text}",
        ) from error


def _target(wanted: str | None, names: Mapping[str, int], frames: list[Frame]) -> int:
    if not wanted:
        return len(frames) - 1
    if wanted.lower() in names:
        return names[wanted.lower()]
    hint = suggestion(wanted, list(names)) or (
        f"the stages are {', '.join(names)}" if names else "no stage has a name: write FROM image AS name"
    )
    raise PlanError(f'target stage "{wanted}" could not be found', hint=hint)


def _refuse_cycles(found: Survey) -> None:
    """A stage that needs itself is an error even where nothing needs it; triggers are checked when they are known."""
    left = {number: _needs(found, number) for number in range(len(found.frames))}
    while free := [number for number, needs in left.items() if not needs & left.keys()]:
        for number in free:
            del left[number]
    if not left:
        return
    number = min(left)
    seen: list[int] = []
    while number not in seen:  # every stage left needs one that is left, so this ends on a cycle
        seen.append(number)
        number = min(left[number] & left.keys())
    raise _circle(found, [*seen[seen.index(number) :], number])


def _circle(found: Survey, numbers: list[int]) -> PlanError:
    """``numbers``: stages that need each other, the first at the end again."""
    names = [found.frames[number].stage.name or str(number) for number in numbers]
    span, about = next((span, about) for number, span, about in _uses(found, numbers[0]) if number == numbers[1])
    if len(numbers) == 2:
        hint = "a stage can neither copy from itself nor mount itself: name another stage, or an image"
    else:
        hint = (
            f"{', '.join(f'{name} needs {other}' for name, other in itertools.pairwise(names))}: take one of them out"
        )
    return PlanError(f"circular dependency detected on stage: {names[0]}", span=span, hint=hint, about=about)


def _needs(found: Survey, number: int) -> set[int]:
    return {needed for needed, _, _ in _uses(found, number)}


def _uses(found: Survey, number: int) -> Iterator[tuple[int, Span, str]]:
    """The stages that a stage names: the number of each, and where it is named."""
    frame = found.frames[number]
    base = frame.stage.base
    uses: list[tuple[Ref | None, Span, str]] = [(frame.source, base.span, base.image)]
    for instruction in () if frame.replaced else frame.stage.instructions:
        if isinstance(instruction, Copy) and instruction.from_stage:
            source = copy_source(found, number, instruction)
            uses.append((source, instruction.span, f"--from={instruction.from_stage}"))
        elif isinstance(instruction, Run):
            values = zip(mount_sources(found, instruction), instruction.mounts, strict=True)
            uses += [(source, instruction.span, f"--mount={value}") for source, value in values]
    for ref, _, _ in uses:
        if isinstance(ref, ImageRef) and ref.context is None:
            ref.full_name()  # a name that cannot be one is an error even where nothing needs it
    return ((ref.number, span, about) for ref, span, about in uses if isinstance(ref, StageRef))
