"""Gives every node of a plan its result: from the records where there is one, by running steps where not.

A step is looked up by its recipe key before anything runs (``lookup.inspect``), by its effective key when its inputs
are there, and only then executed. A hit by recipe key needs none of its inputs: a stage that only feeds cached steps is
not even looked at. Threads, sandbox and packing are imported only when a step must be executed (``crew``).
"""

import contextlib
from collections.abc import Iterable, Mapping

from builder.events import StepCached
from builder.plan.graph import ImageOp, LayerSink, NodeId, Plan, RunOp, StepResult
from builder.plan.keys import is_merge, is_source
from builder.solve.board import Board
from builder.solve.lookup import Known
from builder.solve.stepcontext import Control, StepContext
from layers.digest import LayerId


def needed(plan: Plan, known: Known) -> tuple[NodeId, ...]:
    """The nodes whose results are needed, in topological order: those on the way from the target to the nearest hits,
    and the hits themselves."""
    wanted = {plan.target}
    for node in reversed(tuple(plan.nodes.values())):
        if node.id in wanted and known.record(node) is None:
            wanted.update(node.inputs)
    return tuple(node_id for node_id in plan.nodes if node_id in wanted)


def _take_known(board: Board, wanted: tuple[NodeId, ...]) -> list[NodeId]:
    """Gives sources and hits their results; returns the nodes that are left to do. Steps that nobody needs because
    what they lead to is cached are shown as cached too, when they are."""
    left = []
    for node in board.plan.nodes.values():
        record = board.known.record(node)
        if node.id not in wanted:
            if record is not None or (is_source(node) and isinstance(node.op, ImageOp)):
                board.context.emit(StepCached(board.context.clock(), node.id, "recipe"))
        elif is_source(node):
            board.source(node)
        elif record is not None:
            board.put(board.hit(node, record, "recipe"))
        elif is_merge(node) and (merged := board.merged(node)) is not None:
            board.put(merged)
        else:
            left.append(node.id)
    return left


def _fill_chain(board: Board) -> None:
    """Results for the nodes of the target's chain that stand below a hit: their layers are those of the target's
    root file system, whatever newer record one of them may have."""
    target = board.results[board.plan.target]
    first = len(target.rootfs) - len(board.plan.layers)
    for position, node_id in enumerate(board.plan.layers):
        here = target.rootfs[: first + position + 1]
        known = board.results.get(node_id)
        if known is not None and known.rootfs == here:
            continue
        ended = _ended(board, node_id, here[-1]) or target.finished
        board.put(StepResult(node_id, target.key, here, here[-1], "recipe", 0.0, ended))


def _ended(board: Board, node_id: NodeId, layer: LayerId) -> float | None:
    """When the step that made ``layer`` ended, if its record still speaks of it. A layer is made for one place: what is
    below it need not be compared."""
    node = board.plan.nodes[node_id]
    record = board.known.record(board.plan.nodes[node.inputs[1]] if is_merge(node) else node)
    return record.finished if record is not None and record.layer == layer else None


def _prepare_runs(board: Board, left: Iterable[NodeId]) -> None:
    """The sandbox gets ready, in processes of its own, while the rest is imported and the first RUN's layers are made;
    what it may fail with, that RUN says."""
    if any(isinstance(board.plan.nodes[node].op, RunOp) for node in left):
        with contextlib.suppress(Exception):
            board.context.runner()


def solve(
    plan: Plan, known: Known, context: StepContext, sink: LayerSink, control: Control
) -> Mapping[NodeId, StepResult]:
    """Results of every needed node and of every node of the target's chain; finished layers of that chain are offered
    to ``sink`` as they come. Raises the first failure, or Cancelled."""
    board = Board(plan, known, context, sink)
    left = _take_known(board, needed(plan, known))
    if left:
        _prepare_runs(board, left)
        from builder.solve.crew import work

        work(board, left, control)
    _fill_chain(board)
    return board.results
