"""Executes the steps that are left, several at once: one thread decides, workers do one step each.

Workers are threads of our own: a step of milliseconds should not wait for a pool's conditions and locks, nor a build
for what it imports.
"""

import contextlib
import heapq
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Self

from builder.errors import Cancelled
from builder.events import StepFailed, StepFinished, StepStarted
from builder.plan.graph import AddOp, CopyOp, LocalOp, Node, NodeId, Plan, RunOp, StepResult
from builder.plan.keys import effective_key, is_merge, mount_inputs, rootfs_input, source_input
from builder.plan.select import Selection, select
from builder.plan.select_mounts import Chosen, MountSelection, choose, sources
from builder.solve.board import Board
from builder.solve.stepcontext import Control
from builder.solve.steps import Phased, StepInput, execute, host_error, placed
from layers.digest import CacheKey, Digest, Rootfs
from layers.errors import PybuildError
from layers.tree import Tree
from layers.tuples import NamedTuple

POLL_SECONDS = 0.1
"""How long a cancelled build may go unnoticed."""


class ReadyQueue:
    """Steps in the order they should start: inputs first, and of those that may start, the one with the longest way
    to the target."""

    def __init__(self, plan: Plan, left: Iterable[NodeId]) -> None:
        todo = set(left)
        self._distance = _distances(plan)
        self._waiting = {node: todo.intersection(plan.nodes[node].inputs) for node in todo}
        self._users: dict[NodeId, list[NodeId]] = {node: [] for node in todo}
        for node, inputs in self._waiting.items():
            for needed in inputs:
                self._users[needed].append(node)
        self._ready = [(-self._distance[node], node) for node, inputs in self._waiting.items() if not inputs]
        heapq.heapify(self._ready)

    def __bool__(self) -> bool:
        return bool(self._ready)

    def pop(self) -> NodeId:
        return heapq.heappop(self._ready)[1]

    def done(self, node: NodeId) -> None:
        for user in self._users[node]:
            self._waiting[user].discard(node)
            if not self._waiting[user]:
                heapq.heappush(self._ready, (-self._distance[user], user))


def _distances(plan: Plan) -> Mapping[NodeId, int]:
    """Steps from each node to the end of the longest way to the target."""
    far = dict.fromkeys(plan.nodes, 0)
    for node in reversed(tuple(plan.nodes.values())):
        for below in node.inputs:
            far[below] = max(far[below], far[node.id] + 1)
    return far


class _Ended(NamedTuple):
    """A step that was worked on: what came of it."""

    node: NodeId
    result: StepResult | None
    error: BaseException | None


class _Workers:
    """Up to ``most`` threads, started as they are needed. Context manager: leaving it ends them, after what they do."""

    def __init__(self, perform: Callable[[Node], StepResult], most: int) -> None:
        self._perform = perform
        self._most = most
        self._todo: queue.SimpleQueue[Node | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[_Ended] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy: set[NodeId] = set()

    def __bool__(self) -> bool:
        """Whether a step is worked on."""
        return bool(self._busy)

    @property
    def free(self) -> bool:
        return len(self._busy) < self._most

    def take(self, node: Node) -> None:
        """Only while some are ``free``."""
        self._busy.add(node.id)
        if len(self._busy) > len(self._threads):
            thread = threading.Thread(target=self._work, name=f"step-{len(self._threads)}")
            thread.start()
            self._threads.append(thread)
        self._todo.put(node)

    def _work(self) -> None:
        while (node := self._todo.get()) is not None:
            try:
                ended = _Ended(node.id, self._perform(node), None)
            except BaseException as error:  # the deciding thread raises it
                ended = _Ended(node.id, None, error)
            self._ended.put(ended)

    def ended(self, seconds: float) -> Iterator[_Ended]:
        """Steps that ended since the last call; waits so long for the first one."""
        with contextlib.suppress(queue.Empty):
            found = self._ended.get(timeout=seconds)
            while True:
                self._busy.discard(found.node)
                yield found
                found = self._ended.get_nowait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()


def work(board: Board, left: list[NodeId], control: Control) -> None:
    """Raises the first failure when every running step has ended."""
    ready = ReadyQueue(board.plan, left)
    failure: BaseException | None = None
    runs = {node for node in left if isinstance(board.plan.nodes[node].op, RunOp)}
    with (
        _Workers(partial(_perform, board), control.jobs) as workers,
        _stopping(control),
    ):
        while workers or (ready and failure is None):
            while ready and workers.free and failure is None:
                workers.take(board.plan.nodes[ready.pop()])
            ended = tuple(workers.ended(POLL_SECONDS))
            if not ended:
                board.idle()
            problem = _finish(board, ready, ended)
            if runs and problem is None and not (runs := runs - {one.node for one in ended}):
                control.runs_over()
            if control.cancelled.is_set():
                problem = Cancelled("the build was cancelled")
            if problem is not None and failure is None:
                failure = problem
                control.stop()
    if failure is not None:
        raise failure


@contextlib.contextmanager
def _stopping(control: Control) -> Iterator[None]:
    """Whatever else goes wrong here, running steps do not go on for nothing."""
    try:
        yield
    except BaseException:
        control.stop()
        raise


def _finish(board: Board, ready: ReadyQueue, ended: Iterable[_Ended]) -> BaseException | None:
    """Takes the results; returns the first error among them."""
    failure = None
    for node, result, error in ended:
        if result is None:
            failure = failure or error
        else:
            board.put(result)
            ready.done(node)
    return failure


def _perform(board: Board, node: Node) -> StepResult:
    """One step, in a worker thread. Whatever it fails with is told; errors of the host get the step's place."""
    context = board.context
    started = context.clock()
    try:
        return _result(board, node, started)
    except (PybuildError, OSError) as error:
        failure = host_error(error, node.span) if isinstance(error, OSError) else error
        now = context.clock()
        context.emit(StepFailed(now, node.id, failure.message, now - started))
        if failure is error:
            raise
        raise failure from error


def _result(board: Board, node: Node, started: float) -> StepResult:
    """Looked up by the effective key, else executed and recorded."""
    context = board.context
    merged = board.merged(node) if is_merge(node) else None
    if merged is not None:
        return merged
    below = rootfs_input(node)
    rootfs: Rootfs = board.results[below].rootfs if below is not None else ()
    parent = CacheKey(Digest.parse(board.results[below].key)) if below is not None else None
    recipe = board.known.recipes[node.id]
    selection = _selection(board, node)
    key = effective_key(node, parent, selection.digest() if selection is not None else None)
    if node.use_cache:
        record = context.store.find_steps([key]).get(key)
        if record is not None:
            context.store.record_step(recipe, key, record.rootfs, record.layer, record.finished)
            return board.hit(node, record, "content")
    context.emit(StepStarted(started, node.id))
    layer = execute(
        node, StepInput(rootfs, selection, node.id in board.only_read, node.id in board.read_by_steps), context
    )
    finished = context.clock()
    context.store.record_step(recipe, key, (*rootfs, layer), layer, finished)
    context.emit(StepFinished(finished, node.id, finished - started))
    return StepResult(node.id, str(key), (*rootfs, layer), layer, "no", finished - started, finished)


def _selection(board: Board, node: Node) -> Selection | MountSelection | None:
    """What a COPY or ADD takes, or a RUN mounts; of a stage or an image found now that it is there."""
    known = board.known.selections.get(node.id)
    match node.op:
        case CopyOp() | AddOp() if known is None:
            with Phased(board.context, node, "select"), placed(node):
                source = source_input(node)
                tree = _source(board, node, source)[0] if source is not None else board.context.store.tree(())
                return select(node.op, tree, node.span)
        case RunOp() if mount_inputs(node):
            with Phased(board.context, node, "select"), placed(node):
                return _mounted(board, node, node.op, known)
        case _:
            return known


def _mounted(board: Board, node: Node, op: RunOp, known: Selection | MountSelection | None) -> MountSelection:
    found: list[Chosen | None] = [None] * len(op.mounts)
    if isinstance(known, MountSelection):
        found[:] = known.chosen
    for number, wanted in enumerate(sources(op)):
        if wanted is not None and found[number] is None:
            tree, rootfs = _source(board, node, node.inputs[wanted[0]])
            found[number] = choose(wanted[1], tree, rootfs, node.span)
    return MountSelection(tuple(found))


def _source(board: Board, node: Node, source: NodeId) -> tuple[Tree, Rootfs | None]:
    """The files of an input, and the root file system they are (None for a context)."""
    op = board.plan.nodes[source].op
    if isinstance(op, LocalOp):
        return board.context.contexts[op.name], None
    rootfs = board.results[source].rootfs
    return board.context.store.tree(rootfs, contents=True, listener=board.context.fetching(node)), rootfs
