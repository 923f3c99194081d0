"""A Dockerfile, its bases and a request become a Plan: the one place where instructions get their meaning. Pure.

What each instruction does to the config, the history text it leaves and the layers it makes are those of BuildKit
(frontend/dockerfile/dockerfile2llb), so that tools which read histories find what they know.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import assert_never

from builder.dockerfile.instructions import Add, Arg, Copy, Dockerfile, Env, Run, Workdir
from builder.errors import PlanError, Span
from builder.plan import lower_config, stage_state, titles
from builder.plan.arguments import unused
from builder.plan.graph import CopyOp, ImageOp, LocalOp, NodeId, Plan, ScratchOp, WorkdirOp
from builder.plan.lower_copy import copy
from builder.plan.lower_run import run
from builder.plan.nodes import NodeTable, Shown
from builder.plan.reach import Bases, Reach, Step, reach
from builder.plan.scope import Scope
from builder.plan.stage_state import StageState, absolute
from builder.plan.stages import ImageRef, LocalRef, Ref, ScratchRef, StageRef, Survey, bare, survey
from builder.request import BuildRequest
from layers import gotime
from layers.image import History, ImageConfig


def lower(dockerfile: Dockerfile, bases: Bases, request: BuildRequest) -> Plan:
    """``bases`` as ``bases.resolve`` gives them. Raises PlanError and Unsupported with their place in the file."""
    found = survey(dockerfile, request)
    reached = reach(found, bases)
    for ref in reached.unknown:
        raise PlanError(f"{ref.name}: not resolved", span=ref.span)
    lowering = _Lowering(found, reached, bases, NodeTable(use_cache=not request.no_cache))
    for number, steps in reached.stages.items():
        lowering.stage(number, steps)
    state = lowering.states[found.target]
    names = unused(found.arguments.given, found.arguments.globals, _declared(dockerfile, reached))
    unread = [(f'build argument "{name}" is not used: no ARG declares it', None) for name in names]
    stages = {
        name
        for number, stage in enumerate(dockerfile.stages)
        for name in ((stage.name or "").lower(), f"stage-{number}")
    }
    unread += [
        (f"--no-cache-filter {name}: there is no such stage", None)
        for name in request.no_cache_filter
        if name not in stages
    ]
    return Plan(
        nodes=MappingProxyType(lowering.table.nodes),
        target=state.node,
        layers=tuple(node for _, node in state.history if node is not None),
        base=lowering.table.chain(state.node)[0],
        config=_finished(state.finished(), request),
        history=_dated(state, found.arguments.epoch),
        warnings=(*dockerfile.warnings, *lowering.warnings, *unread),
        epoch=found.arguments.epoch,
        bare=bare(found),
    )


class _Lowering:
    """Takes the stages one after the other: what a stage stands on and copies from is always above it."""

    def __init__(self, found: Survey, reached: Reach, bases: Bases, table: NodeTable) -> None:
        self.found = found
        self.stood_on = _stood_on(found, reached)
        self.bases = bases
        self.table = table
        self.states: dict[int, StageState] = {}
        self.warnings: dict[tuple[str, Span | None], None] = {}

    def stage(self, number: int, steps: tuple[Step, ...]) -> None:
        frame = self.found.frames[number]
        total = sum(isinstance(step.instruction, Run | Copy | Add | Workdir) for step in steps)
        is_shown = isinstance(frame.source, ImageRef | LocalRef)
        again = bool(self.found.again.intersection(((frame.stage.name or "").lower(), f"stage-{number}")))
        scope = Scope(self.found, self.table, self._node, frame.label, total + is_shown, self._warn, again)
        state = self._begin(number, scope)
        if state is None:
            return
        for step in steps:
            state = apply(state, step, scope.triggered(step.onbuild))
        self.states[number] = state

    def _begin(self, number: int, scope: Scope) -> StageState | None:
        """None for a directory that is only copied from: it need not be a layer."""
        frame = self.found.frames[number]
        match frame.source:
            case StageRef(parent):
                return stage_state.from_stage(self.states[parent])
            case ScratchRef():
                return stage_state.scratch(self._node(frame.source), self.found.platform)
            case LocalRef(name):
                return self._from_directory(name, scope, frame.stage.base.span) if number in self.stood_on else None
            case ImageRef() as ref:
                span = frame.stage.base.span
                node = self._image(ref, Shown(self._title(ref), scope.stage, 1, scope.total, span))
                self._check_platform(ref)
                return stage_state.from_image(node, self.bases[ref.key].config)._replace(position=1)
            case _:
                assert_never(frame.source)

    def _from_directory(self, name: str, scope: Scope, span: Span) -> StageState:
        """A context as a base: its files are a layer that no instruction made, as BuildKit writes it."""
        below, source = self._node(ScratchRef()), self._node(LocalRef(name))
        op = CopyOp((".",), "/", None, None, keep_owner=name in self.found.owned)
        node = self.table.add(op, (below, source), Shown(f"FROM {name}", scope.stage, 1, scope.total, span))
        state = stage_state.scratch(node, self.found.platform)._replace(position=1)
        line = History(created_by=f"local source for {name}", comment=stage_state.UNEXPLAINED)
        return state._replace(history=state.history.plus((line, node)))

    def _node(self, ref: Ref) -> NodeId:
        match ref:
            case StageRef(number):
                source = self.found.frames[number].source
                return self.states[number].node if number in self.states else self._node(source)
            case ScratchRef():
                return self.table.add(ScratchOp(), (), Shown("FROM scratch"))
            case LocalRef(name):
                return self.table.add(LocalOp(name), (), Shown(f"load build context {name}"))
            case ImageRef():
                return self._image(ref, Shown(self._title(ref), span=ref.span))
            case _:
                assert_never(ref)

    def _title(self, ref: ImageRef) -> str:
        return f"FROM {self.bases[ref.key].name}"

    def _image(self, ref: ImageRef, shown: Shown) -> NodeId:
        base = self.bases[ref.key]
        op = ImageOp(base.name, base.config.diff_ids, base.rootfs, base.clamps, base.looked_up)
        return self.table.add(op, (), shown)

    def _check_platform(self, ref: ImageRef) -> None:
        there = self.bases[ref.key].config.platform.normalized()
        if (there.os, there.architecture) != (ref.platform.os, ref.platform.architecture):
            self._warn(f"base image {ref.name} is for {there}, expected {ref.platform}", ref.span)

    def _warn(self, message: str, span: Span) -> None:
        self.warnings[message, span] = None


def _stood_on(found: Survey, reached: Reach) -> frozenset[int]:
    """Stages that are more than a source of COPY: their own steps, other stages or the image stand on them."""
    frames = [found.frames[number] for number in reached.stages]
    parents = (frame.source.number for frame in frames if isinstance(frame.source, StageRef))
    return frozenset((found.target, *parents, *(frame.stage.number for frame in frames if not frame.replaced)))


def apply(state: StageState, step: Step, scope: Scope) -> StageState:
    """``state`` after one instruction."""
    match step.instruction:
        case Run() as instruction:
            return run(state, instruction, step.mounts, scope)
        case Copy() | Add() as instruction:
            return copy(state, instruction, step.source, scope)
        case Workdir() as instruction:
            return workdir(state, instruction, scope)
        case Arg() | Env() as instruction:
            return lower_config.variables(state, instruction, scope)
        case instruction if isinstance(instruction, lower_config.Process):
            return lower_config.process(state, instruction, scope)
        case instruction:
            return lower_config.data(state, instruction, scope)


def workdir(state: StageState, instruction: Workdir, scope: Scope) -> StageState:
    """An absolute path is kept as written, an empty one is the current directory. Every path but the root makes a
    layer, whether it exists or not."""
    expander = scope.expander(state, instruction)
    path = expander.word(instruction.path) or state.config.workdir or "/"
    if not path.startswith("/"):
        path = absolute(state.workdir, path)
    state = state._replace(config=state.config._replace(workdir=path))
    text = f"WORKDIR {path}"
    if path == "/":
        return state.noted(text)
    op = WorkdirOp(absolute("/", path), state.config.user, scope.found.arguments.epoch)
    state, node = scope.step(state, op, (), titles.expanded(instruction.text, expander), instruction)
    return state.noted(text, node)


def _finished(config: ImageConfig, request: BuildRequest) -> ImageConfig:
    """``--label``s come last and win; they leave no history."""
    labels = dict(config.labels) | dict(request.labels)
    return config._replace(labels=tuple(labels.items()), platform=config.platform.normalized())


def _dated(state: StageState, epoch: int | None) -> tuple[tuple[History, NodeId | None], ...]:
    created = None if epoch is None else gotime.from_seconds(epoch)
    return tuple((entry._replace(created=created), node) for entry, node in state.history)


def _declared(dockerfile: Dockerfile, reached: Reach) -> Mapping[str, None]:
    """Names of all ARGs of the file, and of those in triggers."""
    written = [*dockerfile.global_args, *(i for stage in dockerfile.stages for i in stage.instructions)]
    triggered = [step.instruction for steps in reached.stages.values() for step in steps]
    return {name: None for i in (*written, *triggered) if isinstance(i, Arg) for name, _ in i.items}
