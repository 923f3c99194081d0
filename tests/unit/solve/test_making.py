"""Files that are made while they are packed: what unpacking the archive makes, or nothing that is believed."""

import io
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from layers import stretches
from layers.entry import BytesSource, Entry, Kind
from layers.indexing import Indexer
from layers.listed import Item, Stretch
from layers.making import Maker
from layers.store import Store
from layers.tarfmt import read_tar
from layers.tarwrite import write_tar
from layers.unpack import unpack
from tests.support.beside import kill_at
from tests.support.trees import MemoryTree
from tests.unit.solve.test_pouring import items, tree

Seen = dict[str, tuple[object, ...]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """What a directory can keep."""
    root = tree(tmp_path / "root")
    (root / "large").mkdir()
    (root / "large/l").write_bytes(b"x" * (stretches.CONTENT + 5))
    (root / "large/m").write_bytes(b"y" * 200_000)
    (root / "empty/below").mkdir(parents=True)
    (root / "d1/link").symlink_to("../" * 40 + "x" * 90)
    (root / "d1/\udcff\udc80").write_bytes(b"no text")
    (root / "d2").chmod(0o2750)
    (root / "d2/program").write_bytes(b"#!")
    (root / "d2/program").chmod(0o6755)
    (root / "d3/closed").mkdir()
    (root / "d3/closed/inside").write_bytes(b"1")
    (root / "d3/closed").chmod(0)
    (root / "twice").mkdir()
    (root / "twice/a").write_bytes(b"one file")
    (root / "d3/z").hardlink_to(root / "twice/a")
    (root / "twice/b").hardlink_to(root / "twice/a")
    return root


def made(found: Iterable[Item], directory: Path) -> tuple[bytes, bool]:
    """The archive, and whether ``directory`` is what it comes to."""
    directory.mkdir()
    parts: list[bytes] = []
    with (
        Indexer(str(directory) + ".index", MemoryTree) as indexer,
        Maker(os.fsencode(directory)) as maker,
    ):
        write_tar(
            found,
            lambda data: parts.append(bytes(data)),
            seen=indexer.add,
            records=indexer.add_records,
            maker=maker,
        )
        indexer.finish()
        return b"".join(parts), maker.finish()


def unpacked(tar: bytes, directory: Path) -> Seen:
    directory.mkdir()
    unpack(read_tar(io.BytesIO(tar).read), str(directory))
    return look(directory)


def look(top: Path) -> Seen:
    found: Seen = {}
    first: dict[int, str] = {}
    for where, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(where, name)
            status = path.lstat()
            what: object = None
            if path.is_symlink():
                what = path.readlink()
            elif stat.S_ISREG(status.st_mode):
                what = path.read_bytes(), first.setdefault(status.st_ino, str(path.relative_to(top)))
            owner = status.st_uid, status.st_gid
            found[str(path.relative_to(top))] = (
                status.st_mode,
                owner,
                status.st_mtime_ns,
                what,
                os.listxattr(path, follow_symlinks=False),
            )
    return found


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "MANY", 1)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("chown", [None, pytest.param("7:8", marks=pytest.mark.needs_root)])
def test_as_unpacked(root: Path, tmp_path: Path, chown: str | None, settled: bool) -> None:
    found = items(root, chown=chown, settled=settled)
    assert any(isinstance(item, Stretch) for item in found)
    tar, kept = made(found, tmp_path / "made")
    assert kept
    expected = unpacked(tar, tmp_path / "expected")
    assert look(tmp_path / "made") == expected
    assert len(expected) > 200


def test_as_unpacked_without_a_process(root: Path, tmp_path: Path) -> None:
    tar, kept = made(items(root), tmp_path / "made")
    assert kept
    assert look(tmp_path / "made") == unpacked(tar, tmp_path / "expected")


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("umask", [0o077, 0])
def test_whatever_the_umask_and_the_group(root: Path, tmp_path: Path, umask: int) -> None:
    top = tmp_path / "shared"
    top.mkdir()
    top.chmod(0o2755)
    before = os.umask(umask)
    try:
        tar, kept = made(items(root), top / "made")
    finally:
        os.umask(before)
    assert kept
    assert look(top / "made") == unpacked(tar, tmp_path / "expected")


@pytest.mark.parametrize("most", [1, 1 << 60])
def test_holes_are_left_in_large_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(stretches, "MANY", most)
    root = tmp_path / "root"
    root.mkdir()
    zeros = bytes(300_000)
    (root / "a").write_bytes(zeros + b"x" + zeros)
    (root / "b").write_bytes(b"x" + zeros * 6 + b"x")
    (root / "c").write_bytes(zeros)
    (root / "d").write_bytes(bytes(100_000))
    tar, kept = made(items(root), tmp_path / "made")
    assert kept
    assert look(tmp_path / "made") == unpacked(tar, tmp_path / "expected")
    blocks = [(tmp_path / "made/o/p" / name).stat().st_blocks for name in "abcd"]
    assert max(blocks) < 300, "of 512 bytes"


def _attribute(root: Path) -> None:
    os.setxattr(root / "d2/m2", "user.note", b"n")


def _fifo(root: Path) -> None:
    os.mkfifo(root / "d2/fifo")


def _old(root: Path) -> None:
    os.utime(root / "d2/m2", (-5, -5))


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("change", [_attribute, _fifo, _old])
def test_what_is_not_kept(root: Path, tmp_path: Path, change: Callable[[Path], None]) -> None:
    (root / "d2/m2").write_bytes(b"")
    change(root)
    found = items(root)
    tar, kept = made(found, tmp_path / "made")
    assert not kept
    assert tar == made(items(root), tmp_path / "again")[0]


@pytest.mark.usefixtures("processes")
def test_a_name_that_is_there_already(root: Path, tmp_path: Path) -> None:
    found = [*items(root), Entry(b"o/p/d0/m0", Kind.FILE, source=BytesSource(b""))]
    assert not made(found, tmp_path / "made")[1]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("answers", [0, 1, 4, 5])
def test_a_process_that_died(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int) -> None:
    """Also the last question, whether all is made, may find nobody."""
    expected = made(items(root), tmp_path / "expected")
    asked = kill_at(monkeypatch, answers)
    tar, kept = made(items(root), tmp_path / "made")
    assert tar == expected[0]
    assert len(asked) > answers
    assert not kept or look(tmp_path / "made") == look(tmp_path / "expected")


def test_no_room(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "no space")

    found = items(root)
    monkeypatch.setattr(os, "utime", full)
    assert not made(found, tmp_path / "made")[1]
    assert open_files(tmp_path / "made") == []


def open_files(below: Path) -> list[str]:
    targets = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(target) for target in targets if str(target).startswith(f"{below}/")]


@pytest.mark.usefixtures("processes")
def test_a_layer_that_will_be_looked_at(root: Path, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        found = items(root)
        layer = store.add_layer(iter(found), (), made=True)
        directory = tmp_path / "store/snapshots" / str(layer)
        assert directory.is_dir()
        assert store.add_layer(iter(found), ()) == layer
        with store.layer_tar(layer, None) as stream:
            tar = b"".join(iter(lambda: stream.read(1 << 20), b""))
        assert look(directory) == unpacked(tar, tmp_path / "expected")


@pytest.mark.usefixtures("processes")
def test_a_layer_that_was_there_without_its_directory(root: Path, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        layer = store.add_layer(iter(items(root)), ())
        directory = tmp_path / "store/snapshots" / str(layer)
        assert not directory.exists()
        assert store.add_layer(iter(items(root)), (), made=True) == layer
        assert directory.is_dir()


@pytest.mark.usefixtures("processes")
def test_a_layer_that_cannot_be_made_by_the_way(root: Path, tmp_path: Path) -> None:
    _fifo(root)
    with Store.open(str(tmp_path / "store")) as store:
        layer = store.add_layer(iter(items(root)), (), made=True)
        assert not (tmp_path / "store/snapshots" / str(layer)).exists()
        assert [path for top in (tmp_path / "store/tmp").iterdir() for path in top.iterdir()] == []
        workspace = store.workspace((layer,))
        workspace.discard()
        fifo = tmp_path / "store/snapshots" / str(layer) / "o/p/d2/fifo"
        assert stat.S_ISFIFO(fifo.lstat().st_mode)
