"""A store whose clock is set by hand and whose durability process is not started."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layers.store import Store


class Clock:
    """Seconds since the epoch; ``now`` is set by tests."""

    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Store]:
    """Opens the test's one store, once more each time."""
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    return lambda: Store.open(str(tmp_path / "store"), clock=clock)


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Iterator[Store]:
    with open_store() as opened:
        yield opened
