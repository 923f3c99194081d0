"""Upper directories to entries: marks, hard links, and what is left out because it changes nothing."""

import os
import socket
from pathlib import Path

import pytest

from layers.entry import Entry, FileSource, Kind
from layers.errors import StoreError
from layers.overlayfmt import is_opaque, is_portable_xattr, read_upper, write_opaque, write_whiteout
from layers.unpack import unpack
from tests.support.trees import MemoryTree, directory, file, link, same_as

pytestmark = pytest.mark.needs_root

S = 1_000_000_000
EMPTY = MemoryTree()


def put(path: Path, data: bytes = b"", *, mode: int = 0o644, mtime: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, (mtime, mtime))
    return path


def changes(upper: Path, below: MemoryTree = EMPTY) -> list[tuple[str, str]]:
    return [(os.fsdecode(entry.path), entry.kind.value) for entry in read_upper(str(upper), below)]


def whiteout(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path.parent, os.O_RDONLY)
    write_whiteout(os.fsencode(path.name), fd)
    os.close(fd)


def opaque(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDONLY)
    write_opaque(fd)
    assert is_opaque(fd)
    os.close(fd)


def test_new_files_in_order(tmp_path: Path) -> None:
    for name in ("b/z", "b/a", "b.c", "a", "b-", "b/\u00e4", "B"):
        put(tmp_path / name)
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "null", 0o20666, os.makedev(1, 3))
    (tmp_path / "link").symlink_to("a")
    found = list(read_upper(str(tmp_path), EMPTY))
    assert [entry.path.split(b"/") for entry in found] == sorted(entry.path.split(b"/") for entry in found)
    assert dict(changes(tmp_path)) == {
        **dict.fromkeys(("B", "a", "b-", "b.c", "b/a", "b/z", "b/\u00e4"), "file"),
        "b": "dir",
        "fifo": "fifo",
        "null": "char",
        "link": "symlink",
    }


def test_metadata(tmp_path: Path) -> None:
    path = put(tmp_path / "f", b"12345", mode=0o600)
    os.setxattr(path, "user.a", b"1")
    os.setxattr(path, "trusted.overlay.origin", b"x")
    os.chown(path, 7, 8)
    path.chmod(0o4750)
    os.utime(path, ns=(0, 5 * S + 7))
    assert list(read_upper(str(tmp_path), EMPTY)) == [
        Entry(
            b"f",
            Kind.FILE,
            0o4750,
            7,
            8,
            5 * S + 7,
            5,
            xattrs=((b"user.a", b"1"),),
            source=FileSource(os.fsencode(path)),
        )
    ]


def test_deletions(tmp_path: Path) -> None:
    below = MemoryTree({"gone": b"x", "d/gone": b"x", "d/kept": b"x"})
    whiteout(tmp_path / "gone")
    whiteout(tmp_path / "d/gone")
    whiteout(tmp_path / "never-was")
    assert changes(tmp_path, below) == [("d", "dir"), ("d/gone", "whiteout"), ("gone", "whiteout")]


def test_opaque_directories(tmp_path: Path) -> None:
    below = MemoryTree({"d/old": b"x", "f": b"x"})
    opaque(tmp_path / "d")
    put(tmp_path / "d/old", b"x")
    whiteout(tmp_path / "d/other")
    opaque(tmp_path / "new")
    opaque(tmp_path / "f")
    assert changes(tmp_path, below) == [
        ("d", "dir"),
        ("d", "opaque"),
        ("d/old", "file"),
        ("f", "dir"),
        ("new", "dir"),
    ]


def test_trusted_opaque_counts_too(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.setxattr(tmp_path / "d", "trusted.overlay.opaque", b"y")
    assert ("d", "opaque") in changes(tmp_path, MemoryTree({"d/old": b"x"}))


def test_copy_ups_that_changed_nothing(tmp_path: Path) -> None:
    below = MemoryTree(
        {
            "d": directory(mode=0o1777),
            "d/same": file(b"content"),
            "d/empty": file(b""),
            "d/link": link("same"),
            "d/sub/deep": file(b"x"),
        }
    )
    put(tmp_path / "d/same", b"content")
    put(tmp_path / "d/empty", b"")
    put(tmp_path / "d/sub/deep", b"x")
    (tmp_path / "d/link").symlink_to("same")
    os.utime(tmp_path / "d/link", (1, 1), follow_symlinks=False)
    os.utime(tmp_path / "d/same", ns=(0, S + 999_999))
    (tmp_path / "d").chmod(0o1777)
    assert changes(tmp_path, below) == []
    put(tmp_path / "d/sub/deep", b"y")
    assert changes(tmp_path, below) == [("d", "dir"), ("d/sub", "dir"), ("d/sub/deep", "file")]


@pytest.mark.parametrize(
    "changed",
    [
        file(b"Content"),
        file(b"content!"),
        file(b"content", mode=0o600),
        file(b"content", uid=1),
        file(b"content", gid=1),
        file(b"content", mtime=2),
        file(b"content")._replace(xattrs=((b"user.a", b""),)),
        directory(),
        link("f"),
    ],
)
def test_changes_that_count(tmp_path: Path, changed: Entry) -> None:
    put(tmp_path / "f", b"content")
    assert changes(tmp_path, MemoryTree({"f": file(b"content")})) == []
    assert changes(tmp_path, MemoryTree({"f": changed})) == [("f", "file")]


def test_content_is_compared_with_files_below(tmp_path: Path) -> None:
    """Where the layers below can be read, byte by byte."""
    lower = put(tmp_path / "lower", b"x" * (3 << 20))
    tree = MemoryTree({"f": file(b"x" * (3 << 20))})
    entry = tree.lookup(b"f")
    assert entry is not None
    tree.add("f", entry._replace(source=FileSource(os.fsencode(lower))))
    put(tmp_path / "upper/f", b"x" * (3 << 20))
    assert changes(tmp_path / "upper", tree) == []
    put(tmp_path / "upper/f", b"x" * ((3 << 20) - 1) + b"y")
    assert changes(tmp_path / "upper", tree) == [("f", "file")]


def test_directory_changes(tmp_path: Path) -> None:
    below = MemoryTree({"d": directory(mode=0o755, mtime=1)})
    (tmp_path / "d").mkdir(mode=0o755)
    assert changes(tmp_path, below) == []
    (tmp_path / "d").chmod(0o700)
    assert changes(tmp_path, below) == [("d", "dir")]


def test_hard_links_stay_together(tmp_path: Path) -> None:
    below = MemoryTree({"a": file(b"x")})
    put(tmp_path / "a", b"x")
    assert changes(tmp_path, below) == []
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    found = list(read_upper(str(tmp_path), below))
    assert [(entry.path, entry.kind, entry.link, entry.mode) for entry in found] == [
        (b"a", Kind.FILE, None, 0o644),
        (b"b", Kind.HARDLINK, b"a", 0o644),
    ]
    assert found[1].mtime_ns == found[0].mtime_ns


def test_a_copy_up_of_one_of_several_names(tmp_path: Path) -> None:
    """Without index=on a copy-up parts names; unchanged ones stay together by being left out."""
    below = MemoryTree({"a": file(b"x"), "b": same_as("a")})
    put(tmp_path / "b", b"x")
    assert changes(tmp_path, below) == []
    by_name = MemoryTree({"a": file(b"x")})
    by_name._put(Entry(b"b", Kind.HARDLINK, link=b"a"))  # as an index has it
    assert changes(tmp_path, by_name) == []


def test_sockets_are_skipped_but_hide(tmp_path: Path) -> None:
    for name in ("new", "old"):
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(tmp_path / name))
    assert changes(tmp_path, MemoryTree({"old": b"x"})) == [("old", "whiteout")]


def test_directories_deeper_than_recursion(tmp_path: Path) -> None:
    path = "d/" * 900
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(900):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    assert changes(tmp_path)[-1] == (path.rstrip("/"), "dir")


@pytest.mark.parametrize("name", ["user.overlay.redirect", "trusted.overlay.metacopy"])
def test_incomplete_layers_are_refused(tmp_path: Path, name: str) -> None:
    os.setxattr(put(tmp_path / "f"), name, b"/x")
    with pytest.raises(StoreError, match="redirect_dir or metacopy"):
        changes(tmp_path)


def test_portable_attributes() -> None:
    kept = (b"security.capability", b"user.a", b"trusted.a")
    dropped = (
        b"security.selinux",
        b"security.ima",
        b"system.posix_acl_access",
        b"user.overlay.x",
        b"trusted.overlay.x",
    )
    assert [name for name in kept + dropped if is_portable_xattr(name)] == list(kept)


def test_what_is_read_unpacks_to_the_same(tmp_path: Path) -> None:
    """With all marks: an upper directory, its entries, and the directory made from them."""
    below = MemoryTree({"d/old": b"x", "gone": b"x"})
    upper, copy = tmp_path / "upper", tmp_path / "copy"
    opaque(upper / "d")
    whiteout(upper / "gone")
    put(upper / "d/f", b"data", mode=0o2711)
    (upper / "d/h").hardlink_to(upper / "d/f")
    copy.mkdir()
    unpack(read_upper(str(upper), below), str(copy), below=below)
    entries = [list(read_upper(str(root), below)) for root in (upper, copy)]
    assert [entry._replace(source=None) for entry in entries[0]] == [
        entry._replace(source=None) for entry in entries[1]
    ]
    assert len(entries[0]) == 5
