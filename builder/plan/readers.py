"""Which layers some step of a plan has to look into, so that their files will be wanted while the build runs. Pure."""

from collections.abc import Iterable

from builder.plan.graph import AddOp, CopyOp, NodeId, Plan, RunOp


def read_by_steps(plan: Plan) -> frozenset[NodeId]:
    """Nodes whose files a RUN has in its root or mounts, or a COPY or ADD takes from. What a COPY stands on is not
    among them: of that it needs names alone."""
    found: set[NodeId] = set()
    for node in plan.nodes.values():
        match node.op:
            case RunOp():
                _add(plan, node.inputs, found)
            case CopyOp() | AddOp():
                _add(plan, node.inputs[1:], found)
            case _:
                continue
    return frozenset(found)


def only_read(plan: Plan) -> frozenset[NodeId]:
    """Nodes whose layers no image of this plan has: other steps read their files, and that is all."""
    shown: set[NodeId] = set()
    _add(plan, (plan.target,), shown)
    return read_by_steps(plan) - shown


def _add(plan: Plan, tops: Iterable[NodeId], found: set[NodeId]) -> None:
    """``tops`` and all they stand on."""
    todo = list(tops)
    while todo:
        here = todo.pop()
        if here in found:
            continue
        found.add(here)
        node = plan.nodes[here]
        todo += node.inputs[:1] if isinstance(node.op, RunOp | CopyOp | AddOp) else node.inputs
