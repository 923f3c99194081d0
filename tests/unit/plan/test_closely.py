"""One pass over a directory comes to what listing it and looking at each name does."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from builder.dockerfile.ignore import parse_ignore
from builder.plan import closely
from builder.plan.closely import read_closely
from builder.plan.contextmemory import NOTHING_KNOWN, Memory
from builder.plan.hashing import SMALL
from builder.plan.hostfiles import HostFiles, Ignores
from builder.plan.rows import rows_of
from layers.listed import UNKNOWN
from tests.support.trees import write_tree


def open_files(root: Path, matcher: Ignores | None = None) -> HostFiles:
    return HostFiles(os.fsencode(root), matcher, Memory(NOTHING_KNOWN, 0), owners=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"d/small": b"1", "d/empty": b"", "d/full": b"y" * SMALL, "d/run": b"2", "d/e/f": b"3", "d/.wh.x": b""}
    root = write_tree(tmp_path / "root", files)
    (root / "d/run").chmod(0o4755)
    (root / "d/link").symlink_to("small")
    (root / "d/nowhere").symlink_to("nothing")
    os.mkfifo(root / "d/fifo")
    os.link(root / "d/small", root / "d/twice")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "d/socket"))
    (root / "d/marked").write_bytes(b"4")
    os.setxattr(root / "d/marked", "user.x", b"1")
    return root


def one_by_one(files: HostFiles, path: bytes) -> tuple[object, ...]:
    """What ``told`` says of a listing whose names were looked at singly."""
    listing = files.read(path)
    files.complete(path, listing)
    for position, record in enumerate(listing.stats()):
        host = Path(os.fsdecode(files.path(path + b"/" + record[0])))
        if record[1] & 0o170000 == 0o100000:
            listing.learn(position, hashlib.sha256(host.read_bytes()).digest())
    rows = rows_of(files.root, path, listing, enumerate(listing.stats()))
    digests = [listing.digest(position) for position in range(listing.size)]
    return (listing.identity, listing.stats(), listing.folders, listing.extras, digests, rows, listing.weigh())


def told(files: HostFiles, path: bytes) -> tuple[object, ...]:
    listing = read_closely(files, path)
    digests = [listing.digest(position) for position in range(listing.size)]
    weight = listing.weight
    return (listing.identity, listing.stats(), listing.folders, listing.extras, digests, listing.rows, weight)


@pytest.mark.parametrize("ignores", [b"", b"d/small\nd/e\nd/l*", b"d/e\n!d/e/f", b"**\n!d/run"])
def test_the_same_as_looking_at_each_name(root: Path, ignores: bytes) -> None:
    matcher = parse_ignore(ignores, "i") if ignores else None
    assert told(open_files(root, matcher), b"d") == one_by_one(open_files(root, matcher), b"d")


def test_a_large_file_has_no_digest_and_so_the_directory_no_rows(root: Path) -> None:
    (root / "d/large").write_bytes(b"x" * (SMALL + 1))
    listing = read_closely(open_files(root), b"d")
    names = [record[0] for record in listing.stats()]
    assert listing.digest(names.index(b"large")) is None
    assert listing.digest(names.index(b"small")) == hashlib.sha256(b"1").digest()
    assert listing.rows is None


@pytest.mark.parametrize("when", ["before the stat", "after the stat", "while it is read"])
def test_bytes_and_stat_are_of_one_moment(root: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Of a file that is written meanwhile: it never had the new bytes with the old mode."""
    file = root / "d/small"
    done = False

    def write(descriptor: int) -> None:
        nonlocal done
        if not done and Path(f"/proc/self/fd/{descriptor}").readlink() == file:
            done = True
            file.write_bytes(b"9")
            file.chmod(0o600)
            os.utime(file, ns=(5, 5))

    def changed(name: str, *, after: bool) -> None:
        real = getattr(os, name)

        def call(*arguments: Any) -> Any:
            if not after:
                write(arguments[0])
            found = real(*arguments)
            if after:
                write(arguments[0])
            return found

        monkeypatch.setattr(os, name, call)

    match when:
        case "before the stat":
            changed("fstat", after=False)
        case "after the stat":
            changed("read", after=False)
        case _:
            changed("read", after=True)
    found = told(open_files(root), b"d")
    assert done
    monkeypatch.undo()
    assert found == one_by_one(open_files(root), b"d")


@pytest.mark.parametrize("what", ["link", "fifo", "directory", "nothing"])
def test_a_name_that_becomes_something_else(root: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    real = os.open

    def swapped(path: Any, flags: int, **more: Any) -> int:
        if path == b"small":
            (root / "d/small").unlink()
            match what:
                case "link":
                    (root / "d/small").symlink_to("/etc/passwd")
                case "fifo":
                    os.mkfifo(root / "d/small")
                case "directory":
                    (root / "d/small").mkdir()
            monkeypatch.undo()
        return real(path, flags, **more)

    monkeypatch.setattr(os, "open", swapped)
    found = told(open_files(root), b"d")
    assert os.open is real
    assert found == one_by_one(open_files(root), b"d")


def test_a_directory_that_is_swapped_is_one_of_both(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(root, {"a/x": b"1", "a/y": b"2", "b/x": b"3", "b/z": b"4"})
    real = os.scandir

    def swapped(path: Any) -> Any:
        monkeypatch.undo()
        (root / "a").rename(root / "was")
        (root / "b").rename(root / "a")
        return real(path)

    monkeypatch.setattr(os, "scandir", swapped)
    listing = read_closely(open_files(root), b"a")
    digests = [hashlib.sha256(data).digest() for data in (b"1", b"2")]
    assert [record[0] for record in listing.stats()] == [b"x", b"y"]
    assert [listing.digest(0), listing.digest(1)] == digests


@pytest.mark.parametrize("how", ["larger", "smaller"])
def test_a_file_that_changes_its_size_while_it_is_read(root: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        data = real(descriptor, size)
        return data + b"more" if how == "larger" else data[:-1]

    monkeypatch.setattr(os, "read", read)
    listing = read_closely(open_files(root), b"d")
    names = [record[0] for record in listing.stats()]
    assert bytes(listing.digests or b"")[names.index(b"small") * 32 :][:32] == UNKNOWN
    assert listing.rows is None


def test_a_name_that_goes_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "other").mkdir()
    (root / "other/a").touch()
    monkeypatch.setattr(closely, "_small_file", lambda folder, name: (root / "other" / os.fsdecode(name)).unlink())
    listing = read_closely(open_files(root), b"other")
    assert (listing.size, listing.extras) == (0, {})


def test_what_is_no_directory_raises(root: Path) -> None:
    for path in (b"none", b"d/small"):
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            read_closely(open_files(root), path)
