"""The hub: every event arrives once, in one thread, and a failing renderer doesn't hang the build."""

import threading

import pytest

from builder.events import Event, Warned
from builder.report.hub import PENDING, Hub


class Recorder:
    def __init__(self, fail_at: int | None = None) -> None:
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self.ticks: list[float] = []
        self.closed = 0
        self.fail_at = fail_at
        self.ticked = threading.Event()

    def __call__(self, event: Event) -> None:
        self.threads.add(threading.get_ident())
        self.events.append(event)
        if self.fail_at == len(self.events):
            raise BrokenPipeError(32, "Broken pipe")

    def tick(self, now: float) -> None:
        self.ticks.append(now)
        self.ticked.set()

    def close(self) -> None:
        self.closed += 1


def _send(hub: Hub, name: int) -> None:
    for number in range(500):
        hub.emit(Warned(float(number), name, ""))


def test_events_of_many_threads_arrive_in_one() -> None:
    recorder = Recorder()
    with Hub(recorder) as hub:
        senders = [threading.Thread(target=_send, args=(hub, name)) for name in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert len(recorder.events) == 2000
    assert len(recorder.threads) == 1
    assert threading.get_ident() not in recorder.threads
    assert recorder.closed == 1
    for name in range(4):
        assert [event.at for event in recorder.events if isinstance(event, Warned) and event.step == name] == [
            float(i) for i in range(500)
        ]


def test_ticks_are_on_the_clock_of_the_events() -> None:
    recorder = Recorder()
    with Hub(recorder) as hub:
        hub.emit(Warned(5e9, None, ""))
        assert recorder.ticked.wait(10)
    assert all(5e9 <= at < 5e9 + 10 for at in recorder.ticks)


def test_a_renderer_that_fails_is_told_about_and_left_alone() -> None:
    recorder = Recorder(fail_at=2)
    stopped = threading.Event()
    with pytest.raises(BrokenPipeError), Hub(recorder, on_failure=stopped.set) as hub:
        for number in range(PENDING * 3):
            hub.emit(Warned(float(number), None, ""))
        assert stopped.wait(10)
    assert len(recorder.events) == 2
    assert recorder.closed == 0


def test_an_error_of_the_build_goes_first() -> None:
    recorder = Recorder(fail_at=1)
    with pytest.raises(ValueError, match="the build's"), Hub(recorder) as hub:
        hub.emit(Warned(1.0, None, ""))
        raise ValueError("the build's")
    assert recorder.events
