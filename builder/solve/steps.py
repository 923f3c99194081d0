"""How each kind of step is done, once it is known that it must be: the table from Op to work.

A step function gets the step's inputs ready-made and returns the layer it made. It records nothing: the scheduler does.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import assert_never

from builder.errors import BuildError, PlanError, Span, StepFailed
from builder.events import Phase, StepOutput, Warned
from builder.plan.context import Context
from builder.plan.graph import AddOp, CopyOp, ImageOp, LocalOp, MergeOp, Node, RunOp, ScratchOp, WorkdirOp
from builder.plan.select import Selection
from builder.plan.select_mounts import MountSelection
from builder.solve.copy import copy_items
from builder.solve.mounted import NOTHING, Mounted
from builder.solve.placing import can_find, unknown_owners
from builder.solve.run import Surroundings, run_step
from builder.solve.stepcontext import StepContext
from builder.solve.unchanged import changed
from builder.solve.workdir import workdir_entries
from layers.digest import LayerId, Rootfs
from layers.errors import PybuildError, SourceChanged, advice
from layers.listed import Item, expanded
from layers.stretches import MANY
from layers.tree import Tree
from layers.tuples import NamedTuple


class Phased:
    """Reports the begin and end of a part of the work."""

    def __init__(self, context: StepContext, node: Node, name: str) -> None:
        self._context = context
        self._node = node
        self._name = name

    def __enter__(self) -> None:
        self._context.emit(Phase(self._context.clock(), self._node.id, self._name, True))

    def __exit__(self, *_: object) -> None:
        self._context.emit(Phase(self._context.clock(), self._node.id, self._name, False))


class StepInput(NamedTuple):
    rootfs: Rootfs
    selection: Selection | MountSelection | None
    """The files that COPY and ADD take, and that RUN mounts."""
    as_directory: bool = False
    """The layer is wanted as a directory alone: other steps read it, and no image has it."""
    read: bool = False
    """Other steps read it, and an image may have it."""


def execute(node: Node, given: StepInput, context: StepContext) -> LayerId:
    """Does one step. Raises BuildError, with the node's span."""
    with placed(node):
        match node.op:
            case RunOp():
                return _run(node, node.op, given, context)
            case CopyOp() | AddOp():
                return _copy(node, node.op, given, context)
            case WorkdirOp():
                return _workdir(node, node.op, given, context)
            case ImageOp() | ScratchOp() | LocalOp() | MergeOp():
                raise AssertionError(f"{node.title}: there is nothing to execute")
            case _:
                assert_never(node.op)


@contextlib.contextmanager
def placed(node: Node) -> Iterator[None]:
    """Whatever fails inside comes out as a BuildError with the node's span."""
    try:
        yield
    except SourceChanged as error:
        raise StepFailed(error.message, span=node.span, hint=error.hint) from error
    except BuildError:
        raise
    except PybuildError as error:
        raise PlanError(error.message, span=node.span, hint=error.hint, code=error.code) from error
    except OSError as error:
        raise host_error(error, node.span) from error


def host_error(error: OSError, span: Span | None) -> StepFailed:
    """A step that the host's files or disks failed."""
    name = error.filename
    text = name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name)
    message = f"{error.strerror}: {text}" if name is not None else str(error.strerror or error)
    return StepFailed(message, span=span, hint=advice(error))


def _run(node: Node, op: RunOp, given: StepInput, context: StepContext) -> LayerId:
    with Phased(context, node, "unpack"):
        workspace = context.store.workspace(given.rootfs, listener=context.fetching(node))
    tree = context.store.tree(given.rootfs, contents=True)

    def output(stream: int, data: bytes) -> None:
        context.emit(StepOutput(context.clock(), node.id, stream, data))

    with contextlib.ExitStack() as stack:
        extra = NOTHING
        if op.mounts or op.devices:
            try:
                extra = stack.enter_context(_mounted(node, op, given.selection, context, output))
            except BaseException:
                workspace.discard()
                raise
        with Phased(context, node, "run"):
            around = Surroundings(context.runner(), context.host(), output, extra)
            return run_step(op, node.span, workspace, tree, around)


def _mounted(
    node: Node,
    op: RunOp,
    selection: Selection | MountSelection | None,
    context: StepContext,
    output: Callable[[int, bytes], None],
) -> contextlib.AbstractContextManager[Mounted]:
    from builder.solve.mounts import Helpers, mounted
    from builder.solve.secrets import Secrets

    helpers = Helpers(
        context.store,
        Secrets(context.grants.secrets),
        context.grants,
        context.stopped,
        context.clock,
        lambda text: output(2, text.encode(errors="surrogateescape")),
        lambda: context.runner().pid,
    )
    return mounted(op, selection if isinstance(selection, MountSelection) else None, helpers, node.span)


def _copy(node: Node, op: CopyOp | AddOp, given: StepInput, context: StepContext) -> LayerId:
    if not isinstance(given.selection, Selection):
        raise AssertionError(f"{node.title}: no selection")
    selection = given.selection
    if any(root.remote is not None for root in selection.roots):
        from builder.solve.remote import fill

        with Phased(context, node, "fetch"):
            selection = fill(selection, context.remote())
    now_ns = int(context.clock() * 1e9)
    dest = _destination(node, given.rootfs, op.chown, context)
    with Phased(context, node, "unpack" if given.as_directory else "pack"):

        def items() -> Iterator[Item]:
            if isinstance(op, AddOp):
                from builder.solve.add import add_items

                return changed(add_items(op, selection, dest, now_ns), dest)
            return changed(copy_items(op, selection, dest, now_ns), dest)

        return _kept(node, items, given, context)


def _kept(node: Node, items: Callable[[], Iterator[Item]], given: StepInput, context: StepContext) -> LayerId:
    """``items`` gives them anew at each call."""
    if given.as_directory and (layer := context.store.add_directory(expanded(items()), given.rootfs)) is not None:
        return layer
    made = given.read and _many(given)
    read_soon = given.read or context.layers_read
    compression = context.packed_as(node.id)
    return context.store.add_layer(items(), given.rootfs, compression=compression, made=made, read_soon=read_soon)


def _many(given: StepInput) -> bool:
    """Whether so much is taken that unpacking it would take long: of little it makes no difference."""
    tree = given.selection.tree if isinstance(given.selection, Selection) else None
    return isinstance(tree, Context) and tree.names >= MANY


def _destination(node: Node, rootfs: Rootfs, owner: str | None, context: StepContext) -> Tree:
    """What is there before the step: described by indexes, unpacked only when the owner cannot be found otherwise.

    Warns of names that are not there: files then belong to root, or to the user's own group."""
    tree = context.store.tree(rootfs, listener=context.fetching(node))
    if not can_find(owner or "", tree):
        tree = context.store.tree(rootfs, contents=True, listener=context.fetching(node))
    for name in unknown_owners(owner or "", tree):
        taken = "root" if name.startswith("user ") else "the user's own group"
        line = node.span.first_line if node.span is not None else 0
        message = f"there is no {name} in the image so far: the files get {taken}"
        context.emit(Warned(context.clock(), node.id, message, line))
    return tree


def _workdir(node: Node, op: WorkdirOp, given: StepInput, context: StepContext) -> LayerId:
    dest = _destination(node, given.rootfs, op.user, context)
    now_ns = int(context.clock() * 1e9)
    return _kept(node, lambda: workdir_entries(op, dest, now_ns), given, context)
