"""What the store already knows of a plan, before anything runs: selections of the context, recipe keys, records."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from builder.plan.graph import AddOp, CopyOp, LocalOp, Node, NodeId, Plan, RunOp
from builder.plan.keys import (
    effective_key,
    is_merge,
    is_source,
    is_step,
    merged_key,
    mount_inputs,
    recipe_key,
    rootfs_input,
    source_input,
)
from builder.plan.select import Selection, select
from builder.plan.select_mounts import MountSelection, choose, sources
from builder.plan.unmatched import refuse_unmatched
from layers.digest import CacheKey
from layers.store import StepRecord
from layers.tree import Tree
from layers.tuples import NamedTuple


class StepRecords(Protocol):
    """The part of the store that looks steps up (one query however many keys)."""

    def find_steps(self, keys: Sequence[CacheKey]) -> dict[CacheKey, StepRecord]: ...


class Known(NamedTuple):
    """``selections``: of COPY and ADD out of a context, and what RUNs mount of one; ``recipes``: of every node;
    ``records``: of recipe keys; ``unsure``: steps that need what one that is run again will give."""

    selections: Mapping[NodeId, Selection | MountSelection]
    recipes: Mapping[NodeId, CacheKey]
    records: Mapping[CacheKey, StepRecord]
    unsure: frozenset[NodeId] = frozenset()

    def record(self, node: Node) -> StepRecord | None:
        return self.records.get(self.recipes[node.id]) if node.use_cache and node.id not in self.unsure else None


def local_source(plan: Plan, node: Node) -> LocalOp | None:
    """The context a COPY or ADD reads from; None when it reads from a stage, an image or heredocs alone."""
    source = source_input(node)
    if source is None:
        return None
    op = plan.nodes[source].op
    return op if isinstance(op, LocalOp) else None


def inspect(plan: Plan, contexts: Mapping[str, Tree], store: StepRecords) -> Known:
    """Raises PlanError for a step whose source is not in the context, before any step runs."""
    selections: dict[NodeId, Selection | MountSelection] = {}
    recipes: dict[NodeId, CacheKey] = {}
    for node in plan.nodes.values():
        digest = None
        if isinstance(node.op, CopyOp | AddOp):
            local = local_source(plan, node)
            if local is not None:
                selections[node.id] = select(node.op, contexts[local.name], node.span)
                digest = selections[node.id].digest()
        elif isinstance(node.op, RunOp) and any(isinstance(plan.nodes[i].op, LocalOp) for i in mount_inputs(node)):
            selections[node.id] = _local_mounts(plan, node, node.op, contexts)
            digest = selections[node.id].digest()
        recipes[node.id] = recipe_key(node, recipes, digest)
    refuse_unmatched((plan.nodes[number].span, selection) for number, selection in selections.items())
    wanted = [recipes[node.id] for node in plan.nodes.values() if node.use_cache and is_step(node)]
    return Known(selections, recipes, store.find_steps(wanted) if wanted else {}, _unsure(plan))


def _unsure(plan: Plan) -> frozenset[NodeId]:
    found: set[NodeId] = set()
    for node in plan.nodes.values():
        if any(below in found or not plan.nodes[below].use_cache for below in node.inputs):
            found.add(node.id)
    return frozenset(found)


def _local_mounts(plan: Plan, node: Node, op: RunOp, contexts: Mapping[str, Tree]) -> MountSelection:
    """What the RUN mounts of contexts; what it mounts of stages and images is not there yet."""
    chosen = []
    for wanted in sources(op):
        source = plan.nodes[node.inputs[wanted[0]]].op if wanted is not None else None
        found = None
        if wanted is not None and isinstance(source, LocalOp):
            found = choose(wanted[1], contexts[source.name], None, node.span)
        chosen.append(found)
    return MountSelection(tuple(chosen))


class State(NamedTuple):
    """What ``pybuild plan`` says of a node: ``hit``, ``miss``, ``depends`` (on step ``on``), or ``source``."""

    state: str
    on: NodeId | None
    key: CacheKey


def states(plan: Plan, known: Known, store: StepRecords) -> dict[NodeId, State]:
    """Without running anything: a node is a hit or a miss when its effective key follows from the plan and the records,
    and depends on the step whose output has to be seen first otherwise."""
    found: dict[NodeId, State] = {}
    effective: dict[NodeId, CacheKey] = {}
    for node in plan.nodes.values():
        recipe = known.recipes[node.id]
        record = known.record(node)
        if is_source(node):
            effective[node.id] = effective_key(node, None, None)
            found[node.id] = State("source", None, recipe)
            continue
        if record is not None:
            effective[node.id] = record.effective
            found[node.id] = State("hit", None, recipe)
            continue
        if is_merge(node):
            found[node.id] = _merged(node, effective, found, recipe)
            continue
        blocker = _blocker(plan, node, effective, found)
        if blocker is not None:
            found[node.id] = State("depends", blocker, recipe)
            continue
        below = rootfs_input(node)
        chosen = known.selections[node.id].digest() if node.id in known.selections else None
        key = effective_key(node, effective[below] if below is not None else None, chosen)
        effective[node.id] = key
        hit = node.use_cache and key in store.find_steps([key])
        found[node.id] = State("hit" if hit else "miss", None, recipe)
    return found


def _merged(node: Node, effective: dict[NodeId, CacheKey], found: Mapping[NodeId, State], recipe: CacheKey) -> State:
    """As good as its inputs: a hit when both are, else a miss, or what the first unknown one depends on."""
    below, linked = node.inputs
    for part in (below, linked):
        if part not in effective:
            return State("depends", found[part].on, recipe)
    effective[node.id] = merged_key(node, effective[below], effective[linked])
    missed = "miss" in (found[below].state, found[linked].state)
    return State("miss" if missed else "hit", None, recipe)


def _blocker(
    plan: Plan, node: Node, effective: Mapping[NodeId, CacheKey], found: Mapping[NodeId, State]
) -> NodeId | None:
    """The step that must run before the node's effective key can be known, if any."""
    below = rootfs_input(node)
    if below is not None and below not in effective:
        return found[below].on
    source = source_input(node)
    for needed in mount_inputs(node) if source is None else (source,):
        if not isinstance(plan.nodes[needed].op, LocalOp):
            return _step_behind(plan, needed, found)
    return None


def _step_behind(plan: Plan, node: NodeId, found: Mapping[NodeId, State]) -> NodeId:
    """``node``, or of a MergeOp the step that keeps it from being known: the one above, unless that is known."""
    while is_merge(plan.nodes[node]):
        state = found[node]
        if state.on is not None:
            return state.on
        below, linked = plan.nodes[node].inputs
        node = below if state.state == "miss" and found[linked].state != "miss" else linked
    return node
