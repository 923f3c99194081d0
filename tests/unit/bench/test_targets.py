import pytest

from tests.bench.figures import OURS, ROOTLESS, Result, Sample
from tests.bench.scenarios import SCENARIOS
from tests.bench.targets import TARGETS, Measured, Of, Target, cost_table, costs, growth, target_table

MIB = 1 << 20


def result(scenario: str, builder: str, *seconds: float, peak: int = 0, pushed: int = 0, zlib: int = 0) -> Result:
    samples = tuple(Sample(value, peak=peak or None, pushed=pushed or None) for value in seconds)
    return Result(scenario, builder, samples, zlib=zlib or None)


def measured(target: Target, *results: Result, units: dict[str, int] | None = None) -> tuple[float | None, str]:
    verdict = Measured(results, units or {}).verdict(target)
    return verdict.value, verdict.reference


def test_every_target_is_of_a_scenario() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    for target in TARGETS:
        if target.of is Of.GROWTH:
            start, *rest = target.scenario.split("-")
            assert any(name.startswith(f"{start}-") and name.split("-")[2:] == rest for name in names)
        else:
            assert target.scenario in names
        assert not target.beside or target.beside in names


def test_ratios_are_to_buildkit_or_its_stand_in() -> None:
    target = Target("big", "big", Of.RATIO, 0.5)
    ours, docker = result("big", OURS, 1.0), result("big", "docker", 4.0)
    assert measured(target, ours, docker) == (0.25, "docker")
    assert measured(target, ours, docker, result("big", "buildkit", 2.0)) == (0.5, "buildkit")
    assert measured(target, ours, docker, Result("big", "buildkit", (), "failed")) == (0.25, "docker")
    assert measured(target, ours, result("big", "buildah", 2.0)) == (None, "")
    assert measured(target, docker) == (None, "")


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target("", "x", Of.SECONDS, 1), 3.0),
        (Target("", "x", Of.UNIT, 1), 0.3),
        (Target("", "x", Of.MORE, 1, "y"), 1.0),
        (Target("", "x", Of.SIZE, 1), 1.5),
        (Target("", "x", Of.PEAK, 1), 7.0),
        (Target("", "z", Of.SECONDS, 1), 5.0),
        (Target("", "y", Of.UNIT, 1), None),
        (Target("", "y", Of.SIZE, 1), None),
        (Target("", "y", Of.PEAK, 1), None),
        (Target("", "gone", Of.MORE, 1, "y"), None),
    ],
)
def test_values(target: Target, expected: float | None) -> None:
    results = (
        result("x", OURS, 1.0, 3.0, 4.0, peak=7 * MIB, pushed=30, zlib=20),
        result("y", OURS, 2.0),
        result("z", ROOTLESS, 5.0),
    )
    assert measured(target, *results, units={"x": 10}) == (pytest.approx(expected) if expected else None, "")


def test_growth_is_of_what_one_more_costs() -> None:
    assert growth([(1, 1.0), (10, 10.0), (100, 100.0)]) == pytest.approx(1.0)
    assert growth([(1, 1.0), (10, 10.0), (100, 190.0)]) == pytest.approx(2.0)
    assert growth([(100, 1.0), (1000, 2.8)]) == pytest.approx(0.2)
    assert growth([(1, 1.0)]) is None
    assert growth([(1, 0.0), (11, 2.0)]) is None
    assert growth([]) is None
    assert costs([(1, 1.0), (11, 2.0), (21, 4.0)]) == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("start", [0.0, 0.06])
def test_what_grows_with_the_number_is_noticed(start: float) -> None:
    """A start that costs as much as ever hides little of it among thousands."""
    assert (growth([(n, start + n * 1e-4) for n in (1000, 10_000, 100_000)]) or 0) <= 1.0
    assert (growth([(n, start + n * n * 1e-9) for n in (1000, 10_000, 100_000)]) or 0) > 5


def test_series_are_told_apart() -> None:
    units = {"files-1k": 1000, "files-1k-again": 1000, "files-10k": 10_000, "cached-10": 10}
    results = [result(name, OURS, float(number)) for number, name in enumerate(units)]
    found = Measured(results, units)
    assert found.series("files") == [(1000, 0.0), (10_000, 2.0)]
    assert found.series("files-again") == [(1000, 1.0)]
    assert found.series("cached") == [(10, 3.0)]
    assert cost_table(results, units).splitlines() == [
        "series       units      s    us each  us one more",
        "cached          10  3.000  300000.00",
        "files         1000  0.000       0.00",
        "files        10000  2.000     200.00       222.22",
        "files-again   1000  1.000    1000.00",
    ]
    assert cost_table([], units) == ""


def test_the_table_judges() -> None:
    results = [
        result("steps", OURS, 1.0),
        result("steps", "buildkit", 5.0),
        result("rebuild", OURS, 0.24),
        result("edit", OURS, 1.0),
        result("edit", "docker", 1.0),
    ]
    lines = target_table(results, {"steps": 50}).splitlines()
    assert lines[0].split() == ["target", "scenario", "limit", "measured", "of"]
    said = ["  ".join(line.split()) for line in lines]
    assert sum(line.endswith("-  x  buildkit  not  measured") for line in said) == 8
    assert sum("not  measured" in line for line in said) == len(TARGETS) - 4
    assert any(line.endswith("steps  0.015  0.020  s  each  missed,  1.33  x  the  limit") for line in said)
    assert any(line.endswith("steps  0.25  0.200  x  buildkit  met") for line in said)
    assert any(line.endswith("edit  0.6  1.000  x  docker  missed,  1.67  x  the  limit") for line in said)
    assert any(line.endswith("rebuild  0.12  0.240  s  missed,  2.00  x  the  limit") for line in said)
