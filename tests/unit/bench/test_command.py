import itertools
from pathlib import Path

import pytest

from tests.bench import command


def test_a_build_waits_until_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    ticks = iter([(0, 0), (90, 100), (150, 200), (152, 300), (250, 400)])
    monkeypatch.setattr(command, "_used", lambda: next(ticks))
    monkeypatch.setattr("time.sleep", slept.append)
    command.quiet()
    assert len(slept) == 3, "at 90, 60 and 2 per cent"


def test_the_wait_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = ((100 * number, 100 * number) for number in itertools.count())
    times = itertools.count(step=10)
    monkeypatch.setattr(command, "_used", lambda: next(ticks))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    command.quiet()
    assert next(times) <= 10 * 12


def test_what_is_set_aside_makes_way(tmp_path: Path) -> None:
    store = tmp_path / "store"
    command.set_aside(store)
    for number in range(2):
        store.mkdir()
        (store / "file").write_text(str(number))
        command.set_aside(store)
    assert not store.exists()
    assert [(tmp_path / f"aside/store-{number}/file").read_text() for number in range(2)] == ["0", "1"]
