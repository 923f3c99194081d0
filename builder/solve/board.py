"""Board: the results of a build so far, and what is told about them while they come."""

import functools

from builder.events import StepCached, StepFinished, StepStarted
from builder.plan.graph import ImageOp, LayerSink, LocalOp, Node, NodeId, Plan, ScratchOp, StepResult
from builder.plan.keys import effective_key, merged_key
from builder.solve.lookup import Known
from builder.solve.stepcontext import StepContext
from layers.digest import CacheKey, Digest, Rootfs
from layers.store import StepRecord


class Board:
    """The results so far, and what is told about them: events, and layers offered to the sink."""

    def __init__(self, plan: Plan, known: Known, context: StepContext, sink: LayerSink) -> None:
        self.plan = plan
        self.known = known
        self.context = context
        self.results: dict[NodeId, StepResult] = {}
        self._sink = sink
        self._positions = {node: position for position, node in enumerate(plan.layers)}

    @functools.cached_property
    def only_read(self) -> frozenset[NodeId]:
        """See ``readers.only_read``. Asked for when a step must run."""
        from builder.plan.readers import only_read

        return only_read(self.plan)

    @functools.cached_property
    def read_by_steps(self) -> frozenset[NodeId]:
        """See ``readers.read_by_steps``."""
        from builder.plan.readers import read_by_steps

        return read_by_steps(self.plan)

    def hit(self, node: Node, record: StepRecord, how: str) -> StepResult:
        """Tells that the step is cached; the result is still to be ``put``."""
        result = StepResult(node.id, str(record.effective), record.rootfs, record.layer, how, 0.0, record.finished)
        self.context.emit(StepCached(self.context.clock(), node.id, how))
        return result

    def put(self, result: StepResult) -> None:
        """From the deciding thread only: every layer is offered once."""
        self.results[result.node] = result
        position = self._positions.get(result.node)
        if position is not None and result.layer is not None:
            self._sink.offer(position, result.layer, made=result.cached == "no")

    def idle(self) -> None:
        """Nothing has ended for a while."""
        self._sink.idle()

    def merged(self, node: Node) -> StepResult | None:
        """The result of a MergeOp, once both inputs have theirs."""
        below, linked = (self.results.get(each) for each in node.inputs)
        if below is None or linked is None:
            return None
        keys = (CacheKey(Digest.parse(each.key)) for each in (below, linked))
        key = merged_key(node, *keys)
        rootfs = (*below.rootfs, *linked.rootfs)
        return StepResult(node.id, str(key), rootfs, linked.layer, linked.cached, 0.0, linked.finished)

    def source(self, node: Node) -> None:
        now = self.context.clock()
        rootfs: Rootfs = node.op.rootfs if isinstance(node.op, ImageOp) else ()
        self.put(StepResult(node.id, str(effective_key(node, None, None)), rootfs, None, "recipe", 0.0, now))
        if isinstance(node.op, ScratchOp):
            return  # nothing to show: as in BuildKit's progress, the first step of the stage is its first line
        if isinstance(node.op, LocalOp):
            self.context.emit(StepStarted(now, node.id))
            self.context.emit(StepFinished(now, node.id, 0.0))
        else:
            self.context.emit(StepCached(now, node.id, "recipe"))
