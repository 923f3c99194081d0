"""Entries applied to a directory: what well-behaved layers hold. Hostile ones are in test_hostile."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from layers.descent import MAX_DEPTH
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import SourceChanged, UnsafeArchive
from layers.tarfmt import read_tar, write_tar
from layers.unpack import unpack
from tests.support.attack import show
from tests.support.trees import MemoryTree, directory

pytestmark = pytest.mark.needs_root

S = 1_000_000_000
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
"""cap_net_bind_service+ep, as setcap writes it (linux/capability.h, VFS_CAP_REVISION_2)."""


def file(path: bytes, data: bytes = b"", *, mode: int = 0o644, mtime_ns: int = 0) -> Entry:
    return Entry(path, Kind.FILE, mode, 0, 0, mtime_ns, len(data), source=BytesSource(data))


def test_every_kind(tmp_path: Path) -> None:
    unpack(
        [
            Entry(b"d", Kind.DIRECTORY, 0o1777, 1, 2, 3 * S),
            file(b"d/f", b"data", mode=0o640),
            Entry(b"d/h", Kind.HARDLINK, 0o640, link=b"d/f"),
            Entry(b"d/null", Kind.CHAR, 0o666, 0, 5, device=(1, 3)),
            Entry(b"d/disk", Kind.BLOCK, 0o660, 0, 6, device=(8, 1)),
            Entry(b"d/pipe", Kind.FIFO, 0o620, 3, 4),
            Entry(b"d/s", Kind.SYMLINK, 0o777, 9, 9, link=b"/d/f"),
            Entry(b"gone", Kind.WHITEOUT),
        ],
        str(tmp_path),
    )
    assert show(tmp_path) == {
        b"d": "dir 1777 1:2",
        b"d/f": "file 640 0:0 x2 data",
        b"d/h": "file 640 0:0 x2 data",
        b"d/null": "20000 666 0:5 1:3",
        b"d/disk": "60000 660 0:6 8:1",
        b"d/pipe": "10000 620 3:4 0:0",
        b"d/s": "link /d/f",
        b"gone": "whiteout",
    }
    assert (tmp_path / "d/s").lstat().st_uid == 9


def test_times_also_of_directories_and_links(tmp_path: Path) -> None:
    entries = [
        Entry(b"d", Kind.DIRECTORY, 0o755, mtime_ns=5 * S + 1),
        file(b"d/f", b"x", mtime_ns=6 * S + 2),
        Entry(b"e", Kind.DIRECTORY, 0o755, mtime_ns=-8 * S),
        Entry(b"e/l", Kind.SYMLINK, 0o777, link=b"x", mtime_ns=7 * S + 3),
        file(b"d/late", b"x", mtime_ns=9 * S),
        Entry(b"d/h", Kind.HARDLINK, 0o644, mtime_ns=6 * S + 2, link=b"d/f"),
        Entry(b"e/gone", Kind.WHITEOUT),
    ]
    os.utime(tmp_path, (77, 77))
    unpack(entries, str(tmp_path))
    for entry in entries[:-1]:
        assert (tmp_path / os.fsdecode(entry.path)).lstat().st_mtime_ns == entry.mtime_ns
    assert tmp_path.stat().st_mtime == 77


def test_attributes_survive_change_of_owner(tmp_path: Path) -> None:
    xattrs = ((b"security.capability", CAPABILITY), (b"user.a", b"1"))
    entry = file(b"ping", b"#!", mode=0o755)._replace(uid=5, gid=5, xattrs=xattrs)
    linked = Entry(b"ping6", Kind.HARDLINK, 0o755, 5, 5, link=b"ping", xattrs=xattrs)
    bare = linked._replace(path=b"ping7", xattrs=())
    unpack([entry, linked, bare, Entry(b"d", Kind.DIRECTORY, 0o755, xattrs=((b"user.d", b"2"),))], str(tmp_path))
    assert os.getxattr(tmp_path / "ping", "security.capability") == CAPABILITY
    assert os.getxattr(tmp_path / "ping6", "user.a") == b"1"
    assert os.getxattr(tmp_path / "d", "user.d") == b"2"


def test_long_and_undecodable_names(tmp_path: Path) -> None:
    path = b"/".join([b"n" * 255] * 8) + b"/\xff\xfe\n"
    unpack([file(path, b"x")], str(tmp_path))
    assert (tmp_path / os.fsdecode(path)).read_bytes() == b"x"


def test_runs_of_zeros_become_holes(tmp_path: Path) -> None:
    data = b"begin" + bytes(5 << 20) + b"middle" + bytes(3 << 20)
    unpack([file(b"f", data), file(b"zeros", bytes(64 << 20))], str(tmp_path))
    assert (tmp_path / "f").read_bytes() == data
    assert (tmp_path / "f").stat().st_blocks * 512 < 1 << 20
    assert (tmp_path / "zeros").stat().st_size == 64 << 20
    assert (tmp_path / "zeros").stat().st_blocks == 0


def test_umask_does_not_show(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        unpack([file(b"f", b"x", mode=0o666), Entry(b"d", Kind.DIRECTORY, 0o777)], str(tmp_path))
    finally:
        os.umask(before)
    assert show(tmp_path) == {b"f": "file 666 0:0 x", b"d": "dir 777 0:0"}


def test_directory_again_replaces_its_metadata(tmp_path: Path) -> None:
    first = Entry(b"d", Kind.DIRECTORY, 0o777, 1, 1, 1 * S, xattrs=((b"user.a", b"1"),))
    again = Entry(b"d", Kind.DIRECTORY, 0o700, 2, 2, 2 * S, xattrs=((b"user.b", b"2"),))
    unpack([first, file(b"d/f", b"x"), Entry(b"d", Kind.OPAQUE), again], str(tmp_path))
    assert show(tmp_path)[b"d"] == "dir 700 2:2 user.b=b'2' user.overlay.opaque=b'y'"
    assert (tmp_path / "d").stat().st_mtime == 2


def test_implied_directories_take_everything_from_below(tmp_path: Path) -> None:
    below = MemoryTree(
        {"a": directory(mode=0o1777, uid=3, mtime=44)._replace(xattrs=((b"user.x", b"y"),)), "a/b": None}
    )
    unpack([file(b"a/b/new/f", b"x")], str(tmp_path), below=below)
    assert show(tmp_path)[b"a"] == "dir 1777 3:0 user.x=b'y'"
    assert (tmp_path / "a").stat().st_mtime == 44
    assert (tmp_path / "a/b/new").stat().st_mtime == 0


def test_nothing_is_taken_from_below_what_is_hidden(tmp_path: Path) -> None:
    below = MemoryTree({"a/b": directory(mode=0o1777)})
    unpack(
        [Entry(b"a", Kind.DIRECTORY, 0o755), Entry(b"a", Kind.OPAQUE), file(b"a/b/f", b"x")], str(tmp_path), below=below
    )
    assert show(tmp_path)[b"a/b"] == "dir 755 0:0"
    (tmp_path / "2").mkdir()
    unpack([Entry(b"", Kind.OPAQUE), file(b"a/b/f", b"x")], str(tmp_path / "2"), below=below)
    assert show(tmp_path / "2")[b"a/b"] == "dir 755 0:0"


def test_seen_tells_what_was_applied(tmp_path: Path) -> None:
    below = MemoryTree(
        {"lib": Entry(b"lib", Kind.SYMLINK, link=b"usr/lib"), "usr/lib": directory(mode=0o711), "old": b"old"}
    )
    seen: list[tuple[bytes, str, int, bytes | None]] = []
    unpack(
        [
            file(b"lib/f", b"x"),
            Entry(b"lib/h", Kind.HARDLINK, 0o644, link=b"lib/f"),
            Entry(b"o", Kind.HARDLINK, 0o644, link=b"old"),
            Entry(b"gone", Kind.WHITEOUT),
            Entry(b"gone", Kind.DIRECTORY, 0o700),
            Entry(b"usr", Kind.WHITEOUT),
        ],
        str(tmp_path),
        below=below,
        seen=lambda entry, digest: seen.append((entry.path, entry.kind.value, entry.mode, digest)),
    )
    x, old = (hashlib.sha256(data).digest() for data in (b"x", b"old"))
    assert seen == [
        (b"usr", "dir", 0o755, None),
        (b"usr/lib", "dir", 0o711, None),
        (b"usr/lib/f", "file", 0o644, x),
        (b"usr/lib/h", "hardlink", 0o644, None),
        (b"old", "file", 0o644, old),
        (b"o", "hardlink", 0o644, None),
        (b"gone", "whiteout", 0, None),
        (b"gone", "dir", 0o700, None),
        (b"gone", "opaque", 0, None),
        (b"usr", "opaque", 0, None),
    ]


def test_sources_on_disk_are_checked(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"data")
    source = FileSource(os.fsencode(tmp_path / "source"), hashlib.sha256(b"data").digest())
    (tmp_path / "root").mkdir()
    unpack([Entry(b"f", Kind.FILE, 0o644, size=4, source=source)], str(tmp_path / "root"))
    assert (tmp_path / "root/f").read_bytes() == b"data"
    (tmp_path / "source").write_bytes(b"Data")
    with pytest.raises(SourceChanged):
        unpack([Entry(b"g", Kind.FILE, 0o644, size=4, source=source)], str(tmp_path / "root"))


def test_descriptors_are_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of this process, now
    deep = b"/".join([b"d"] * (MAX_DEPTH - 1))
    (tmp_path / "good").mkdir()
    unpack(
        [file(deep + b"/f", b"x"), Entry(deep + b"/h", Kind.HARDLINK, 0o644, link=deep + b"/f")], str(tmp_path / "good")
    )
    (tmp_path / "bad").mkdir()
    with pytest.raises(UnsafeArchive):
        unpack([file(deep + b"/f", b"x"), file(deep + b"/f/g", b"x")], str(tmp_path / "bad"))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_round_trip_through_an_archive(tmp_path: Path) -> None:
    entries = [
        Entry(b"d", Kind.DIRECTORY, 0o2755, 1, 2, 3 * S),
        file(b"d/big", os.urandom(3 << 20), mtime_ns=4 * S),
        file(b"d/small", b"data", mtime_ns=4 * S),
        Entry(b"d/s", Kind.SYMLINK, 0o777, link=b"small", mtime_ns=5 * S),
    ]
    archive = io.BytesIO()
    write_tar(entries, archive.write)
    direct, through = tmp_path / "direct", tmp_path / "through"
    for root in (direct, through):
        root.mkdir()
    unpack(entries, str(direct))
    unpack(read_tar(io.BytesIO(archive.getvalue()).read), str(through))
    assert show(direct) == show(through)
    assert (through / "d/big").read_bytes() == (direct / "d/big").read_bytes()


def test_no_space_is_no_fault_of_the_archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        unpack([file(b"f", b"x")], str(tmp_path))
