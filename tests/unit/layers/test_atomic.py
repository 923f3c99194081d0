import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from layers import atomic
from layers.leases import remove_tree


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(params=["unnamed", "named"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With O_TMPFILE, and as on file systems that have none."""
    if request.param == "unnamed":
        return
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no unnamed files here", path)
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refusing)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("before", [None, b"old"])
def test_the_file_appears_whole_at_the_end(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_bytes(before)
    with atomic.replacing(str(path)) as write:
        write(b"ne")
        write(memoryview(b"w"))
        assert (path.read_bytes() if path.exists() else None) == before
    assert path.read_bytes() == b"new"
    assert names_in(tmp_path) == ["out"]


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("before", [None, b"old"])
def test_after_an_error_nothing_has_changed(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "out"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(KeyboardInterrupt), atomic.replacing(str(path)) as write:
        write(b"new")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ([] if before is None else ["out"])


def test_the_umask_counts(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic.replacing(str(tmp_path / "out")) as write:
            write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic.replacing(str(tmp_path / "link")) as write:
        write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_is_no_regular_file_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic.replacing(str(tmp_path / "pipe")) as write:
        write(b"new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.replacing(str(tmp_path / "no" / "out")):
        pytest.fail("there is nothing to write to")


def test_a_stage_is_gone_afterwards_unless_renamed(tmp_path: Path) -> None:
    with atomic.staging(str(tmp_path)) as stage:
        Path(stage, "file").touch()
    assert names_in(tmp_path) == []
    with atomic.staging(str(tmp_path)) as stage:
        Path(stage).rename(tmp_path / "kept")
    assert names_in(tmp_path) == ["kept"]


def test_sweeping_takes_what_nobody_holds(tmp_path: Path) -> None:
    Path(atomic.hidden(str(tmp_path))).mkdir()
    Path(atomic.hidden(str(tmp_path))).touch()
    (tmp_path / ".other").touch()
    with atomic.staging(str(tmp_path)) as stage:
        Path(stage, "file").touch()
        atomic.sweep(str(tmp_path))
        assert names_in(tmp_path) == sorted([".other", Path(stage).name])
        assert Path(stage, "file").exists()


@pytest.mark.usefixtures("_both_ways")
def test_replacing_a_file_sweeps_its_directory(tmp_path: Path) -> None:
    Path(atomic.hidden(str(tmp_path))).touch()
    (tmp_path / "out").touch()
    with atomic.replacing(str(tmp_path / "out")) as write:
        write(b"new")
    assert names_in(tmp_path) == ["out"]


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_sweeper_does_not_take_what_is_just_being_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Between making and locking, what is new looks abandoned."""
    flock, entered, go = fcntl.flock, threading.Event(), threading.Event()

    def remove(path: str) -> int:
        entered.set()
        assert go.wait(30)
        return remove_tree(path)

    sweeper = threading.Thread(target=atomic.sweep, args=(str(tmp_path),))

    def lock(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX and not sweeper.ident and names_in(tmp_path):
            sweeper.start()
            assert entered.wait(30)
            threading.Timer(0.1, go.set).start()
        flock(descriptor, operation)

    monkeypatch.setattr("layers.atomic.remove_tree", remove)
    monkeypatch.setattr("fcntl.flock", lock)
    if kind == "directory":
        with atomic.staging(str(tmp_path)) as stage:
            sweeper.join(30)
            assert Path(stage).is_dir()
        return
    with atomic.replacing(str(tmp_path / "f")) as write:
        if sweeper.ident:  # a file without a name is not there to be taken
            sweeper.join(30)
        write(b"data")
    assert (tmp_path / "f").read_bytes() == b"data"


def test_nobody_else_removes_a_stage_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remove(path: str) -> int:
        monkeypatch.undo()
        atomic.sweep(str(tmp_path))
        assert names_in(Path(path)) == ["f"]
        return remove_tree(path)

    monkeypatch.setattr("layers.atomic.remove_tree", remove)
    with atomic.staging(str(tmp_path)) as stage:
        Path(stage, "f").touch()
    assert names_in(tmp_path) == []
