"""A small real store, and builds in it whose commands are fakes."""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from builder.events import Event, StepCached, StepFailed, StepFinished, StepStarted
from builder.plan.graph import NodeId, Plan, StepResult
from builder.solve.lookup import inspect
from builder.solve.run import HostFiles
from builder.solve.scheduler import solve
from builder.solve.stepcontext import Control, StepContext
from layers.digest import LayerId, Rootfs
from layers.store import Store
from layers.tree import Tree
from tests.fakes.runner import FakeRunner

HOST = HostFiles(b"nameserver 192.0.2.1\n", None)
OURS = f"{os.getuid()}:{os.getgid()}"
"""For --chown: what is unpacked must have an owner that any user may give."""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    with Store.open(str(tmp_path / "store"), clock=lambda: 2_000_000_000.0) as opened:
        yield opened


StepEvent = StepStarted | StepCached | StepFinished | StepFailed


class Offers:
    """A LayerSink."""

    def __init__(self) -> None:
        self.layers: dict[int, LayerId] = {}
        self.made: dict[int, bool] = {}
        self.idled = threading.Event()

    def offer(self, position: int, layer: LayerId, *, made: bool) -> None:
        self.layers[position] = layer
        self.made[position] = made

    def idle(self) -> None:
        self.idled.set()


class Builds:
    """Solves plans, one after the other, in one store. ``now`` goes on by a second a build."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.runner = FakeRunner()
        self.contexts: dict[str, Tree] = {}
        self.events: list[Event] = []
        self.offers = Offers()
        self.now = 1_000.0
        self.cancelled = threading.Event()
        self.stops = 0
        self.runs_over: list[int] = []
        """How many steps had finished when there was no RUN left."""

    def _stop(self) -> None:
        self.stops += 1
        self.runner.cancel()

    def _runs_over(self) -> None:
        self.runs_over.append(len(self.told(StepFinished)))

    def context(self) -> StepContext:
        return StepContext(
            self.store, lambda: self.runner, lambda: HOST, self.contexts, self.events.append, lambda: self.now
        )

    def solve(self, plan: Plan, *, jobs: int = 4) -> Mapping[NodeId, StepResult]:
        self.now += 1
        self.events.clear()
        self.runner.specs.clear()
        self.offers = Offers()
        known = inspect(plan, self.contexts, self.store)
        return solve(
            plan, known, self.context(), self.offers, Control(jobs, self.cancelled, self._stop, self._runs_over)
        )

    def how(self, results: Mapping[NodeId, StepResult]) -> list[str]:
        return [result.cached for _, result in sorted(results.items())]

    def read(self, rootfs: Rootfs, path: str) -> bytes:
        """A file of a finished root file system."""
        entry = self.store.tree(rootfs, contents=True).lookup(path.encode())
        assert entry is not None
        assert entry.source is not None
        name = entry.source[0]
        assert isinstance(name, bytes)
        return Path(os.fsdecode(name)).read_bytes()

    def told(self, kind: type[StepEvent]) -> list[int]:
        """The steps of all events of a kind, in order of numbers."""
        return sorted(event.step for event in self.events if isinstance(event, kind))


@pytest.fixture
def builds(store: Store) -> Builds:
    return Builds(store)
