"""The build context: what is in it, what is left out, which files are read, and that changes are noticed."""

import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from builder.dockerfile.ignore import parse_ignore
from builder.errors import PlanError
from builder.plan import hashing
from builder.plan.content import describe
from builder.plan.context import Context, open_context
from builder.plan.contextmemory import Memories
from builder.plan.filtered import Filtered
from builder.plan.graph import CopyOp
from builder.plan.hashing import Wanted, hash_files
from builder.plan.select import Selection, select
from builder.solve.copy import copy_entries
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import PybuildError, SourceChanged
from layers.filedigests import StatKey
from tests.support.trees import MemoryTree, NoDigests, write_tree


class Remembered:
    """Remembers everything, and what it was asked."""

    def __init__(self) -> None:
        self.known: dict[StatKey, bytes] = {}
        self.queries: list[int] = []
        self.scanned: list[int] = []

    def get_many(self, keys: Iterable[StatKey]) -> Mapping[StatKey, bytes]:
        wanted = list(keys)
        self.queries.append(len(wanted))
        return {key: self.known[key] for key in wanted if key in self.known}

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int) -> None:
        self.known.update(found)
        self.scanned.append(scanned_ns)


def opened(root: Path, ignore: str | None = None) -> Context:
    matcher = parse_ignore(ignore.encode(), ".dockerignore") if ignore is not None else None
    return open_context(str(root), matcher, Memories(NoDigests()))


def walk(context: Context, top: bytes = b"") -> list[str]:
    found = []
    for entry in context.children(top):
        found.append(entry.path.decode())
        if entry.kind is Kind.DIRECTORY:
            found += walk(context, entry.path)
    return found


def chosen(context: Context, *words: str) -> Selection:
    return select(CopyOp(words, "/", None, None, False), context, None)


def test_entries_have_owner_root_and_the_metadata_of_the_host(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": b"text", "d": None, "l": "f"})
    os.mkfifo(tmp_path / "p", 0o600)
    (tmp_path / "f").chmod(0o4750)
    (tmp_path / "d").chmod(0o1777)
    os.utime(tmp_path / "f", ns=(1, 1_234_567_890_123_456_789))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    context = opened(tmp_path)
    d, f, link, p, s = context.children(b"")
    assert (d.path, d.kind, d.mode, d.uid, d.gid, d.size) == (b"d", Kind.DIRECTORY, 0o1777, 0, 0, 0)
    assert f == Entry(
        b"f", Kind.FILE, 0o4750, 0, 0, 1_234_567_890_123_456_789, 4, source=FileSource(os.fsencode(tmp_path / "f"))
    )
    assert (link.kind, link.link, link.size) == (Kind.SYMLINK, b"f", 0)
    assert (p.kind, p.mode) == (Kind.FIFO, 0o600)
    assert (s.path, s.kind, s.size, s.source) == (b"socket", Kind.FILE, 0, BytesSource(b""))
    assert context.sha256(s) == hashlib.sha256().digest()


def test_lookup_needs_no_listing_and_follows_no_link(tmp_path: Path) -> None:
    write_tree(tmp_path, {"d/f": b"1", "l": "d"})
    for context in (opened(tmp_path), opened(tmp_path)):
        assert context.lookup(b"l/f") is None
        assert context.lookup(b"d/none") is None
        assert context.lookup(b"d/f/x") is None
        entry = context.lookup(b"d/f")
        assert entry is not None
        assert context.children(b"d") == [entry]
        assert context.lookup(b"d/f") == entry
        assert context.lookup(b"d/other") is None
        assert context.children(b"l") == []
        assert context.children(b"d/f") == []
        top = context.lookup(b"")
        assert top is not None
        assert top.kind is Kind.DIRECTORY


def test_root_that_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"the build context .*/none is not a directory"):
        opened(tmp_path / "none")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).write_bytes(b"1")
    assert [entry.path for entry in opened(tmp_path).children(b"")] == [b"\xff"]


IGNORED = {"keep": b"", "skip": b"", "d/a.o": b"", "d/a.c": b"", "out/x": b"", "out/back/y": b"", "empty/z": b""}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("skip\n", ["d", "d/a.c", "d/a.o", "empty", "empty/z", "keep", "out", "out/back", "out/back/y", "out/x"]),
        ("*\n!d/*.c\n", ["d", "d/a.c"]),
        ("*\n!out/back\n", ["out", "out/back", "out/back/y"]),
        ("*\n!none\n", []),
        ("**/*.o\nout\nempty\n!empty/none\n", ["d", "d/a.c", "keep", "skip"]),
    ],
)
def test_ignored_files_are_not_there(tmp_path: Path, patterns: str, expected: list[str]) -> None:
    write_tree(tmp_path, IGNORED)
    context = opened(tmp_path, patterns)
    assert walk(context) == expected
    single = opened(tmp_path, patterns)
    for path in (*IGNORED, "out", "out/back", "d", "empty"):
        assert (single.lookup(path.encode()) is not None) == (path in expected), path
        assert (context.lookup(path.encode()) is not None) == (path in expected), path


def test_error_for_an_ignored_file_says_which_pattern(tmp_path: Path) -> None:
    write_tree(tmp_path, IGNORED)
    with pytest.raises(PlanError, match=r"skip: not found: it is left out of the build context") as caught:
        chosen(opened(tmp_path, "skip\n"), "skip")
    assert "skip" in (caught.value.hint or "")
    with pytest.raises(PlanError, match=r"^none: not found in the build context$"):
        chosen(opened(tmp_path, "skip\n"), "none")
    assert chosen(opened(tmp_path, "skip\n"), "sk*").roots == ()


def test_xattrs(tmp_path: Path) -> None:
    path = write_tree(tmp_path, {"f": b""}) / "f"
    try:
        os.setxattr(path, "user.b", b"2")
    except OSError:
        pytest.skip("no xattrs on this file system")
    os.setxattr(path, "user.a", b"1")
    os.setxattr(path, "user.overlay.x", b"1")
    assert opened(tmp_path).children(b"")[0].xattrs == ((b"user.a", b"1"), (b"user.b", b"2"))


def test_shared_files(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": b"1", "c": b""})
    (tmp_path / "d").mkdir()
    (tmp_path / "d/b").hardlink_to(tmp_path / "a")
    context = opened(tmp_path)
    (name, number), *others = context.shared_files(b"").items()
    assert (name, others) == (b"a", [])
    assert context.shared_files(b"d") == {b"b": number}
    assert context.shared_files(b"none") == {}


def test_digest_is_the_same_as_of_any_other_tree(tmp_path: Path) -> None:
    content = {"s/f": b"1", "s/d/g": b"2", "s/d/e": None, "z": b"3"}
    write_tree(tmp_path, {**content, "s/l": "f"})
    context = opened(tmp_path)
    assert list(context.describe(b"s")) == list(describe(context, b"s"))
    assert list(opened(tmp_path).describe(b"")) == list(describe(opened(tmp_path), b""))


def test_batches_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {f"{d}/{f}": f"{d}{f}".encode() for d in "abc" for f in "xyz"})
    whole = list(opened(tmp_path).describe(b""))
    monkeypatch.setattr("builder.plan.context.BATCH", 1)
    assert list(opened(tmp_path).describe(b"")) == whole


def test_unchanged_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"d/a": b"1", "d/b": b"2", "c": b"3"})
    memory = Remembered()
    first = chosen(open_context(str(tmp_path), None, Memories(memory), clock_ns=lambda: 77), ".", "c").digest()
    assert memory.scanned == [77]
    assert memory.queries == [3]
    (tmp_path / "d/b").write_bytes(b"new")
    opened_paths: list[bytes] = []
    real = hashing._open

    def noted(path: bytes) -> int:
        opened_paths.append(path)
        return real(path)

    monkeypatch.setattr(hashing, "_open", noted)
    assert chosen(open_context(str(tmp_path), None, Memories(memory)), ".", "c").digest() != first
    assert opened_paths == [os.fsencode(tmp_path / "d/b")]


def test_only_what_is_chosen_is_looked_at(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": b"1", "big/x": b"2"})
    memory = Remembered()
    chosen(open_context(str(tmp_path), None, Memories(memory)), "a").digest()
    assert memory.queries == [1]


def test_sources_carry_digests_once_there_is_a_digest(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": b"1", "d/b": b"2"})
    selection = chosen(opened(tmp_path), "a", "d")
    selection.digest()
    op = CopyOp((), "/x/", None, None, False)
    sources = {e.path: e.source for e in copy_entries(op, selection, MemoryTree(), 0) if e.kind is Kind.FILE}
    assert sources == {
        b"x/a": FileSource(os.fsencode(tmp_path / "a"), hashlib.sha256(b"1").digest()),
        b"x/b": FileSource(os.fsencode(tmp_path / "d/b"), hashlib.sha256(b"2").digest()),
    }


def test_what_was_listed_stays_as_it_was(tmp_path: Path) -> None:
    """The digest in the key and the entries of the layer speak of one state, whatever happens in between."""
    write_tree(tmp_path, {"d/a": b"1", "d/b": b"2"})
    context = opened(tmp_path)
    single = context.lookup(b"d/a")
    (tmp_path / "d/a").chmod(0o600)
    before = context.children(b"d")
    assert before[0] == single
    (tmp_path / "d/b").unlink()
    (tmp_path / "d/c").write_bytes(b"")
    assert context.children(b"d") == before


@pytest.mark.parametrize("size", [3, hashing.SMALL, hashing.SMALL + 1])
def test_file_that_changes_between_listing_and_hashing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    for after in (b"x" * size, b"x" * (size - 1), None):
        path.write_bytes(b"a" * size)
        context = opened(tmp_path)
        entry = context.lookup(b"f")
        assert entry is not None
        if after is None:
            path.unlink()
        else:
            path.write_bytes(after)
            os.utime(path, ns=(1, 1))
        with pytest.raises(SourceChanged):
            context.sha256(entry)


def test_file_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": b"1", "secret": b"2"})
    context = opened(tmp_path)
    entry = context.lookup(b"f")
    assert entry is not None
    (tmp_path / "f").unlink()
    (tmp_path / "f").symlink_to("secret")
    with pytest.raises(SourceChanged):
        context.sha256(entry)


def test_directory_that_goes_away(tmp_path: Path) -> None:
    write_tree(tmp_path, {"d": None})
    context = opened(tmp_path)
    assert context.lookup(b"d") is not None
    (tmp_path / "d").rmdir()
    with pytest.raises(SourceChanged):
        context.children(b"d")


def test_what_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path, {"d/f": b"1"})
    context = opened(tmp_path)
    entry = context.lookup(b"d/f")
    assert entry is not None

    def refuse(path: bytes, *_: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PybuildError, match=r"cannot read .*/d/f: permission denied"):
        context.sha256(entry)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PybuildError, match=r"cannot read .*/d: permission denied"):
        context.children(b"d")
    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(PybuildError, match=r"cannot read .*/g: permission denied"):
        context.lookup(b"g")


def test_many_files_are_hashed_in_threads_in_order(tmp_path: Path) -> None:
    wanted = []
    for number in range(3 * hashing.BATCH):
        path = tmp_path / str(number)
        path.write_bytes(b"%d" % number)
        status = path.stat()
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        wanted.append(Wanted(b"", path.name.encode(), key))
    digests = list(hash_files(os.fsencode(tmp_path), wanted))
    assert digests == [hashlib.sha256(b"%d" % number).digest() for number in range(3 * hashing.BATCH)]
    wanted[-1] = wanted[-1]._replace(name=b"gone")
    with pytest.raises(SourceChanged):
        list(hash_files(os.fsencode(tmp_path), wanted))


@pytest.mark.parametrize(("exclude", "parents"), [(("**/a*",), False), (("s", "!s/b"), False), (("**/b",), True)])
def test_a_part_is_described_as_the_filtered_tree_is(tmp_path: Path, exclude: tuple[str, ...], parents: bool) -> None:
    write_tree(tmp_path, {"a": b"1", "s/a": b"2", "s/b": b"3", "s/t/ab": b"4", "u/a": b"5", "u/v/b": b"6"})
    op = CopyOp(("**/[ab]*",) if parents else (".",), "/", None, None, False, exclude=exclude, parents=parents)
    selection = select(op, opened(tmp_path), None)
    (root,) = selection.roots
    view = selection.view(root, 0)
    assert isinstance(view, Filtered)
    whole = list(describe(view, b""))
    assert whole != list(describe(opened(tmp_path), b""))
    assert list(opened(tmp_path).describe(b"", view.takes)) == whole
    digest = selection.digest()
    entries = list(copy_entries(op, selection, MemoryTree({}), 0))
    assert all(isinstance(e.source, FileSource) and e.source.sha256 for e in entries if e.kind is Kind.FILE)
    (tmp_path / "u/v/b").write_text("7")
    assert (digest != select(op, opened(tmp_path), None).digest()) == (not parents), "u/v/b is taken"
