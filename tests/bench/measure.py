"""The runs themselves: in turn (A B C A B C), so that what disturbs the machine disturbs all of them."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.bench.builders import LOCAL, Builder, Job
from tests.bench.command import BuildFailed, forgotten, quiet
from tests.bench.contexts import Make, Shape
from tests.bench.field import FAILURES
from tests.bench.figures import OURS, Result, Sample
from tests.bench.registry import Layer, zlib_size
from tests.bench.scenarios import Scenario

Say = Callable[[str], None]
RESULT = "bench"
"""The repository that results are pushed to."""


class Registry(Protocol):
    def name(self, repository: str) -> str:
        """The full name of an image."""

    def fresh(self) -> None:
        """Only the base images are left."""

    def added(self, repository: str, base: str) -> list[Layer]:
        """The layers of an image that are not ``base``'s."""


class _Entrant:
    """One builder in one scenario: what it was measured at, and why it is out of the race, if it is."""

    def __init__(self, builder: Builder, scenario: Scenario, registry: Registry, say: Say) -> None:
        self._builder = builder
        self._scenario = scenario
        self._registry = registry
        self._say = say
        self._samples: list[Sample] = []
        self._zlib: int | None = None
        self._problem = ""

    def run(self, context: Path, label: str, *, fresh: bool, counted: bool) -> None:
        """Whatever goes wrong is this builder's problem alone."""
        if self._problem:
            return
        try:
            sample = self._run(context, fresh, counted)
        except (BuildFailed, *FAILURES) as error:
            self._problem = str(error) or repr(error)
            self._say(f"{self._scenario.name} {self._builder.name} failed: {self._problem}")
            return
        self._say(f"{self._scenario.name} {label} {self._builder.name} {sample.seconds:.3f} s")
        if counted:
            self._samples.append(sample)

    def _run(self, context: Path, fresh: bool, counted: bool) -> Sample:
        if fresh:
            self._builder.fresh(None if self._scenario.fetched else self._scenario.base)
        self._registry.fresh()
        # What an earlier run left to be written is not written during this one.
        os.sync()
        quiet()
        sample = self._builder.build(context, self._job())
        return sample._replace(pushed=self._pushed()) if counted and self._scenario.push else sample

    def _job(self) -> Job:
        scenario = self._scenario
        base = self._registry.name(scenario.base) if scenario.fetched else LOCAL
        return Job(base, self._registry.name(RESULT) if scenario.push else None, scenario.pull, scenario.sampled)

    def _pushed(self) -> int:
        """Bytes of the layers that the build added to its base, as the registry has them."""
        layers = self._registry.added(RESULT, self._scenario.base)
        if self._scenario.sized and self._builder.name == OURS and self._zlib is None:
            self._zlib = sum(zlib_size(layer.blob) for layer in layers)
        return sum(layer.size for layer in layers)

    def result(self) -> Result:
        """With the runs there were, when a later one failed."""
        problem = self._problem or ("" if self._samples else "not run")
        return Result(self._scenario.name, self._builder.name, tuple(self._samples), problem, self._zlib)


class Bench:
    """``directory`` is where contexts are made; ``say`` gets a line about every run."""

    def __init__(
        self, builders: Sequence[Builder], registry: Registry, shape: Shape, directory: Path, say: Say
    ) -> None:
        self._builders = builders
        self._registry = registry
        self._shape = shape
        self._context = directory / "context"
        self._made: Make | None = None
        self._entrants: list[_Entrant] = []
        self._say = say

    def measure(self, scenario: Scenario, runs: int) -> list[Result]:
        """Every builder ``runs`` times. One that fails is left out of the rest; its result says why."""
        self._entrants = entrants = [
            _Entrant(builder, scenario, self._registry, self._say)
            for builder in self._builders
            if scenario.takes(builder.name)
        ]
        self._make(scenario)
        if scenario.warm:
            for entrant in entrants:
                entrant.run(self._context, "warm-up", fresh=True, counted=False)
        if scenario.warm and scenario.change is not None:
            forgotten()  # these builds make files, and clearing a store away for them is not a part of them
        for number in range(runs):
            if scenario.change is not None:
                scenario.change(self._context, self._shape, number)
            for entrant in entrants:
                entrant.run(self._context, f"{number + 1}/{runs}", fresh=not scenario.warm, counted=True)
        return self.results()

    def results(self) -> list[Result]:
        """Of the last scenario; of one that was interrupted, as far as it came."""
        return [entrant.result() for entrant in self._entrants]

    def _make(self, scenario: Scenario) -> None:
        """The context, unless the scenario before had the same and left it alone."""
        if self._made != scenario.make:
            shutil.rmtree(self._context, ignore_errors=True)
            self._say(f"{scenario.name}: making its context")
            scenario.make(self._context, self._shape)
        self._made = scenario.make if scenario.change is None else None
