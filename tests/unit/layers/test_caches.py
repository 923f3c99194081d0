"""Cache mounts: who gets which directory, and what is removed when."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.caches import CacheHold, CacheKind, Caches, Stopped
from layers.store import Store

KIND = CacheKind("a" * 64, "apt")
OTHER = CacheKind("b" * 64, "npm")
NOW = 2_000_000_000.0
WEEK = 7 * 24 * 3600


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caches(tmp_path: Path, clock: Clock) -> Iterator[Caches]:
    with Store.open(str(tmp_path / "store"), clock=clock) as store:
        yield store.caches()


def never() -> bool:
    return False


def take(caches: Caches, sharing: str, kind: CacheKind = KIND) -> CacheHold:
    return caches.acquire(kind, sharing, os.mkdir, never)


def test_the_directory_stays(caches: Caches) -> None:
    first = take(caches, "shared")
    (Path(first.path) / "f").write_text("x")
    first.release()
    first.release()
    again = take(caches, "locked")
    assert again.path == first.path and (Path(again.path) / "f").read_text() == "x"
    assert take(caches, "shared", OTHER).path != first.path


def test_shared_ones_are_shared(caches: Caches) -> None:
    assert take(caches, "shared").path == take(caches, "shared").path


@pytest.mark.parametrize(("first", "second"), [("private", "private"), ("private", "shared"), ("shared", "private")])
def test_private_ones_are_not(first: str, second: str, caches: Caches) -> None:
    one = take(caches, first)
    other = take(caches, second)
    assert one.path != other.path
    one.release()
    assert take(caches, "private").path == one.path, "an idle one is used before a new one is made"


@pytest.mark.parametrize("holder", ["locked", "private", "shared"])
def test_locked_ones_wait(holder: str, caches: Caches) -> None:
    one = take(caches, holder)
    got: list[CacheHold] = []
    waiting = threading.Thread(target=lambda: got.append(take(caches, "locked")))
    waiting.start()
    waiting.join(0.2)
    assert not got
    one.release()
    waiting.join(10)
    assert [hold.path for hold in got] == [one.path]


def test_waiting_can_be_stopped(caches: Caches) -> None:
    take(caches, "locked")
    answers = iter((False, False, True))
    with pytest.raises(Stopped):
        caches.acquire(KIND, "locked", os.mkdir, lambda: next(answers))


def test_one_that_could_not_be_made_is_not_there(caches: Caches, tmp_path: Path) -> None:
    def fail(path: str) -> None:
        Path(path).mkdir()
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        caches.acquire(KIND, "shared", fail, never)
    assert list(caches.uses()) == []
    hold = take(caches, "private")
    assert not any(Path(hold.path).iterdir()) and hold.path.endswith("/0/m")


def test_many_threads_make_one(caches: Caches) -> None:
    made = []

    def fill(path: str) -> None:
        made.append(path)
        Path(path).mkdir()

    holds: list[CacheHold] = []
    threads = [
        threading.Thread(target=lambda: holds.append(caches.acquire(KIND, "shared", fill, never))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({hold.path for hold in holds}) == 1 and len(holds) == 8 and len(made) == 1


@pytest.mark.parametrize("look", ["uses", "prune"])
def test_who_looks_at_a_cache_does_not_make_it_busy(caches: Caches, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    """A listing, or a prune that keeps it, has the lock for a moment: who comes then must not begin another."""
    take(caches, "shared").release()
    holds: list[CacheHold] = []
    comer = threading.Thread(target=lambda: holds.append(take(caches, "shared")))
    close = os.close

    def slowly(descriptor: int) -> None:
        if str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith("/0.lock") and not comer.ident:
            comer.start()
            comer.join(0.2)
        close(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", slowly)
        list(caches.uses()) if look == "uses" else caches.prune(idle=WEEK)
    comer.join(30)
    assert [hold.path.rpartition("caches/")[2] for hold in holds] == [f"{KIND.identity}/0/m"]


def test_a_shared_cache_that_is_being_made_is_waited_for(caches: Caches) -> None:
    holds: list[CacheHold] = []
    comer = threading.Thread(target=lambda: holds.append(take(caches, "shared")))

    def fill(path: str) -> None:
        comer.start()
        comer.join(0.2)
        Path(path).mkdir()
        Path(path, "begun").touch()

    holds.append(caches.acquire(KIND, "shared", fill, never))
    comer.join(30)
    assert len({hold.path for hold in holds}) == 1 and len(holds) == 2
    assert [path.name for path in Path(holds[0].path).iterdir()] == ["begun"]


def test_prune(caches: Caches, clock: Clock) -> None:
    take(caches, "shared").release()
    clock.now += WEEK
    held = take(caches, "shared", OTHER)
    (Path(held.path) / "f").write_bytes(b"x" * 100_000)
    assert sorted((use.id, use.busy) for use in caches.uses()) == [("apt", False), ("npm", True)]
    assert caches.prune(idle=WEEK, id="npm") == (0, 0)
    assert caches.prune(idle=WEEK + 1) == (0, 0)
    assert caches.prune(idle=WEEK)[0] == 1
    assert caches.prune()[0] == 0, "one that is held stays"
    held.release()
    count, freed = caches.prune(id="npm")
    assert count == 1 and freed >= 100_000
    assert list(caches.uses()) == []
    assert not any(Path(take(caches, "shared", OTHER).path).iterdir())


def test_layers_go_without_them(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        path = take(store.caches(), "shared").path
        store.prune(all=True)
        assert store.check() == []
    with Store.open(str(tmp_path / "store")):
        assert Path(path).is_dir()


def test_what_a_dead_holder_started_is_waited_for(caches: Caches) -> None:
    """A hold whose process ended without letting go: its descriptor is closed, and nothing else."""
    command = subprocess.Popen(["sleep", "1000"])
    hold = take(caches, "locked")
    hold.works(command.pid)
    os.close(hold._descriptor)
    got: list[CacheHold] = []
    waiting = threading.Thread(target=lambda: got.append(take(caches, "locked")))
    waiting.start()
    waiting.join(0.3)
    assert not got
    command.kill()
    command.wait()
    waiting.join(10)
    assert [each.path for each in got] == [hold.path]
    assert got[0].left() == ""


def test_a_released_one_is_free_at_once(caches: Caches) -> None:
    hold = take(caches, "private")
    hold.works(os.getpid())
    assert hold.left().startswith(f"{os.getpid()} ")
    hold.release()
    assert take(caches, "locked").left() == ""
    shared = take(caches, "shared", OTHER)
    shared.works(os.getpid())
    assert shared.left() == "", "one that is shared tells nothing"
