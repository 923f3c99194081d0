import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.digest import Digest
from layers.entry import BytesSource, Entry, FileSource, Kind, StreamSource, parents, sort_key
from layers.errors import IntegrityError, SourceChanged, UnsafeArchive
from layers.index import MAGIC, MAX_KEPT, Index, IndexFile, decode_record, encode_directory, encode_file, encode_record
from layers.indexing import Indexer, index_archive
from layers.view import Stack

NOTHING = Stack(())


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode)


def file(path: bytes, data: bytes = b"", mode: int = 0o644) -> Entry:
    return Entry(path, Kind.FILE, mode, size=len(data), source=BytesSource(data))


def streamed(entries: Iterable[Entry]) -> Iterator[Entry]:
    """As an archive's reader gives them."""
    for entry in entries:
        if isinstance(entry.source, BytesSource):
            yield entry._replace(source=StreamSource(io.BytesIO(entry.source.data).read))
        else:
            yield entry


def make(tmp_path: Path, entries: Iterable[Entry], below: Stack = NOTHING) -> Index:
    path = str(tmp_path / "index")
    index_archive(streamed(entries), path, lambda: below)
    return Index(path)


def plain(index: Index) -> list[tuple[bytes, Kind]]:
    return [(entry.path, entry.kind) for entry, _ in index]


_IDS = st.integers(0, (1 << 32) - 1)


@given(st.binary(min_size=1), st.integers(0, 0o7777), st.tuples(_IDS, _IDS), st.integers(-(1 << 62), 1 << 62))
def test_plain_records(path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
    entry = Entry(path, Kind.FILE, mode, *owner, mtime_ns, 5)
    digest = b"d" * 32
    assert encode_file(path, mode, *owner, mtime_ns, 5, digest) == encode_record(entry, digest)
    folder = Entry(path, Kind.DIRECTORY, mode, *owner, mtime_ns)
    assert encode_directory(path, mode, *owner, mtime_ns) == encode_record(folder, None)


EVERYTHING = Entry(
    b"some/where",
    Kind.FILE,
    0o6755,
    (1 << 32) - 1,
    4242,
    -1,
    1 << 40,
    xattrs=((b"security.capability", b"\x01\0\0"), (b"user.x", b"")),
)


@pytest.mark.parametrize(
    ("entry", "sha256"),
    [
        (EVERYTHING, bytes(range(32))),
        (EVERYTHING._replace(mtime_ns=10**20), bytes(32)),
        (Entry(b"l", Kind.SYMLINK, 0o777, link=b"../a/b"), None),
        (Entry(b"h", Kind.HARDLINK, 0o644, link=b"a/b"), None),
        (Entry(b"c", Kind.CHAR, 0o600, device=(4095, (1 << 20) - 1)), None),
        (Entry(b"b", Kind.BLOCK, 0o600, device=(8, 1)), None),
        (Entry(b"f", Kind.FIFO, 0o600), None),
        (Entry(b"w", Kind.WHITEOUT), None),
        (Entry(b"etc/passwd", Kind.FILE, 0o644, size=5, source=BytesSource(b"root:")), bytes(32)),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Entry) else "",
)
def test_records_keep_everything(entry: Entry, sha256: bytes | None) -> None:
    data = entry.source.data if isinstance(entry.source, BytesSource) else b""
    assert decode_record(b"before" + encode_record(entry, sha256, data) + b"after", 6) == (entry, sha256)


@pytest.mark.parametrize("entry", [EVERYTHING._replace(uid=1 << 32), EVERYTHING._replace(size=1 << 64)])
def test_absurd_numbers_are_refused(entry: Entry) -> None:
    with pytest.raises(UnsafeArchive, match="some/where"):
        encode_record(entry, None)


NAMES = st.sampled_from([b"a", b"b", b"a.b", b"a-", b"\x01", b"\xff", b"ab", b"0"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)


@given(paths=st.sets(PATHS, max_size=30))
def test_look_ups_agree_with_a_dictionary(tmp_path_factory: pytest.TempPathFactory, paths: set[bytes]) -> None:
    inner = {above for path in paths for above in parents(path)}
    entries = [directory(p) if p in inner else file(p, p) for p in sorted(paths | inner, key=sort_key)]
    index = make(tmp_path_factory.mktemp("index"), entries)
    assert plain(index) == [(entry.path, entry.kind) for entry in entries]
    for entry in entries:
        found = index.get(entry.path)
        assert found is not None
        assert found.entry == entry._replace(source=None)
        assert found.sha256 == (Digest.of(entry.path).raw if entry.kind is Kind.FILE else None)
    for where in (b"", *inner):
        below = sorted(p for p in paths | inner if p.rpartition(b"/")[0] == where)
        assert [found.entry.path for found in index.children(where)] == below
    for absent in (b"nothing", b"a/nothing", b"b/a/b/a/b"):
        assert index.get(absent) is None
        assert index.children(absent) == []


def test_an_empty_index(tmp_path: Path) -> None:
    index = make(tmp_path, ())
    assert len(index) == 0
    assert index.get(b"a") is None
    assert index.children(b"") == []
    assert index.get(b"") is not None


def test_opaque_directories_and_root(tmp_path: Path) -> None:
    entries = [Entry(b"", Kind.OPAQUE), directory(b"d"), Entry(b"d", Kind.OPAQUE), file(b"d/f"), directory(b"e")]
    index = make(tmp_path, entries)
    assert [(one.entry.path, one.opaque) for one in index.children(b"")] == [(b"d", True), (b"e", False)]
    assert [one.entry.path for one in index.children(b"d")] == [b"d/f"]
    root, opaque = index.get(b""), index.get(b"d")
    assert root is not None and root.opaque
    assert opaque is not None and opaque.opaque


def test_account_files_are_kept_and_others_not(tmp_path: Path) -> None:
    big = file(b"etc/passwd", bytes(MAX_KEPT + 1))
    index = make(tmp_path, [directory(b"etc"), file(b"etc/group", b"wheel:x:10:"), file(b"etc/hosts", b"no")])
    kept, other = index.get(b"etc/group"), index.get(b"etc/hosts")
    assert kept is not None and kept.entry.source == BytesSource(b"wheel:x:10:")
    assert other is not None and other.entry.source is None
    found = make(tmp_path, [directory(b"etc"), big]).get(b"etc/passwd")
    assert found is not None and found.entry.source is None


def test_an_account_file_of_the_host_is_verified(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(b"root:x:0:0")
    entry = Entry(b"etc/passwd", Kind.FILE, size=10, source=FileSource(bytes(path)))
    with Indexer(str(tmp_path / "index"), lambda: NOTHING) as indexer:
        indexer.add(directory(b"etc"), None)
        indexer.add(entry, Digest.of(b"root:x:0:0").raw)
        indexer.finish()
    found = Index(str(tmp_path / "index")).get(b"etc/passwd")
    assert found is not None and found.entry.source == BytesSource(b"root:x:0:0")
    with Indexer(str(tmp_path / "other"), lambda: NOTHING) as indexer, pytest.raises(SourceChanged):
        indexer.add(directory(b"etc"), None)
        indexer.add(entry, Digest.of(b"before").raw)


@pytest.mark.parametrize("damage", ["cut", "magic", "count", "empty"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "index"
    made = IndexFile(str(path))
    made.add(encode_record(file(b"a"), bytes(32)))
    made.finish()
    data = path.read_bytes()
    changed = {
        "cut": data[:-9],
        "magic": data.replace(MAGIC, b"pbindexX"),
        "count": data[:-24] + b"\x07" + data[-23:],
        "empty": b"",
    }
    path.write_bytes(changed[damage])
    with pytest.raises(IntegrityError):
        Index(str(path))


# Archives that keep no rules


def test_archives_in_any_order_with_missing_directories(tmp_path: Path) -> None:
    entries = [file(b"z/late", b"1"), file(b"a/b/c", b"2"), directory(b"a", 0o700), file(b"a/b/c", b"3")]
    index = make(tmp_path, entries)
    assert plain(index) == [
        (b"a", Kind.DIRECTORY),
        (b"a/b", Kind.DIRECTORY),
        (b"a/b/c", Kind.FILE),
        (b"z", Kind.DIRECTORY),
        (b"z/late", Kind.FILE),
    ]
    top, last = index.get(b"a"), index.get(b"a/b/c")
    assert top is not None and top.entry.mode == 0o700
    assert last is not None and last.sha256 == Digest.of(b"3").raw


def test_missing_directories_are_those_below(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    below = Stack([make(tmp_path / "one", [directory(b"tmp", 0o1777), Entry(b"lib", Kind.SYMLINK, link=b"usr/lib")])])
    index = make(tmp_path, [file(b"tmp/x"), file(b"lib/y")], below)
    assert plain(index) == [
        (b"tmp", Kind.DIRECTORY),
        (b"tmp/x", Kind.FILE),
        (b"usr", Kind.DIRECTORY),
        (b"usr/lib", Kind.DIRECTORY),
        (b"usr/lib/y", Kind.FILE),
    ]
    found = index.get(b"tmp")
    assert found is not None and found.entry.mode == 0o1777


def test_what_replaces_a_directory_removes_what_was_in_it(tmp_path: Path) -> None:
    index = make(
        tmp_path, [directory(b"d"), directory(b"d/e"), file(b"d/e/f"), file(b"d"), directory(b"d"), file(b"d/n")]
    )
    assert plain(index) == [(b"d", Kind.DIRECTORY), (b"d", Kind.OPAQUE), (b"d/n", Kind.FILE)]


def test_whiteouts_concern_only_the_layers_below(tmp_path: Path) -> None:
    entries = [
        file(b"z"),
        file(b"f"),
        Entry(b"f", Kind.WHITEOUT),
        directory(b"d"),
        file(b"d/x"),
        Entry(b"d", Kind.WHITEOUT),
        Entry(b"g", Kind.WHITEOUT),
        Entry(b"h", Kind.WHITEOUT),
        directory(b"h"),
    ]
    assert plain(make(tmp_path, entries)) == [
        (b"d", Kind.DIRECTORY),
        (b"d", Kind.OPAQUE),
        (b"d/x", Kind.FILE),
        (b"f", Kind.FILE),
        (b"g", Kind.WHITEOUT),
        (b"h", Kind.DIRECTORY),
        (b"h", Kind.OPAQUE),
        (b"z", Kind.FILE),
    ]


def test_hard_links_become_what_they_name(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    below = Stack([make(tmp_path / "one", [file(b"low", b"below", mode=0o600)])])
    entries = [file(b"z", b"z"), file(b"a", b"first"), Entry(b"b", Kind.HARDLINK, link=b"a"), file(b"a", b"second")]
    index = make(tmp_path, [*entries, Entry(b"c", Kind.HARDLINK, link=b"low")], below)
    copied, linked = index.get(b"c"), index.get(b"b")
    assert linked is not None and linked.sha256 == Digest.of(b"first").raw
    assert copied is not None and (copied.sha256, copied.entry.mode) == (Digest.of(b"below").raw, 0o600)


@pytest.mark.parametrize("path", [b"../x", b"/x", b"a//b", b"a/./b", b"a/../../b"])
def test_names_outside_are_refused(tmp_path: Path, path: bytes) -> None:
    with pytest.raises(UnsafeArchive, match="not a name inside"):
        make(tmp_path, [file(path)])
    with pytest.raises(UnsafeArchive, match="not a name inside"):
        make(tmp_path, [file(b"z"), file(b"a"), file(path)])
