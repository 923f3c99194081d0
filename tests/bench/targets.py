"""What pybuild must reach, and whether it does. Pure."""

import enum
import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple, assert_never

from tests.bench.figures import OURS, ROOTLESS, Result, aligned, peak, pushed, ratio, seconds

MIB = 1 << 20
REFERENCES = ("buildkit", "docker")
"""Whose figures the ratios are of: the first of these that was measured."""


class Of(enum.Enum):
    RATIO = "x"
    """The median, by the reference's."""
    SECONDS = "s"
    UNIT = "s each"
    """The median, by the number of equal things that are built."""
    MORE = "s more"
    """The median, above that of the scenario ``beside``."""
    SIZE = "x zlib"
    """Pushed bytes, by what zlib makes of them."""
    PEAK = "MiB"
    GROWTH = "x growth"
    """What one more thing costs between the two largest of a series, by what each costs in the smaller of them;
    ``work`` and ``-again`` name the series."""


class Target(NamedTuple):
    work: str
    scenario: str
    of: Of
    limit: float
    beside: str = ""


TARGETS = (
    Target("a RUN step's own overhead", "steps", Of.UNIT, 0.015),
    Target("the same", "steps", Of.RATIO, 0.25),
    Target("app, nothing changed, as root", "rebuild", Of.SECONDS, 0.12),
    Target("app, nothing changed, rootless", "rebuild-rootless", Of.SECONDS, 0.16),
    Target("app, nothing changed, --pull", "rebuild-pull", Of.MORE, 0.15, "rebuild"),
    Target("app after one source edit", "edit", Of.RATIO, 0.6),
    Target("big, cold + push", "big", Of.RATIO, 0.45),
    Target("many, cold + push", "many", Of.RATIO, 0.12),
    Target("many, cold without output", "many-local", Of.RATIO, 0.12),
    Target("many, nothing changed", "many-rebuild", Of.RATIO, 0.3),
    Target("many, then two RUNs, cold + push", "many+run", Of.RATIO, 0.2),
    Target("parallel", "parallel", Of.RATIO, 1.05),
    Target("pull", "pull", Of.RATIO, 0.9),
    Target("apt, cold + push", "apt", Of.RATIO, 0.9),
    Target("size of app", "app", Of.SIZE, 1.05),
    Target("size of many", "many", Of.SIZE, 1.05),
    Target("size of big", "big", Of.SIZE, 1.05),
    Target("size of apt", "apt", Of.SIZE, 1.05),
    Target("memory, many", "memory", Of.PEAK, 200),
    Target("memory, big", "memory-big", Of.PEAK, 200),
    Target("memory, a million files", "memory-1m", Of.PEAK, 300),
    Target("1000 steps of metadata", "metadata", Of.GROWTH, 1.15),
    Target("1000 cached steps", "cached", Of.GROWTH, 1.15),
    Target("most context files", "files", Of.GROWTH, 1.15),
    Target("most context files, again", "files-again", Of.GROWTH, 1.15),
)
"""Costs that do not grow are those that grow by less than what runs differ by: 1.15. They are compared with all that
the smaller ones cost, start-up and all: what a hundred steps cost beyond that, 10 ms, is what runs differ by, too."""


class Verdict(NamedTuple):
    target: Target
    value: float | None
    reference: str = ""

    @property
    def missed_by(self) -> float | None:
        """How many times the limit it is; None when it is met, or was not measured."""
        return self.value / self.target.limit if self.value is not None and self.value > self.target.limit else None


class Measured:
    """``units``: by scenario, how many equal things it builds."""

    def __init__(self, results: Sequence[Result], units: Mapping[str, int]) -> None:
        self._results = {(result.scenario, result.builder): result for result in results}
        self._units = units

    def verdict(self, target: Target) -> Verdict:
        match target.of:
            case Of.RATIO:
                return self._against(target)
            case Of.SECONDS:
                value = self._median(target.scenario)
            case Of.UNIT:
                median, units = self._median(target.scenario), self._units.get(target.scenario)
                value = median / units if median is not None and units else None
            case Of.MORE:
                median, other = self._median(target.scenario), self._median(target.beside)
                value = median - other if median is not None and other is not None else None
            case Of.SIZE:
                value = self._size(target.scenario)
            case Of.PEAK:
                ours = self._ours(target.scenario)
                found = peak(ours) if ours is not None else None
                value = found / MIB if found is not None else None
            case Of.GROWTH:
                value = growth(self.series(target.scenario))
            case _:
                assert_never(target.of)
        return Verdict(target, value)

    def _ours(self, scenario: str) -> Result | None:
        return self._results.get((scenario, OURS)) or self._results.get((scenario, ROOTLESS))

    def _median(self, scenario: str) -> float | None:
        ours = self._ours(scenario)
        values = seconds(ours) if ours is not None else None
        return values.median if values is not None else None

    def _against(self, target: Target) -> Verdict:
        for name in REFERENCES:
            theirs = self._results.get((target.scenario, name))
            value = ratio(self._ours(target.scenario), theirs) if theirs is not None else None
            if value is not None:
                return Verdict(target, value, name)
        return Verdict(target, None)

    def _size(self, scenario: str) -> float | None:
        ours = self._ours(scenario)
        size = pushed(ours) if ours is not None else None
        return size / ours.zlib if ours is not None and size is not None and ours.zlib else None

    def series(self, name: str) -> list[tuple[int, float]]:
        """Units and median of the scenarios NAME-UNITS, or NAME-UNITS-again for ``NAME-again``."""
        first, _, last = name.partition("-")
        found = []
        for scenario, units in self._units.items():
            start, *rest = scenario.split("-")
            median = self._median(scenario)
            if start == first and rest[1:] == ([last] if last else []) and median is not None:
                found.append((units, median))
        return sorted(found)


def costs(points: Sequence[tuple[int, float]]) -> list[float]:
    """Seconds that one more costs, between each point and the next."""
    return [(more - less) / (many - few) for (few, less), (many, more) in itertools.pairwise(points)]


def growth(points: Sequence[tuple[int, float]]) -> float | None:
    """Above 1, what each costs grows with their number. None without two points, or when nothing took any time."""
    if len(points) < 2 or points[-2][1] <= 0:
        return None
    units, total = points[-2]
    return costs(points)[-1] / (total / units)


def target_table(results: Sequence[Result], units: Mapping[str, int]) -> str:
    measured = Measured(results, units)
    rows: list[tuple[str, ...]] = [("target", "scenario", "limit", "measured", "of", "")]
    for verdict in map(measured.verdict, TARGETS):
        target = verdict.target
        of = f"x {verdict.reference or REFERENCES[0]}" if target.of is Of.RATIO else target.of.value
        value = f"{verdict.value:.3f}" if verdict.value is not None else "-"
        rows.append((target.work, target.scenario, f"{target.limit:g}", value, of, _judged(verdict)))
    return aligned(rows, text=(0, 1, 4))


def _judged(verdict: Verdict) -> str:
    if verdict.value is None:
        return "not measured"
    return f"missed, {verdict.missed_by:.2f} x the limit" if verdict.missed_by is not None else "met"


def cost_table(results: Sequence[Result], units: Mapping[str, int]) -> str:
    """Of each series: what all cost, and what one more costs than in the row above."""
    measured = Measured(results, units)
    rows: list[tuple[str, ...]] = [("series", "units", "s", "us each", "us one more")]
    for name in (target.scenario for target in TARGETS if target.of is Of.GROWTH):
        points = measured.series(name)
        more = ["", *(f"{cost * 1e6:.2f}" for cost in costs(points))]
        rows += [
            (name, f"{many}", f"{median:.3f}", f"{median / many * 1e6:.2f}", extra)
            for (many, median), extra in zip(points, more, strict=False)
        ]
    return aligned(rows, text=(0,)) if len(rows) > 1 else ""
