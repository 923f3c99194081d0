"""Small plans for tests of what is made from them."""

from collections.abc import Sequence
from types import MappingProxyType

from builder.plan.graph import ImageOp, Node, NodeId, Plan, RunOp, ScratchOp
from layers.digest import DiffId, Digest, LayerId
from layers.image import History, ImageConfig, Platform

PLATFORM = Platform("linux", "amd64")
BUILDKIT = "buildkit.dockerfile.v0"


def diff_id(number: int) -> DiffId:
    return DiffId(Digest.of(b"layer %d" % number))


def metadata(text: str) -> History:
    return History(created_by=text, comment=BUILDKIT, empty_layer=True)


def layer(text: str) -> History:
    return History(created_by=text, comment=BUILDKIT)


def make_plan(
    added: Sequence[tuple[History, bool]],
    *,
    base: ImageConfig | None = None,
    epoch: int | None = None,
) -> Plan:
    """A plan of one stage on ``base`` (scratch without); each added entry says whether it makes a layer.

    Nodes are numbered 0 for the base and from 1 for layers.
    """
    inherited = base.diff_ids if base is not None else ()
    rootfs = tuple(LayerId(number) for number, _ in enumerate(inherited, 1))
    op = ScratchOp() if base is None else ImageOp("docker.io/library/base:1", inherited, rootfs, (None,) * len(rootfs))
    nodes = {NodeId(0): Node(NodeId(0), op, (), "FROM base", "stage-0", 1, 9, None)}
    history = []
    for entry, makes_layer in added:
        number = NodeId(len(nodes)) if makes_layer else None
        history.append((entry, number))
        if number is not None:
            run = RunOp(("true",), (), "/", "", "default", "buildkitsandbox", (), (), PLATFORM)
            before = NodeId(number - 1)
            nodes[number] = Node(number, run, (before,), f"RUN {number}", "stage-0", number + 1, 9, None)
    return Plan(
        nodes=MappingProxyType(nodes),
        target=NodeId(len(nodes) - 1),
        layers=tuple(node for node in nodes if node),
        base=NodeId(0),
        config=base or ImageConfig(PLATFORM, workdir="/"),
        history=tuple(history),
        warnings=(),
        epoch=epoch,
    )
