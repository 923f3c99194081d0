"""What is remembered of a context's directories: not believed when something could have changed, enough if not."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from builder.dockerfile.ignore import parse_ignore
from builder.plan import hashing
from builder.plan.context import Context, open_context
from builder.plan.contextmemory import NOTHING_KNOWN, Memories
from builder.plan.graph import CopyOp
from builder.plan.select import Selection, select
from builder.solve.copy import copy_entries
from layers.directories import Directories, DirectoryKey, Known
from layers.entry import Entry, FileSource, Kind
from layers.errors import SourceChanged
from layers.store import Store
from tests.support.trees import MemoryTree, write_tree

TREE: dict[str, bytes | str | None] = {"a": b"1", "d/b": b"2", "d/c": b"3", "d/l": "c", "d/e/f": b"4", "g": None}
LATER = 10**12
"""Nanoseconds: a clock so far ahead finds every file old."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "context", TREE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def opened(root: Path, store: Store, *, ahead: int = LATER, ignore: str | None = None, view: bytes = b"") -> Context:
    matcher = parse_ignore(ignore.encode(), ".dockerignore") if ignore is not None else None
    memories = Memories(store.file_digests, store.directories, view)
    return open_context(str(root), matcher, memories, clock_ns=lambda: time.time_ns() + ahead)


def chosen(context: Context, *words: str, exclude: tuple[str, ...] = ()) -> Selection:
    return select(CopyOp(words or (".",), "/", None, None, False, exclude=exclude), context, None)


def copied(selection: Selection) -> list[Entry]:
    return list(copy_entries(CopyOp((), "/x/", None, None, False), selection, MemoryTree(), 0))


def digest(root: Path, *, exclude: tuple[str, ...] = ()) -> bytes:
    """Without any memory."""
    return chosen(open_context(str(root), None, NOTHING_KNOWN), exclude=exclude).digest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Paths that are read, or asked for anything but their stat; without the root, which is in no listing."""
    found: list[bytes] = []

    def noted(name: str) -> None:
        real: Callable[..., object] = getattr(os, name)

        def call(path: bytes, *arguments: object, **named: object) -> object:
            if not path.endswith(b"/."):
                found.append(path)
            return real(path, *arguments, **named)

        monkeypatch.setattr(os, name, call)

    for name in ("listxattr", "readlink"):
        noted(name)
    opening = hashing._open

    def open_noted(path: bytes) -> int:
        found.append(path)
        return opening(path)

    monkeypatch.setattr(hashing, "_open", open_noted)
    return found


def test_nothing_but_stats_is_read_of_what_did_not_change(root: Path, store: Store, read: list[bytes]) -> None:
    first = chosen(opened(root, store)).digest()
    assert first == digest(root)
    read.clear()
    assert chosen(opened(root, store)).digest() == first
    assert read == []


def test_what_is_copied_later_is_what_was_remembered(root: Path, store: Store, read: list[bytes]) -> None:
    before = chosen(opened(root, store))
    before.digest()
    expected = copied(before)
    assert sum(entry.kind is Kind.SYMLINK for entry in expected) == 1
    read.clear()
    again = chosen(opened(root, store))
    again.digest()
    assert copied(again) == expected
    assert read == []
    source = next(entry.source for entry in expected if entry.path == b"x/d/b")
    assert source == FileSource(os.fsencode(root / "d/b"), hashlib.sha256(b"2").digest())


def _same_times(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"9")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _exchange(directory: Path) -> None:
    (directory / "b").rename(directory / "t")
    (directory / "c").rename(directory / "b")
    (directory / "t").rename(directory / "c")


def _relink(path: Path) -> None:
    path.unlink()
    path.symlink_to("b")


def _other_kind(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda root: (root / "d/b").write_bytes(b"9"),
    "content of equal times": lambda root: _same_times(root / "d/b"),
    "mode": lambda root: (root / "d/b").chmod(0o755),
    "mode of a directory": lambda root: (root / "d/e").chmod(0o700),
    "new file": lambda root: (root / "d/new").write_bytes(b""),
    "new directory": lambda root: (root / "d/e/n").mkdir(),
    "gone": lambda root: (root / "d/b").unlink(),
    "renamed": lambda root: (root / "d/b").rename(root / "d/bb"),
    "exchanged": lambda root: _exchange(root / "d"),
    "link": lambda root: _relink(root / "d/l"),
    "kind": lambda root: _other_kind(root / "d/b"),
    "xattr": lambda root: os.setxattr(root / "d/b", "user.x", b"1"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_change_is_seen(root: Path, store: Store, what: str) -> None:
    first = chosen(opened(root, store)).digest()
    CHANGES[what](root)
    selection = chosen(opened(root, store))
    assert selection.digest() == digest(root) != first
    expected = chosen(open_context(str(root), None, NOTHING_KNOWN))
    expected.digest()
    assert copied(selection) == copied(expected)


def test_only_what_changed_is_read_again(root: Path, store: Store, read: list[bytes]) -> None:
    chosen(opened(root, store)).digest()
    CHANGES["content"](root)
    read.clear()
    chosen(opened(root, store)).digest()
    assert [path for path in read if path.endswith((b"/b", b"/a", b"/f")) or path.count(b"/e/")] == [
        *(os.fsencode(root / "d/b"),) * 2
    ], "its xattrs and its bytes"


def test_what_is_as_young_as_the_scan_is_not_believed(root: Path, store: Store, read: list[bytes]) -> None:
    """It may be changed again without its stat showing it."""
    past = -int(1e12)
    first = chosen(opened(root, store, ahead=past)).digest()
    read.clear()
    assert chosen(opened(root, store)).digest() == first
    files = {os.fsencode(root / name) for name in ("a", "d/b", "d/c", "d/e/f")}
    assert files <= set(read)


def test_the_old_ones_beside_a_young_one_are(root: Path, store: Store, read: list[bytes]) -> None:
    os.utime(root / "d/c", ns=(0, time.time_ns() + 2 * LATER))
    chosen(opened(root, store)).digest()
    read.clear()
    chosen(opened(root, store)).digest()
    assert os.fsencode(root / "d/c") in read
    assert read.count(os.fsencode(root / "d/b")) == 1, "its xattrs: the directory is looked at again, but its bytes"


def test_views_and_parts_of_one_directory(root: Path, store: Store) -> None:
    for _ in range(2):
        whole = chosen(opened(root, store)).digest()
        part = chosen(opened(root, store), exclude=("d/c",)).digest()
        ignored = chosen(opened(root, store, ignore="d/c\n", view=b"other")).digest()
        confused = chosen(opened(root, store, ignore="d/c\n")).digest()
        assert whole == digest(root)
        assert part == ignored == confused == digest(root, exclude=("d/c",)) != whole


def test_one_file_first_and_its_directory_later(root: Path, store: Store, read: list[bytes]) -> None:
    for _ in range(2):
        context = opened(root, store)
        chosen(context, "d/b").digest()
        assert chosen(context).digest() == digest(root)
    read.clear()
    context = opened(root, store)
    chosen(context, "d/b").digest()
    chosen(context).digest()
    assert set(read) == {os.fsencode(root / "d"), os.fsencode(root / "d/b")}, "xattrs of what was looked up"
    assert read.count(os.fsencode(root / "d/b")) == 1, "not its bytes"


@pytest.mark.parametrize("changed", [False, True])
def test_a_memory_that_is_gone_when_it_is_needed(root: Path, store: Store, changed: bool) -> None:
    """Another process may prune between the look-up and the step."""
    before = chosen(opened(root, store))
    before.digest()
    selection = chosen(opened(root, store))
    selection.digest()
    store.directories.clear()
    if changed:
        CHANGES["xattr"](root)
        with pytest.raises(SourceChanged):
            copied(selection)
        return
    plain = [entry._replace(source=None) for entry in copied(before)]
    assert [entry._replace(source=None) for entry in copied(selection)] == plain


def test_where_nothing_is_remembered_no_directory_is_asked_for(
    root: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is learnt is found by the next build, which asks."""
    monkeypatch.setattr("builder.plan.context.BATCH", 1)
    asked: list[int] = []
    get_many = Directories.get_many

    def counted(self: Directories, keys: Iterable[DirectoryKey]) -> dict[DirectoryKey, Known]:
        wanted = list(keys)
        asked.append(len(wanted))
        return get_many(self, wanted)

    monkeypatch.setattr(Directories, "get_many", counted)
    first = list(opened(root, store).describe(b""))
    assert asked == []
    assert list(opened(root, store).describe(b"")) == first
    assert sum(asked) == len(first)
