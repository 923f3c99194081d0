"""What every instruction of one stage is lowered with. Pure."""

from collections.abc import Callable
from typing import Self

from builder.dockerfile.instructions import Instruction
from builder.errors import Span
from builder.plan.expand import Expander
from builder.plan.graph import MergeOp, NodeId, Op
from builder.plan.nodes import NodeTable, Shown
from builder.plan.stage_state import StageState
from builder.plan.stages import Ref, ScratchRef, Survey
from layers.tuples import NamedTuple


class Scope(NamedTuple):
    found: Survey
    table: NodeTable
    source: Callable[[Ref], NodeId]
    """The node of what ``COPY --from`` names."""
    stage: str
    total: int
    """Steps of this stage that are shown."""
    warn: Callable[[str, Span], None]
    again: bool = False
    """Steps of this stage are run again (``--no-cache-filter``)."""
    onbuild: bool = False
    """The instruction is a trigger of the base."""

    def triggered(self, onbuild: bool) -> Self:
        return self._replace(onbuild=onbuild)

    def expander(self, state: StageState, instruction: Instruction) -> Expander:
        return Expander(state.env, self.found.escape, instruction.span)

    def step(
        self, state: StageState, op: Op, sources: tuple[NodeId, ...], title: str, instruction: Instruction
    ) -> tuple[StageState, NodeId]:
        """Adds the node of a step on top of ``state``; the state returned has counted it."""
        shown = self._shown(state, title, instruction)
        return state._replace(position=shown.position), self.table.add(op, (state.node, *sources), shown)

    def linked_step(
        self, state: StageState, op: Op, sources: tuple[NodeId, ...], title: str, instruction: Instruction
    ) -> tuple[StageState, NodeId]:
        """As ``step``, for a layer that does not depend on ``state``: made on nothing, then stacked."""
        shown = self._shown(state, title, instruction)
        linked = self.table.add(op, (self.source(ScratchRef()), *sources), shown)
        stacked = self.table.add(MergeOp(), (state.node, linked), shown._replace(title=f"LINK {shown.title}"))
        return state._replace(position=shown.position), stacked

    def _shown(self, state: StageState, title: str, instruction: Instruction) -> Shown:
        if self.onbuild:
            title = f"ONBUILD {title}"
        return Shown(title, self.stage, state.position + 1, self.total, instruction.span, self.again)
