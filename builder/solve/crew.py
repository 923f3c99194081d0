"""Executes the steps that are left, several at once: one thread decides, workers do one step each."""

import heapq
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

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


def work(board: Board, left: list[NodeId], control: Control) -> None:
    """Raises the first failure when every running step has ended."""
    queue = ReadyQueue(board.plan, left)
    running: dict[Future[StepResult], NodeId] = {}
    failure: BaseException | None = None
    runs = {node for node in left if isinstance(board.plan.nodes[node].op, RunOp)}
    with ThreadPoolExecutor(max_workers=control.jobs + 1, thread_name_prefix="step") as pool:
        if runs:
            # The sandbox gets ready while the first RUN's layers are unpacked; what it may fail with, that RUN says.
            pool.submit(board.context.runner)
        while running or (queue and failure is None):
            while queue and len(running) < control.jobs and failure is None:
                node = queue.pop()
                running[pool.submit(_perform, board, board.plan.nodes[node])] = node
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            if not done:
                board.idle()
            finished = {running[future] for future in done}
            problem = _finish(board, queue, running, done)
            if runs and problem is None and not (runs := runs - finished):
                control.runs_over()
            if control.cancelled.is_set():
                problem = Cancelled("the build was cancelled")
            if problem is not None and failure is None:
                failure = problem
                control.stop()
    if failure is not None:
        raise failure


def _finish(
    board: Board, queue: ReadyQueue, running: dict[Future[StepResult], NodeId], done: set[Future[StepResult]]
) -> BaseException | None:
    """Takes the results of ``done``; returns the first error among them."""
    failure = None
    for future in done:
        node = running.pop(future)
        error = future.exception()
        if error is not None:
            failure = failure or error
        else:
            board.put(future.result())
            queue.done(node)
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
    layer = execute(node, StepInput(rootfs, selection, node.id in board.only_read), context)
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
