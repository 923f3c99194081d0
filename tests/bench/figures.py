"""From samples to what is printed and written. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

OURS = "pybuild"
ROOTLESS = "pybuild-rootless"


class Sample(NamedTuple):
    """One timed run. ``processor`` (seconds, user and system) is of the process and those it waited for: None for a
    builder whose work is done by a daemon. ``peak``: resident bytes of all processes together, where a scenario asks.
    ``phases`` are pybuild's own, in seconds."""

    seconds: float
    processor: float | None = None
    peak: int | None = None
    phases: Mapping[str, float] = {}
    pushed: int | None = None
    """Compressed bytes of the layers that the build added, if it was pushed."""


class Result(NamedTuple):
    """All runs of one builder in one scenario; those before the ``problem`` when it could not do it."""

    scenario: str
    builder: str
    samples: tuple[Sample, ...]
    problem: str = ""
    zlib: int | None = None
    """Bytes that zlib, level 6, makes of the layers that were pushed."""


class Spread(NamedTuple):
    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread | None:
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def seconds(result: Result) -> Spread | None:
    return spread([sample.seconds for sample in result.samples])


def peak(result: Result) -> int | None:
    return max((sample.peak for sample in result.samples if sample.peak is not None), default=None)


def pushed(result: Result) -> int | None:
    return max((sample.pushed for sample in result.samples if sample.pushed is not None), default=None)


def ratio(ours: Result | None, theirs: Result) -> float | None:
    """Median by median; None without both. Below 1: pybuild is faster."""
    mine = seconds(ours) if ours is not None else None
    other = seconds(theirs)
    return mine.median / other.median if mine is not None and other is not None and other.median else None


def _ours(results: Sequence[Result], scenario: str) -> Result | None:
    return next((found for found in results if (found.scenario, found.builder) == (scenario, OURS)), None)


def _row(result: Result, ours: Result | None) -> tuple[str, ...]:
    values = seconds(result)
    if values is None:
        return (result.scenario, result.builder, "failed", "", "", "", "", "", "", note(result.problem))
    quotient = ratio(ours, result) if result.builder != OURS else None
    processor = spread([sample.processor for sample in result.samples if sample.processor is not None])
    most, size = peak(result), pushed(result)
    return (
        result.scenario,
        result.builder,
        f"{values.median:.3f}",
        f"{values.least:.3f}-{values.most:.3f}",
        f"{quotient:.3f}" if quotient is not None else "",
        f"{processor.median:.3f}" if processor is not None else "",
        f"{most / (1 << 20):.0f}" if most is not None else "",
        f"{size / (1 << 20):.1f}" if size is not None else "",
        f"{size / result.zlib:.3f}" if size is not None and result.zlib else "",
        f"after {len(result.samples)} of its runs: {note(result.problem)}" if result.problem else "",
    )


def note(problem: str) -> str:
    """A line of it that says most: the last one."""
    lines = [line.strip() for line in problem.splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""


HEADINGS = (
    *("scenario", "builder", "median s", "min-max s", "pybuild/peer", "CPU s", "peak MiB"),
    *("pushed MiB", "x zlib 6", ""),
)


def table(results: Sequence[Result]) -> str:
    rows = [_row(result, _ours(results, result.scenario)) for result in results]
    return aligned([HEADINGS, *rows])


def aligned(rows: Sequence[Sequence[str]], text: Sequence[int] = (0, 1)) -> str:
    """``text``: columns of text. Those of numbers stand to the right, and what has no heading is a note."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in text or not rows[0][column] else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def phase_medians(result: Result) -> dict[str, float]:
    """Each phase's median over the runs; a run without it counts as 0."""
    names = dict.fromkeys(name for sample in result.samples for name in sample.phases)
    return {name: statistics.median([sample.phases.get(name, 0.0) for sample in result.samples]) for name in names}


def phase_table(results: Sequence[Result]) -> str:
    """Milliseconds of every phase of pybuild's builds, medians."""
    rows: list[tuple[str, ...]] = [("scenario", "phase", "ms")]
    for result in results:
        rows += [
            (result.scenario, name, f"{value * 1000:.1f}")
            for name, value in phase_medians(result).items()
            if result.builder == OURS
        ]
    return aligned(rows)


def document(results: Sequence[Result], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was measured, for programs. Times in seconds, sizes in bytes."""
    found = []
    for result in results:
        values = seconds(result)
        found.append(
            {
                "scenario": result.scenario,
                "builder": result.builder,
                "seconds": [sample.seconds for sample in result.samples],
                "median": values.median if values is not None else None,
                "ratio": ratio(_ours(results, result.scenario), result) if result.builder != OURS else None,
                "processor": [sample.processor for sample in result.samples],
                "peak": peak(result),
                "pushed": pushed(result),
                "zlib": result.zlib,
                "phases": phase_medians(result),
                "problem": result.problem,
            }
        )
    return {"machine": dict(machine), "results": found}
