import threading
from functools import partial

import pytest

from registry.errors import Stopped
from registry.parallel import run_all


def test_all_are_run() -> None:
    done: list[int] = []
    run_all([partial(done.append, number) for number in range(20)], 4, threading.Event())
    assert sorted(done) == list(range(20))


def test_the_first_failure_stops_the_others() -> None:
    stop = threading.Event()

    def waits() -> None:
        assert stop.wait(10)
        raise Stopped

    def fails() -> None:
        raise ValueError("the cause")

    with pytest.raises(ValueError, match="the cause"):
        run_all([waits, fails], 2, stop)


def test_nothing_to_do() -> None:
    run_all([], 2, threading.Event())
