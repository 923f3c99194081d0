"""What is left out of a COPY's layer because it is there already."""

import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from builder.plan.graph import CopyOp
from builder.plan.select import select
from builder.solve.copy import copy_entries
from builder.solve.placing import CannotPlace
from builder.solve.unchanged import changed
from layers.entry import Entry, FileSource, Kind, StreamSource
from layers.errors import PybuildError
from layers.listed import expanded
from tests.support.trees import Content, MemoryTree, apply, directory, file, link, same_as

Tree = Mapping[str, Content]


def left(entries: Iterator[Entry], below: MemoryTree) -> list[Entry]:
    return list(expanded(changed(entries, below)))


def layer(source: Tree, dest: Tree, to: str = "/o", chmod: str | None = None) -> list[str]:
    """What copying directory ``s`` of ``source`` leaves in its layer, as ``path kind``."""
    op = CopyOp(("s",), to, None, chmod, True)
    below = MemoryTree(dest)
    entries = left(copy_entries(op, select(op, MemoryTree(source), None), below, 0), below)
    return [f"{entry.path.decode()} {entry.kind.value}" for entry in entries]


def test_what_is_there_already_is_left_out() -> None:
    dest: Tree = {"o/a": b"1", "o/l": link("a"), "o/e": None, "o/d/x": b"2"}
    source: Tree = {"s/a": b"1", "s/l": link("a"), "s/e": None, "s/d/x": b"2"}
    assert layer(source, dest) == []
    assert layer({**source, "s/d/y": b"3"}, dest) == ["o dir", "o/d dir", "o/d/y file"]


def test_everything_that_a_layer_keeps_counts() -> None:
    dest: Tree = {"o/a": file(b"1")}
    for other in (file(b"2"), file(b"1", mode=0o600), file(b"1", uid=1), file(b"1", gid=1), link("1"), file(b"12")):
        assert layer({"s/a": other}, dest)[-1].startswith("o/a ")
    assert layer({"s/a": file(b"1", mtime=2)}, dest) == ["o dir", "o/a file"]
    assert layer({"s/a": file(b"1")._replace(xattrs=((b"user.a", b"1"),))}, dest) == ["o dir", "o/a file"]
    assert layer({"s/a": b"1"}, dest, chmod="600") == ["o dir", "o/a file"]
    assert layer({"s/a": file(b"1")._replace(mtime_ns=2 * 10**9 - 1)}, dest) == [], "less than a second does not count"


def test_directories_that_change_themselves_stay() -> None:
    assert layer({"s/d/x": b"1", "s/d": directory(mode=0o700)}, {"o/d/x": b"1"}) == ["o dir", "o/d dir"]
    assert layer({"s/d": directory(mtime=2), "s/d/x": b"1"}, {"o/d/x": b"1"}) == [], "its time alone does not count"


def test_bytes_are_compared_only_when_all_else_is_equal() -> None:
    below = MemoryTree({"o/a": b"1", "o/b": b"22"})
    entries = [directory()._replace(path=b"o"), _file("o/a", b"2"), _file("o/b", b"1"), _file("o/c", b"1")]
    assert [entry.path for entry in changed(iter(entries), below)] == [b"o", b"o/a", b"o/b", b"o/c"]
    assert below.asked == [b"o/a"]


class _Stream:
    """Bytes that can be had more than once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.read = io.BytesIO(data).read

    def __call__(self, size: int) -> bytes:
        return self.read(size)

    def again(self) -> "_Stream":
        return _Stream(self._data)


def test_bytes_out_of_an_archive_are_compared_when_they_can_be_read_again() -> None:
    below = MemoryTree({"o/a": b"1", "o/b": b"2"})
    entries = [
        directory()._replace(path=b"o"),
        _file("o/a", b"1")._replace(source=StreamSource(_Stream(b"1"))),
        _file("o/b", b"1")._replace(source=StreamSource(_Stream(b"1"))),
    ]
    (_, kept) = left(iter(entries), below)
    assert kept.path == b"o/b"
    assert isinstance(kept.source, StreamSource)
    assert kept.source.read(5) == b"1"
    once = _file("o/a", b"1")._replace(source=StreamSource(io.BytesIO(b"1").read))
    assert left(iter([entries[0], once]), below) == [entries[0], once]


def test_a_further_name_takes_the_place_of_a_file_that_is_left_out() -> None:
    source: Tree = {"s/a": b"1", "s/b": same_as("s/a"), "s/c": same_as("s/a"), "s/n/d": same_as("s/a")}
    assert layer(source, {"o/a": b"1", "o/b": b"1"}) == ["o dir", "o/c file", "o/n dir", "o/n/d hardlink"]
    assert layer(source, {"o/a": b"1", "o/c": b"1", "o/n": None}) == ["o dir", "o/b file", "o/n dir", "o/n/d hardlink"]
    assert layer(source, {"o/b": b"1"})[1:3] == ["o/a file", "o/b hardlink"], "the names of a new file stay together"


def test_names_of_a_file_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    os.link(tmp_path / "a", tmp_path / "b")
    first = _file("a", b"1")._replace(source=FileSource(os.fsencode(tmp_path / "a")))
    second = Entry(b"b", Kind.HARDLINK, first.mode, link=b"a")
    kept = left(iter([first, second]), MemoryTree({"a": b"1"}))
    assert kept == [first._replace(path=b"b")]


def test_bytes_that_can_be_read_only_once_count_as_changed() -> None:
    entry = _file("a", b"1")._replace(source=StreamSource(lambda size: b"1"))
    assert left(iter([entry]), MemoryTree({"a": b"1"})) == [entry]


def test_nothing_is_compared_with_what_is_hidden() -> None:
    below = MemoryTree({"d/l": link("a"), "d/e/l": link("a")})
    entries = [
        directory()._replace(path=b"d"),
        Entry(b"d", Kind.OPAQUE),
        directory()._replace(path=b"d/e"),
        link("a")._replace(path=b"d/e/l"),
        link("a")._replace(path=b"d/l"),
    ]
    assert left(iter(entries), below) == entries


def _file(path: str, data: bytes) -> Entry:
    return file(data)._replace(path=path.encode())


# -- property: nothing is missing in what the layer makes of the files below

names = st.sampled_from(["a", "b", "d-", "d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Content]:
    content: dict[str, Content] = {}
    for path in sorted(draw(st.sets(paths, max_size=8))):
        parts = path.split("/")
        if all(isinstance(content.get("/".join(parts[:n])), type(None)) for n in range(1, len(parts))):
            content[path] = draw(st.one_of(st.none(), st.binary(max_size=1), st.just(link("a"))))
    return content


@settings(max_examples=200, deadline=None)
@given(trees(), trees(), st.sampled_from(["/", "/d"]))
def test_with_or_without_what_is_left_out_the_files_are_the_same(source: Tree, dest: Tree, to: str) -> None:
    op = CopyOp(("/",), to, None, None, True)
    below = MemoryTree(dest)
    try:
        entries = list(copy_entries(op, select(op, MemoryTree(source), None), below, 0))
    except (CannotPlace, PybuildError):
        return
    kept = left(iter(entries), below)
    assert _flat(apply(below, kept)) == _flat(apply(below, entries))
    assert left(iter(entries), apply(below, entries)) == []


def _flat(tree: MemoryTree) -> list[Entry]:
    found: list[Entry] = []
    todo = [b""]
    while todo:
        for entry in tree.children(todo.pop()):
            found.append(entry._replace(mtime_ns=0) if entry.kind is Kind.DIRECTORY else entry)
            if entry.kind is Kind.DIRECTORY:
                todo.append(entry.path)
    return sorted(found, key=lambda entry: entry.path)
