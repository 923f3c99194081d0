"""The order of runs, on builders that only remember what was asked of them."""

from pathlib import Path

from tests.bench.builders import BuildFailed, Job
from tests.bench.contexts import Shape
from tests.bench.figures import Sample
from tests.bench.measure import Bench
from tests.bench.scenarios import Scenario


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
    """A registry in which every layer of an image has as many bytes as its name has letters."""

    def __init__(self) -> None:
        self.renewed = 0

    def name(self, repository: str) -> str:
        return f"registry/{repository}"

    def fresh(self) -> None:
        self.renewed += 1

    def layer_bytes(self, repository: str) -> int:
        return len(repository)


def make(directory: Path, shape: Shape) -> None:
    directory.mkdir()
    (directory / "file").write_text("made")


def change(directory: Path, shape: Shape, number: int) -> None:
    (directory / "file").write_text(f"changed {number}")


def test_cold_runs_take_turns_each_with_a_fresh_store(tmp_path: Path) -> None:
    log: list[str] = []
    bench = Bench([Recorder("a", log), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    results = bench.measure(Scenario("x", make, ""), 2)
    assert log == [*("a fresh", "a made", "b fresh", "b made")] * 2
    assert [(found.builder, [sample.seconds for sample in found.samples]) for found in results] == [
        ("a", [1.0, 2.0]),
        ("b", [1.0, 2.0]),
    ]
    assert list(tmp_path.iterdir()) == []


def test_warm_runs_keep_the_store_and_do_not_count_the_first(tmp_path: Path) -> None:
    log: list[str] = []
    bench = Bench([Recorder("a", log), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    results = bench.measure(Scenario("x", make, "", warm=True, change=change), 2)
    assert log == [
        *("a fresh", "a made", "b fresh", "b made"),
        *("a changed 0", "b changed 0", "a changed 1", "b changed 1"),
    ]
    assert [[sample.seconds for sample in found.samples] for found in results] == [[2.0, 3.0], [2.0, 3.0]]


def test_who_fails_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    log: list[str] = []
    bench = Bench([Recorder("a", log, fails_at=2), Recorder("b", log)], Shelf(), Shape(), tmp_path, lambda _: None)
    first, second = bench.measure(Scenario("x", make, ""), 3)
    assert log.count("a made") == 2
    assert (first.samples, first.problem) == ((), "no")
    assert len(second.samples) == 3


def test_a_fetched_base_and_a_pushed_result_go_through_the_registry(tmp_path: Path) -> None:
    recorder, shelf = Recorder("a", []), Shelf()
    bench = Bench([recorder], shelf, Shape(), tmp_path, lambda _: None)
    (found,) = bench.measure(Scenario("x", make, "", base="box", fetched=True, push=True), 2)
    assert recorder.bases == [None, None]
    assert recorder.jobs == [Job("registry/box", "registry/bench")] * 2
    assert shelf.renewed == 2
    assert [sample.pushed for sample in found.samples] == [len("bench") - len("box")] * 2


def test_a_local_base_and_result_do_not(tmp_path: Path) -> None:
    recorder = Recorder("a", [])
    (found,) = Bench([recorder], Shelf(), Shape(), tmp_path, lambda _: None).measure(
        Scenario("x", make, "", base="box"), 1
    )
    assert (recorder.bases, recorder.jobs) == (["box"], [Job("base")])
    assert found.samples[0].pushed is None
