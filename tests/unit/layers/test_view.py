"""The merged view, over indexes; tests/integration/test_store.py has it over snapshots and beside real overlays."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from layers.digest import Digest
from layers.entry import BytesSource, Entry, Kind
from layers.errors import StoreError
from layers.index import Index
from layers.indexing import Indexer
from layers.tree import read_file, resolve
from layers.view import Stack


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode)


def file(path: bytes, data: bytes = b"") -> Entry:
    return Entry(path, Kind.FILE, 0o644, size=len(data), source=BytesSource(data))


def gone(path: bytes) -> Entry:
    return Entry(path, Kind.WHITEOUT)


def opaque(path: bytes) -> Entry:
    return Entry(path, Kind.OPAQUE)


def link(path: bytes, target: bytes) -> Entry:
    return Entry(path, Kind.SYMLINK, 0o777, link=target)


def stack(tmp_path: Path, *layers: Sequence[Entry]) -> Stack:
    """Lowest first."""
    made = []
    for number, entries in enumerate(layers):
        path = str(tmp_path / str(number))
        with Indexer(path, lambda: Stack(())) as indexer:
            for entry in entries:
                digest = Digest.of(entry.source.data).raw if isinstance(entry.source, BytesSource) else None
                indexer.add(entry, digest)
            indexer.finish()
        made.append(Index(path))
    return Stack(made)


def names(tree: Stack, path: bytes = b"") -> list[bytes]:
    return [entry.path for entry in tree.children(path)]


def test_scratch() -> None:
    tree = Stack(())
    assert tree.lookup(b"a") is None
    assert tree.lookup(b"a/b") is None
    assert tree.children(b"") == []
    root = tree.lookup(b"")
    assert root is not None and root.kind is Kind.DIRECTORY


def test_the_upper_layer_wins_and_directories_merge(tmp_path: Path) -> None:
    tree = stack(
        tmp_path,
        [directory(b"d", 0o700), file(b"d/both", b"low"), file(b"d/low"), file(b"top")],
        [directory(b"d", 0o755), file(b"d/both", b"up!"), file(b"d/up")],
    )
    assert names(tree) == [b"d", b"top"]
    assert names(tree, b"d") == [b"d/both", b"d/low", b"d/up"]
    found, both = tree.lookup(b"d"), tree.lookup(b"d/both")
    assert found is not None and found.mode == 0o755
    assert both is not None and tree.sha256(both) == Digest.of(b"up!").raw
    assert tree.children(b"top") == []
    assert tree.lookup(b"top/x") is None


def test_whiteouts(tmp_path: Path) -> None:
    tree = stack(
        tmp_path,
        [directory(b"d"), file(b"d/a"), file(b"d/b"), directory(b"e"), file(b"e/x")],
        [directory(b"d"), gone(b"d/a"), gone(b"e"), gone(b"never there")],
        [directory(b"e"), file(b"e/new")],
    )
    assert names(tree) == [b"d", b"e"]
    assert names(tree, b"d") == [b"d/b"]
    assert names(tree, b"e") == [b"e/new"]
    assert tree.lookup(b"d/a") is None
    assert tree.lookup(b"e/x") is None


def test_opaque_directories(tmp_path: Path) -> None:
    tree = stack(
        tmp_path,
        [directory(b"d"), file(b"d/low"), directory(b"d/s"), file(b"d/s/low")],
        [directory(b"d"), opaque(b"d"), file(b"d/mid"), directory(b"d/s"), file(b"d/s/mid")],
        [directory(b"d"), file(b"d/up")],
    )
    assert names(tree, b"d") == [b"d/mid", b"d/s", b"d/up"]
    assert names(tree, b"d/s") == [b"d/s/mid"]
    assert tree.lookup(b"d/low") is None
    assert tree.lookup(b"d/s/low") is None


def test_an_opaque_root(tmp_path: Path) -> None:
    tree = stack(
        tmp_path, [file(b"low"), directory(b"d"), file(b"d/low")], [opaque(b""), directory(b"d"), file(b"d/up")]
    )
    assert names(tree) == [b"d"]
    assert names(tree, b"d") == [b"d/up"]
    assert tree.lookup(b"low") is None


def test_a_file_in_the_way_of_a_directory_hides_it_for_good(tmp_path: Path) -> None:
    tree = stack(tmp_path, [directory(b"d"), file(b"d/low")], [file(b"d")], [directory(b"d"), file(b"d/new")])
    assert names(tree, b"d") == [b"d/new"]
    assert tree.lookup(b"d/low") is None


def test_links_are_not_followed_but_by_resolve(tmp_path: Path) -> None:
    tree = stack(
        tmp_path,
        [directory(b"usr"), directory(b"usr/lib"), file(b"usr/lib/a", b"x"), link(b"lib", b"usr/lib")],
        [link(b"also", b"/lib")],
    )
    assert tree.lookup(b"lib/a") is None
    assert tree.children(b"lib") == []
    assert resolve(tree, b"also/a") == b"usr/lib/a"
    found = tree.lookup(b"lib")
    assert found is not None and found.link == b"usr/lib"


def test_hard_links_are_files(tmp_path: Path) -> None:
    tree = stack(
        tmp_path,
        [file(b"low", b"below")],
        [file(b"a", b"data"), Entry(b"b", Kind.HARDLINK, link=b"a"), Entry(b"c", Kind.HARDLINK, link=b"low")],
        [gone(b"a"), gone(b"low")],
    )
    assert names(tree) == [b"b", b"c"]
    for path, data in ((b"b", b"data"), (b"c", b"below")):
        entry = tree.lookup(path)
        assert entry is not None
        assert (entry.kind, entry.size, entry.path) == (Kind.FILE, len(data), path)
        assert tree.sha256(entry) == Digest.of(data).raw


def test_digests_of_what_is_no_file(tmp_path: Path) -> None:
    tree = stack(tmp_path, [directory(b"d"), file(b"f")])
    for entry in (directory(b"d"), file(b"absent")):
        with pytest.raises(StoreError, match="is not a file"):
            tree.sha256(entry)


def test_account_files_can_be_read_from_an_index(tmp_path: Path) -> None:
    tree = stack(tmp_path, [directory(b"etc"), file(b"etc/passwd", b"root:x:0:0::/:/bin/sh"), file(b"etc/other", b"x")])
    assert read_file(tree, b"etc/passwd", 100) == b"root:x:0:0::/:/bin/sh"
    assert read_file(tree, b"etc/other", 100) is None
