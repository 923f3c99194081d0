"""The order of runs, on builders that only remember what was asked of them."""

import gzip
import subprocess
from pathlib import Path

import pytest

from tests.bench.builders import Job
from tests.bench.command import BuildFailed
from tests.bench.contexts import Shape
from tests.bench.figures import OURS, ROOTLESS, Sample
from tests.bench.measure import Bench
from tests.bench.registry import Layer, zlib_size
from tests.bench.scenarios import Scenario


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a quiet machine, which one that runs tests is not."""
    monkeypatch.setattr("tests.bench.measure.quiet", lambda: None)
    monkeypatch.setattr("tests.bench.measure.forgotten", lambda: None)


class Recorder:
    def __init__(self, name: str, log: list[str], fails_at: int = -1) -> None:
        self.name = name
        self._log = log
        self._fails_at = fails_at
        self._builds = 0
        self.bases: list[str | None] = []
        self.jobs: list[Job] = []

    def version(self) -> str:
        return "1"

    def fresh(self, base: str | None) -> None:
        self._log.append(f"{self.name} fresh")
        self.bases.append(base)

    def build(self, context: Path, job: Job) -> Sample:
        self.jobs.append(job)
        self._log.append(f"{self.name} {(context / 'file').read_text()}")
        self._builds += 1
        if self._builds == self._fails_at:
            raise BuildFailed("no")
        return Sample(float(self._builds))

    def close(self) -> None:
        self._log.append(f"{self.name} close")


class Shelf:
    """A registry in which an image has two layers: as many bytes as there are letters in its name, and its base's."""

    def __init__(self, blob: Path | None = None) -> None:
        self.renewed = 0
        self.blob = blob

    def name(self, repository: str) -> str:
        return f"registry/{repository}"

    def fresh(self) -> None:
        self.renewed += 1

    def added(self, repository: str, base: str) -> list[Layer]:
        assert self.blob is not None
        return [Layer("sha256:a", len(repository), self.blob), Layer("sha256:b", len(base), self.blob)]


def make(directory: Path, shape: Shape) -> None:
    directory.mkdir()
    (directory / "file").write_text("made")


def change(directory: Path, shape: Shape, number: int) -> None:
    (directory / "file").write_text(f"changed {number}")


def test_cold_runs_take_turns_each_with_a_fresh_store(tmp_path: Path) -> None:
    log: list[str] = []
    bench = Bench([Recorder("a", log), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    results = bench.measure(Scenario("x", "kind", make, ""), 2)
    assert log == [*("a fresh", "a made", "b fresh", "b made")] * 2
    assert [(found.builder, [sample.seconds for sample in found.samples]) for found in results] == [
        ("a", [1.0, 2.0]),
        ("b", [1.0, 2.0]),
    ]


def test_warm_runs_keep_the_store_and_do_not_count_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr("tests.bench.measure.forgotten", lambda: log.append("a minute"))
    bench = Bench([Recorder("a", log), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    results = bench.measure(Scenario("x", "kind", make, "", warm=True, change=change), 2)
    assert log == [
        *("a fresh", "a made", "b fresh", "b made", "a minute"),
        *("a changed 0", "b changed 0", "a changed 1", "b changed 1"),
    ]
    assert [[sample.seconds for sample in found.samples] for found in results] == [[2.0, 3.0], [2.0, 3.0]]


def test_who_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    log: list[str] = []
    bench = Bench([Recorder("a", log, fails_at=2), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    first, second = bench.measure(Scenario("x", "kind", make, ""), 3)
    assert log.count("a made") == 2
    assert (first.samples, first.problem) == ((Sample(1.0),), "no")
    assert len(second.samples) == 3


def test_a_fetched_base_and_a_pushed_result_go_through_the_registry(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(b"x" * 1000))
    recorder, shelf = Recorder("a", []), Shelf(blob)
    bench = Bench([recorder], shelf, Shape(), tmp_path, lambda _: None)
    (found,) = bench.measure(Scenario("x", "kind", make, "", base="box", fetched=True, push=True), 2)
    assert recorder.bases == [None, None]
    assert recorder.jobs == [Job("registry/box", "registry/bench")] * 2
    assert shelf.renewed == 2
    assert [sample.pushed for sample in found.samples] == [len("bench") + len("box")] * 2


def test_a_local_base_and_result_do_not(tmp_path: Path) -> None:
    recorder = Recorder("a", [])
    (found,) = Bench([recorder], Shelf(), Shape(), tmp_path, lambda _: None).measure(
        Scenario("x", "kind", make, "", base="box"), 1
    )
    assert (recorder.bases, recorder.jobs) == (["box"], [Job("base")])
    assert found.samples[0].pushed is None


def test_sizes_are_set_against_zlib_once(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(b"x" * 100_000, 1))
    builders = [Recorder(OURS, []), Recorder("b", [])]
    bench = Bench(builders, Shelf(blob), Shape(), tmp_path, lambda _: None)
    ours, theirs = bench.measure(Scenario("x", "kind", make, "", push=True, sized=True), 2)
    assert (ours.zlib, theirs.zlib) == (2 * zlib_size(blob), None)


def test_each_scenario_has_its_builders(tmp_path: Path) -> None:
    builders = [Recorder(OURS, []), Recorder(ROOTLESS, []), Recorder("b", [])]
    bench = Bench(builders, Shelf(), Shape(), tmp_path, lambda _: None)
    takes = {
        alone: [r.builder for r in bench.measure(Scenario("x", "kind", make, "", alone=alone), 1)]
        for alone in (None, OURS, ROOTLESS)
    }
    assert takes == {None: [OURS, "b"], OURS: [OURS], ROOTLESS: [ROOTLESS]}


@pytest.mark.parametrize("error", [AssertionError("no daemon"), OSError("full"), subprocess.TimeoutExpired("x", 3)])
def test_a_builder_that_cannot_be_prepared_is_its_own_problem(tmp_path: Path, error: Exception) -> None:
    class Broken(Recorder):
        def fresh(self, base: str | None) -> None:
            raise error

    log: list[str] = []
    bench = Bench([Broken("a", log), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    first, second = bench.measure(Scenario("x", "kind", make, ""), 1)
    assert (first.samples, first.problem) == ((), str(error))
    assert len(second.samples) == 1


def test_a_context_is_kept_for_the_next_scenario(tmp_path: Path) -> None:
    """But not one that was changed."""
    log: list[str] = []

    def counted(directory: Path, shape: Shape) -> None:
        log.append("make")
        make(directory, shape)

    bench = Bench([Recorder("a", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    for scenario in (
        Scenario("x", "kind", counted, ""),
        Scenario("y", "kind", counted, "", change=change),
        Scenario("z", "kind", counted, ""),
        Scenario("o", "kind", make, ""),
    ):
        bench.measure(scenario, 1)
    assert [line for line in log if line != "a fresh"] == [
        *("make", "a made", "a changed 0", "make", "a made", "a made")
    ]


def test_an_interrupted_scenario_keeps_what_it_measured(tmp_path: Path) -> None:
    class Interrupted(Recorder):
        def build(self, context: Path, job: Job) -> Sample:
            raise KeyboardInterrupt

    bench = Bench([Recorder("a", []), Interrupted("b", [])], Shelf(), Shape(), tmp_path, lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        bench.measure(Scenario("x", "kind", make, ""), 2)
    first, second = bench.results()
    assert (first.samples, first.problem) == ((Sample(1.0),), "")
    assert (second.samples, second.problem) == ((), "not run")
