"""The runs themselves: in turn (A B C A B C), so that what disturbs the machine disturbs all of them."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.bench.builders import Builder, BuildFailed, Job
from tests.bench.contexts import Shape
from tests.bench.figures import Result, Sample
from tests.bench.scenarios import Scenario

Say = Callable[[str], None]
RESULT = "bench"
"""The repository that results are pushed to."""


class Registry(Protocol):
    def name(self, repository: str) -> str:
        """The full name of an image."""

    def fresh(self) -> None:
        """Only the base images are left."""

    def layer_bytes(self, repository: str) -> int:
        """Compressed bytes of all layers of an image."""


class _Entrant:
    """One builder in one scenario: what it was measured at, and why it is out of the race, if it is."""

    def __init__(self, builder: Builder, scenario: Scenario, registry: Registry, say: Say) -> None:
        self._builder = builder
        self._scenario = scenario
        self._registry = registry
        self._say = say
        self._samples: list[Sample] = []
        self._problem = ""

    def run(self, context: Path, label: str, *, fresh: bool, counted: bool) -> None:
        if self._problem:
            return
        try:
            if fresh:
                self._builder.fresh(None if self._scenario.fetched else self._scenario.base)
            self._registry.fresh()
            # What an earlier run left to be written is not written during this one.
            os.sync()
            sample = self._builder.build(context, self._job())
        except BuildFailed as error:
            self._problem = str(error)
            self._say(f"{self._scenario.name} {self._builder.name} failed: {error}")
            return
        self._say(f"{self._scenario.name} {label} {self._builder.name} {sample.seconds:.3f} s")
        if counted:
            self._samples.append(sample._replace(pushed=self._pushed()))

    def _job(self) -> Job:
        base = self._registry.name(self._scenario.base) if self._scenario.fetched else "base"
        return Job(base, self._registry.name(RESULT) if self._scenario.push else None)

    def _pushed(self) -> int | None:
        """Bytes of the layers that the build added to its base, as the registry has them."""
        if not self._scenario.push:
            return None
        return self._registry.layer_bytes(RESULT) - self._registry.layer_bytes(self._scenario.base)

    def result(self) -> Result:
        samples = () if self._problem else tuple(self._samples)
        return Result(self._scenario.name, self._builder.name, samples, self._problem)


class Bench:
    """``directory`` is where contexts are made; ``say`` gets a line about every run."""

    def __init__(
        self, builders: Sequence[Builder], registry: Registry, shape: Shape, directory: Path, say: Say
    ) -> None:
        self._builders = builders
        self._registry = registry
        self._shape = shape
        self._context = directory / "context"
        self._say = say

    def measure(self, scenario: Scenario, runs: int) -> list[Result]:
        """Every builder ``runs`` times. One that fails is left out of the rest; its result says why."""
        entrants = [_Entrant(builder, scenario, self._registry, self._say) for builder in self._builders]
        scenario.make(self._context, self._shape)
        if scenario.warm:
            for entrant in entrants:
                entrant.run(self._context, "warm-up", fresh=True, counted=False)
        for number in range(runs):
            if scenario.change is not None:
                scenario.change(self._context, self._shape, number)
            for entrant in entrants:
                entrant.run(self._context, f"{number + 1}/{runs}", fresh=not scenario.warm, counted=True)
        shutil.rmtree(self._context)
        return [entrant.result() for entrant in entrants]
