"""What steps work with, as handed from the build to the scheduler to the steps. Imports nothing heavy."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from builder.events import Emit
from builder.grants import Grants
from builder.plan.graph import Node, NodeId
from layers.errors import PybuildError
from layers.store import Store
from layers.tree import Tree
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from builder.fetch.remote import Remote
    from builder.sandbox.spec import Runner
    from builder.solve.run import HostFiles
    from layers.compress import Compression
    from layers.downloads import Listener


def _never() -> bool:
    return False


def _nothing_remote() -> "Remote":
    raise PybuildError("there is no network to fetch it over", code="download")


def _not_packed(node: NodeId) -> "Compression | None":
    return None


class StepContext(NamedTuple):
    """``runner`` and ``host`` are called when the first RUN is executed; ``clock`` gives seconds since the epoch;
    ``stopped`` says whether the build was given up."""

    store: Store
    runner: "Callable[[], Runner]"
    host: "Callable[[], HostFiles]"
    contexts: Mapping[str, Tree]
    emit: Emit
    clock: Callable[[], float]
    grants: Grants = Grants()
    stopped: Callable[[], bool] = _never
    remote: "Callable[[], Remote]" = _nothing_remote
    """What fetches sources of ADD."""
    packed_as: "Callable[[NodeId], Compression | None]" = _not_packed
    """How the layer of a step will be wanted that no other step reads: it is packed so at once."""
    layers_read: bool = True
    """Whether an output reads what layers are packed to."""

    def fetching(self, node: Node) -> "Listener":
        """Tells of base layers that come because of this step."""
        from builder.plan.fetching import told

        return told(self.emit, self.clock, node.id)


def _nothing() -> None:
    """Nobody waits for it."""


class Control(NamedTuple):
    """``stop`` is called once when a step failed or ``cancelled`` is set: it must make running steps end soon.
    ``runs_over`` is called once when the last RUN is done."""

    jobs: int
    cancelled: threading.Event
    stop: Callable[[], None]
    runs_over: Callable[[], None] = _nothing
