"""The nodes of a plan as they are made: equal operations on equal inputs are one node. Pure."""

from builder.errors import Span
from builder.plan.graph import ImageOp, LocalOp, Node, NodeId, Op, ScratchOp
from layers.tuples import NamedTuple

SOURCES = (ImageOp, LocalOp, ScratchOp)


class Shown(NamedTuple):
    """How a step is announced; ``position`` 0 for what stands in no stage."""

    title: str
    stage: str = ""
    position: int = 0
    total: int = 0
    span: Span | None = None
    again: bool = False
    """It is run again, whatever is known of it, and so is what stands on it."""


class NodeTable:
    """Numbers nodes from 1, inputs before those who need them."""

    def __init__(self, *, use_cache: bool) -> None:
        self.nodes: dict[NodeId, Node] = {}
        self._known: dict[tuple[type, Op, tuple[NodeId, ...]], NodeId] = {}
        self._use_cache = use_cache

    def add(self, op: Op, inputs: tuple[NodeId, ...], shown: Shown) -> NodeId:
        """The node that does ``op``: the first of its kind. An image that a COPY named first is shown as the FROM."""
        same = op._replace(name="", looked_up=None) if isinstance(op, ImageOp) else op
        key = (type(op), same, inputs)
        again = shown.again or any(not self.nodes[below].use_cache for below in inputs[:1])
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = NodeId(len(self.nodes) + 1)
        elif again and self.nodes[known].use_cache and not isinstance(op, SOURCES):
            self.nodes[known] = self.nodes[known]._replace(use_cache=False)
            return known
        elif self.nodes[known].position or not shown.position:
            return known
        self.nodes[known] = Node(
            known,
            op,
            inputs,
            shown.title,
            shown.stage,
            shown.position,
            shown.total,
            shown.span,
            use_cache=isinstance(op, SOURCES) or (self._use_cache and not again),
        )
        return known

    def chain(self, node: NodeId) -> tuple[NodeId, ...]:
        """From the base ``node`` stands on to ``node`` itself."""
        found = [node]
        while self.nodes[found[-1]].inputs:
            found.append(self.nodes[found[-1]].inputs[0])
        return tuple(reversed(found))
