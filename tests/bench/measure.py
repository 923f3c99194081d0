"""The runs themselves: in turn (A B C A B C), so that what disturbs the machine disturbs all of them."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.builders import Builder, BuildFailed
from tests.bench.contexts import Shape
from tests.bench.figures import Result, Sample
from tests.bench.scenarios import Scenario

Say = Callable[[str], None]


class _Entrant:
    """One builder in one scenario: what it was measured at, and why it is out of the race, if it is."""

    def __init__(self, builder: Builder, scenario: str, say: Say) -> None:
        self._builder = builder
        self._scenario = scenario
        self._say = say
        self._samples: list[Sample] = []
        self._problem = ""

    def run(self, context: Path, label: str, *, fresh: bool, counted: bool) -> None:
        if self._problem:
            return
        try:
            if fresh:
                self._builder.fresh()
            # What an earlier run left to be written is not written during this one.
            os.sync()
            sample = self._builder.build(context)
        except BuildFailed as error:
            self._problem = str(error)
            self._say(f"{self._scenario} {self._builder.name} failed: {error}")
            return
        self._say(f"{self._scenario} {label} {self._builder.name} {sample.seconds:.3f} s")
        if counted:
            self._samples.append(sample)

    def result(self) -> Result:
        samples = () if self._problem else tuple(self._samples)
        return Result(self._scenario, self._builder.name, samples, self._problem)


class Bench:
    """``directory`` is where contexts are made; ``say`` gets a line about every run."""

    def __init__(self, builders: Sequence[Builder], shape: Shape, directory: Path, say: Say) -> None:
        self._builders = builders
        self._shape = shape
        self._context = directory / "context"
        self._say = say

    def measure(self, scenario: Scenario, runs: int) -> list[Result]:
        """Every builder ``runs`` times. One that fails is left out of the rest; its result says why."""
        entrants = [_Entrant(builder, scenario.name, self._say) for builder in self._builders]
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
