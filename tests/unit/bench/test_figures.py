import json

import pytest

from tests.bench.figures import (
    Result,
    Sample,
    Spread,
    document,
    phase_medians,
    phase_table,
    ratio,
    spread,
    table,
)


def result(builder: str, *seconds: float, scenario: str = "app") -> Result:
    return Result(scenario, builder, tuple(Sample(value) for value in seconds))


def test_spread_is_the_median_between_the_extremes() -> None:
    assert spread([3.0, 1.0, 9.0]) == Spread(3.0, 1.0, 9.0)
    assert spread([4.0, 1.0, 2.0, 9.0]) == Spread(3.0, 1.0, 9.0)
    assert spread([]) is None


def test_one_slow_run_does_not_move_the_median() -> None:
    slow = spread([1.0, 1.1, 100.0])
    assert slow is not None
    assert slow.median == 1.1


def test_ratio_is_ours_by_theirs() -> None:
    assert ratio(result("pybuild", 1.0, 2.0, 3.0), result("buildah", 8.0)) == 0.25
    assert ratio(None, result("buildah", 8.0)) is None
    assert ratio(result("pybuild"), result("buildah", 8.0)) is None
    assert ratio(result("pybuild", 1.0), result("buildah")) is None


def test_table() -> None:
    results = [
        Result(
            "app",
            "pybuild",
            (Sample(0.5, 0.4, 30 << 20, pushed=1 << 20), Sample(0.7, 0.6, 32 << 20), Sample(0.6, 0.5, 31 << 20)),
            zlib=2 << 20,
        ),
        Result("app", "docker", (Sample(1.2, pushed=3 << 19),)),
        Result("big", "pybuild", (), "Traceback:\n\n exit code 1\n"),
        result("docker", 3.0, scenario="big"),
        Result("big", "buildah", (Sample(6.0),), "gone"),
    ]
    assert table(results).splitlines() == [
        "scenario  builder  median s    min-max s  pybuild/peer  CPU s  peak MiB  pushed MiB  x zlib 6",
        "app       pybuild     0.600  0.500-0.700                0.500        32         1.0     0.500",
        "app       docker      1.200  1.200-1.200         0.500                          1.5",
        f"big       pybuild    failed{'':66}  exit code 1",
        "big       docker      3.000  3.000-3.000",
        f"big       buildah     6.000  6.000-6.000{'':53}  after 1 of its runs: gone",
    ]


def test_ratios_are_within_a_scenario() -> None:
    results = [
        result("pybuild", 1.0),
        result("pybuild", 5.0, scenario="big"),
        result("docker", 10.0, scenario="big"),
    ]
    found = document(results, {})["results"]
    assert [entry["ratio"] for entry in found] == [None, None, 0.5]


def test_document_holds_what_was_measured() -> None:
    results = [Result("app", "pybuild", (Sample(0.5, 0.4, 7, {"run": 0.25}),)), Result("app", "docker", (), "gone")]
    found = json.loads(json.dumps(document(results, {"processors": 2})))
    assert found["machine"] == {"processors": 2}
    ours, theirs = found["results"]
    assert ours["seconds"] == [0.5]
    assert (ours["median"], ours["processor"], ours["peak"], ours["phases"]) == (0.5, [0.4], 7, {"run": 0.25})
    assert (theirs["median"], theirs["ratio"], theirs["problem"]) == (None, None, "gone")


def test_phase_medians_count_what_did_not_happen_as_nothing() -> None:
    runs = (Sample(1, phases={"run": 3.0}), Sample(1, phases={"run": 1.0, "pack": 5.0}), Sample(1, phases={"run": 2.0}))
    ours = Result("app", "pybuild", runs)
    assert phase_medians(ours) == {"run": 2.0, "pack": 0.0}
    assert phase_table([ours, result("docker", 1.0)]).splitlines()[1:] == [
        "app       run    2000.0",
        "app       pack      0.0",
    ]


@pytest.mark.parametrize("runs", [1, 2])
def test_median_of_few(runs: int) -> None:
    assert spread([2.0] * runs) == Spread(2.0, 2.0, 2.0)
