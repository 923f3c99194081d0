"""Steps at once: their order, how many, and how all of them end when one fails."""

import subprocess
import sys
import threading

import pytest

from builder.errors import Cancelled, StepFailed
from builder.events import StepFailed as FailedEvent
from builder.events import StepStarted
from builder.plan.graph import NodeId
from builder.sandbox.spec import Outcome
from builder.solve.crew import ReadyQueue
from layers.errors import StoreError
from tests.conftest import REPOSITORY
from tests.fakes.runner import Script, exits
from tests.support.planning import plan
from tests.unit.solve.conftest import Builds

WAIT_S = 20
"""A test that waits longer has failed."""

TWO = """
    FROM scratch AS a
    RUN first
    FROM scratch AS b
    RUN second
    FROM scratch
    COPY --from=a /a /a
    COPY --from=b /b /b
    """


def test_steps_without_mounts_import_little() -> None:
    """The first step to be executed waits for that."""
    script = "import sys; import builder.solve.crew; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    theirs = {"builder.solve.steps", "builder.solve.run"}
    assert theirs <= set(loaded.stdout.split())
    kinds = {f"builder.solve.{name}" for name in ("add", "agents", "devices", "mounts", "secrets")}
    assert not (kinds | {"socket", "subprocess"}) & set(loaded.stdout.split())


def drained(queue: ReadyQueue) -> list[NodeId]:
    order = []
    while queue:
        order.append(queue.pop())
        queue.done(order[-1])
    return order


def test_the_longest_way_goes_first() -> None:
    found = plan("""
        FROM scratch AS short
        RUN s
        FROM scratch AS long
        RUN l1
        RUN l2
        RUN l3
        FROM scratch
        COPY --from=short / /
        COPY --from=long / /
        """)
    steps = [node.id for node in found.nodes.values() if node.inputs]
    titles = [found.nodes[number].title for number in drained(ReadyQueue(found, steps))]
    assert titles == ["RUN l1", "RUN s", "RUN l2", "RUN l3", "COPY --from=short / /", "COPY --from=long / /"]


def test_only_steps_that_are_left_are_waited_for() -> None:
    found = plan("FROM scratch\nRUN one\nRUN two\nRUN three\n")
    last = found.target
    queue = ReadyQueue(found, [last])
    assert queue.pop() == last
    queue.done(last)
    assert not queue


def test_a_step_starts_when_its_last_input_is_there() -> None:
    found = plan(TWO)
    steps = [node.id for node in found.nodes.values() if node.inputs]
    queue = ReadyQueue(found, steps)
    first, second = queue.pop(), queue.pop()
    assert not queue
    queue.done(first)
    queue.done(second)
    assert queue
    copied = queue.pop()
    assert not queue
    queue.done(copied)
    assert queue.pop() == found.target


# work


def test_independent_steps_run_at_once(builds: Builds) -> None:
    both = threading.Barrier(2, timeout=WAIT_S)
    builds.runner.scripts = {
        "first": Script({"a": b"1"}, meanwhile=both.wait),
        "second": Script({"b": b"2"}, meanwhile=both.wait),
    }
    found = plan(TWO)
    rootfs = builds.solve(found)[found.target].rootfs
    assert builds.runner.most == 2
    assert (builds.read(rootfs, "a"), builds.read(rootfs, "b")) == (b"1", b"2")


def test_no_more_than_asked_for(builds: Builds) -> None:
    builds.runner.scripts = {"first": Script({"a": b""}), "second": Script({"b": b""})}
    builds.solve(plan(TWO), jobs=1)
    assert sorted(builds.runner.commands) == ["first", "second"]
    assert builds.runner.most == 1


def test_one_failure_stops_the_others(builds: Builds) -> None:
    """The first failure is the one that is told; steps that run are made to end, others don't begin."""
    cancelled = builds.runner.cancelled
    started = threading.Event()

    def long() -> None:
        started.set()
        assert cancelled.wait(WAIT_S)

    builds.runner.scripts = {
        "first": Script(meanwhile=long, outcome=Outcome(None, 9, None, 1.0)),
        "second": Script(meanwhile=lambda: started.wait(WAIT_S), outcome=exits(5)),
    }
    with pytest.raises(StepFailed, match="exit code: 5"):
        builds.solve(plan(TWO))
    assert builds.stops == 1
    assert sorted(builds.runner.commands) == ["first", "second"]
    assert builds.store.check() == []
    assert len(builds.told(FailedEvent)) == 2


def test_a_step_that_ends_well_after_a_failure_is_remembered(builds: Builds) -> None:
    failed = builds.runner.cancelled
    builds.runner.scripts = {
        "first": Script({"a": b"1"}, meanwhile=lambda: failed.wait(WAIT_S)),
        "second": Script({"b": b"2"}, outcome=exits(5)),
    }
    with pytest.raises(StepFailed):
        builds.solve(plan(TWO))
    builds.runner.scripts = {"second": Script({"b": b"2"})}
    found = plan(TWO)
    rootfs = builds.solve(found)[found.target].rootfs
    assert builds.runner.commands == ["second"]
    assert builds.read(rootfs, "a") == b"1"


def test_a_cancelled_build(builds: Builds) -> None:
    def cancel() -> None:
        builds.cancelled.set()
        assert builds.runner.cancelled.wait(WAIT_S)

    builds.runner.scripts = {"one": Script(meanwhile=cancel, outcome=Outcome(None, 9, None, 1.0))}
    with pytest.raises(Cancelled):
        builds.solve(plan("FROM scratch\nRUN one\nRUN two\n"))
    assert builds.runner.commands == ["one"]
    assert builds.stops == 1


def test_errors_of_the_store_are_told_with_their_step(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StoreError("store.db: database or disk is full")

    monkeypatch.setattr(builds.store, "record_step", full)
    found = plan("FROM scratch\nRUN one\n")
    with pytest.raises(StoreError, match="disk is full"):
        builds.solve(found)
    assert builds.told(StepStarted) == builds.told(FailedEvent) == [found.target]


def test_errors_of_the_host_are_told_with_their_step(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "/store/leases/1")

    monkeypatch.setattr(builds.store, "record_step", full)
    found = plan("FROM scratch\nRUN one\n")
    with pytest.raises(StepFailed, match="No space left on device: /store/leases/1") as caught:
        builds.solve(found)
    assert caught.value.span == found.nodes[found.target].span
    assert builds.told(FailedEvent) == [found.target]


def test_while_a_step_takes_its_time_there_is_some_for_the_image(builds: Builds) -> None:
    told: list[bool] = []
    builds.runner.scripts["slow"] = Script(meanwhile=lambda: told.append(builds.offers.idled.wait(WAIT_S)))
    builds.solve(plan("FROM scratch\nRUN quick\nRUN slow\n"))
    assert told == [True]
    assert builds.offers.made == {0: True, 1: True}
    builds.solve(plan("FROM scratch\nRUN quick\nRUN slow\n"))
    assert builds.offers.made == {0: False, 1: False}


def test_what_goes_wrong_in_deciding_stops_the_steps(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("builder.solve.board.Board.idle", fail)
    builds.runner.scripts["slow"] = Script(meanwhile=lambda: builds.runner.cancelled.wait(WAIT_S))
    with pytest.raises(RuntimeError, match="no"):
        builds.solve(plan("FROM scratch\nRUN slow\n"))
    assert builds.stops == 1
    assert builds.runner.cancelled.is_set()


def test_threads_that_cannot_be_had_are_an_error(builds: Builds, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("step-"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        builds.solve(plan("FROM scratch\nRUN one\n"))
    assert builds.stops == 1
