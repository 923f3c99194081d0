"""Entries to tar and back, beside Python's tarfile; archives of other writers."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.entry import BytesSource, Entry, FileSource, Kind, StreamSource
from layers.errors import IntegrityError, PybuildError, SourceChanged
from layers.tarfmt import read_tar, write_tar
from tests.support import rawtar

S = 1_000_000_000
LONG = b"/".join([b"d" * 60] * 4)


def written(entries: list[Entry], clamp: int | None = None) -> bytes:
    out = io.BytesIO()
    size = write_tar(entries, out.write, clamp=clamp)
    assert size == len(out.getvalue())
    return out.getvalue()


def content(entry: Entry) -> bytes:
    assert isinstance(entry.source, StreamSource)
    parts = []
    while part := entry.source.read(1000):
        parts.append(part)
    return b"".join(parts)


def read_back(archive: bytes, *, whiteouts: bool = True) -> list[tuple[Entry, bytes | None]]:
    """Entries without sources, and the bytes of files."""
    return [
        (entry._replace(source=None), content(entry) if entry.kind is Kind.FILE else None)
        for entry in read_tar(io.BytesIO(archive).read, whiteouts=whiteouts)
    ]


def file(path: bytes, data: bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0, mtime_ns: int = 0) -> Entry:
    return Entry(path, Kind.FILE, mode, uid, gid, mtime_ns, len(data), source=BytesSource(data))


EVERY_KIND = [
    Entry(b"bin", Kind.DIRECTORY, 0o1777, 1, 2, 3 * S),
    file(b"bin/sh", b"#!", mode=0o4755, uid=3, gid=4, mtime_ns=5 * S),
    Entry(b"bin/ash", Kind.HARDLINK, 0o4755, 3, 4, 5 * S, link=b"bin/sh"),
    Entry(b"dev", Kind.DIRECTORY, 0o755),
    Entry(b"dev/null", Kind.CHAR, 0o666, device=(1, 3)),
    Entry(b"dev/pipe", Kind.FIFO, 0o600),
    Entry(b"dev/sda", Kind.BLOCK, 0o660, 0, 6, device=(8, 0)),
    Entry(b"lib", Kind.SYMLINK, 0o777, link=b"usr/lib"),
]


def test_bytes_are_those_of_a_plain_ustar_archive() -> None:
    """Field by field: what BuildKit's layers have in the same places."""
    archive = written([file(b"bin/sh", b"#!", mode=0o4755, uid=3, gid=4, mtime_ns=5 * S + 999_999_999)])
    expected = rawtar.file(b"bin/sh", b"#!", mode=0o4755, uid=3, gid=4, mtime=5) + rawtar.END
    assert archive == expected


def test_every_kind_as_tarfile_reads_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(written(EVERY_KIND))) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == [os.fsdecode(entry.path) for entry in EVERY_KIND]
    assert [member.type for member in members] == [b"5", b"0", b"1", b"5", b"3", b"6", b"4", b"2"]
    for entry, member in zip(EVERY_KIND, members, strict=True):
        assert (member.mode, member.uid, member.gid, member.size) == (entry.mode, entry.uid, entry.gid, entry.size)
        assert (member.mtime, member.uname, member.gname) == (entry.mtime_ns // S, "", "")
        assert os.fsencode(member.linkname) == (entry.link or b"")
        assert entry.device is None or (member.devmajor, member.devminor) == entry.device
    assert all(not member.pax_headers for member in members)


def test_every_kind_comes_back() -> None:
    back = read_back(written(EVERY_KIND))
    assert [entry for entry, _ in back] == [entry._replace(source=None) for entry in EVERY_KIND]
    assert back[1][1] == b"#!"


def test_directories_end_in_a_slash_and_the_root_is_not_there() -> None:
    archive = written([Entry(b"a", Kind.DIRECTORY, 0o755)])
    assert archive[:3] == b"a/\0"
    assert read_back(rawtar.directory(b".") + rawtar.directory(b"./a") + rawtar.END) == [
        (Entry(b"a", Kind.DIRECTORY, 0o755), None)
    ]


@pytest.mark.parametrize(
    "path",
    [
        b"n" * 100,
        b"n" * 101,
        LONG + b"/" + b"n" * 100,
        b"d" * 155 + b"/" + b"n" * 100,
        b"d" * 156 + b"/" + b"n" * 100,
        b"d" * 255,
        "näme".encode(),
        b"\xff\xfe no utf-8",
        b"new\nline = 1",
        LONG * 9,
    ],
)
def test_names_of_all_lengths_and_bytes(path: bytes) -> None:
    entries = [
        Entry(path, Kind.DIRECTORY, 0o755),
        file(path + b"f", b"x"),
        Entry(path + b"h", Kind.HARDLINK, 0o644, link=path + b"f"),
        Entry(path + b"s", Kind.SYMLINK, 0o777, link=path),
    ]
    archive = written(entries)
    assert [entry for entry, _ in read_back(archive)] == [entry._replace(source=None) for entry in entries]
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert [os.fsencode(name) for name in read.getnames()] == [entry.path for entry in entries]
        assert os.fsencode(read.getmembers()[3].linkname) == path


def test_pax_only_when_ustar_cannot_say_it() -> None:
    assert b"PaxHeaders" not in written([file(b"d" * 155 + b"/" + b"n" * 100)])
    assert b"PaxHeaders" in written([file(b"d" * 156 + b"/" + b"n" * 100)])
    assert b"PaxHeaders" in written([file(b"n" * 101)])
    assert b"PaxHeaders" not in written([file(b"f", uid=0o7777777)])
    assert b"PaxHeaders" in written([file(b"f", uid=0o10000000)])


def test_large_numbers_and_early_times() -> None:
    entry = file(b"f", uid=4_000_000_000, gid=3_000_000_000, mtime_ns=-5 * S)
    late = file(b"g", mtime_ns=9_000_000_000 * S)
    archive = written([entry, late])
    assert [back for back, _ in read_back(archive)] == [entry._replace(source=None), late._replace(source=None)]
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        member = read.getmember("f")
        assert (member.uid, member.gid, member.mtime) == (4_000_000_000, 3_000_000_000, -5)


def test_size_beyond_ustar() -> None:
    size = 1 << 33
    entry = Entry(b"f", Kind.FILE, 0o644, size=size, source=StreamSource(lambda n: b""))
    out: list[bytes | memoryview] = []
    with pytest.raises(IntegrityError, match="bytes early"):
        write_tar([entry, file(b"g")], out.append)
    assert b"".join(written_header(size)).find(b"size=%d\n" % size) > 0


def written_header(size: int) -> list[bytes]:
    from layers.tarheader import build

    return [build(b"f", b"0", size=size)]


def test_extended_attributes() -> None:
    xattrs = ((b"security.capability", bytes(range(20))), (b"user.empty", b""), (b"user.text", b"a=b\n"))
    entry = file(b"f")._replace(xattrs=xattrs)
    archive = written([entry])
    assert read_back(archive) == [(entry._replace(source=None), b"")]
    foreign = rawtar.pax((b"SCHILY.xattr.com.apple.provenance", b"x"), (b"SCHILY.xattr.user.a", b"1"))
    assert read_back(foreign + rawtar.file(b"f") + rawtar.END)[0][0].xattrs == ((b"user.a", b"1"),)


def test_overlay_attributes_are_not_packed() -> None:
    hidden = ((b"trusted.overlay.origin", b"x"), (b"user.overlay.opaque", b"y"))
    assert written([file(b"f")._replace(xattrs=hidden)]) == written([file(b"f")])


def test_what_no_layer_can_hold() -> None:
    with pytest.raises(PybuildError, match=r"a/\.wh\.x cannot be stored"):
        written([file(b"a/.wh.x")])
    with pytest.raises(PybuildError, match=r"user\.a=b"):
        written([file(b"f")._replace(xattrs=((b"user.a=b", b""),))])
    assert written([file(b"a.wh.x")])


def test_whiteouts() -> None:
    entries = [
        Entry(b"d", Kind.DIRECTORY, 0o755),
        Entry(b"d", Kind.OPAQUE),
        Entry(b"d/gone", Kind.WHITEOUT),
        Entry(b"gone", Kind.WHITEOUT, 0o777, 1, 1, 99 * S),
    ]
    archive = written(entries)
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert read.getnames() == ["d", "d/.wh..wh..opq", "d/.wh.gone", ".wh.gone"]
        assert {member.mtime for member in read.getmembers()} == {0}
    assert [entry for entry, _ in read_back(archive)] == [*entries[:3], Entry(b"gone", Kind.WHITEOUT)]
    assert read_back(rawtar.file(b".wh..wh..opq") + rawtar.END) == [(Entry(b"", Kind.OPAQUE), None)]
    kept = [entry.path for entry, _ in read_back(archive, whiteouts=False)]
    assert kept == [b"d", b"d/.wh..wh..opq", b"d/.wh.gone", b".wh.gone"]


def test_clamp_moves_only_later_times() -> None:
    entries = [file(b"early", mtime_ns=5 * S), file(b"late", mtime_ns=50 * S)]
    assert [entry.mtime_ns for entry, _ in read_back(written(entries, clamp=10))] == [5 * S, 10 * S]


def test_seen_gets_digests(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"from disk")
    known = hashlib.sha256(b"from disk").digest()
    host = os.fsencode(tmp_path / "f")
    large = b"x" * (3 << 20)
    entries = [
        Entry(b"a", Kind.FILE, size=9, source=FileSource(host, known)),
        Entry(b"b", Kind.FILE, size=9, source=FileSource(host)),
        file(b"c"),
        file(b"d", large),
        Entry(b"e", Kind.DIRECTORY),
    ]
    seen: list[tuple[Entry, bytes | None]] = []
    write_tar(entries, lambda _: None, seen=lambda entry, digest: seen.append((entry, digest)))
    digests = [known, known, hashlib.sha256(b"").digest(), hashlib.sha256(large).digest(), None]
    assert seen == list(zip(entries, digests, strict=True))


@pytest.mark.parametrize("size", [9, 300 << 10])
def test_changed_sources(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * size)
    source = FileSource(os.fsencode(path))
    other = FileSource(source.path, hashlib.sha256(b"other").digest())
    entry = Entry(b"f", Kind.FILE, size=size, source=source)
    assert written([entry])
    for changed in (entry._replace(size=size - 1), entry._replace(size=size + 1), entry._replace(source=other)):
        with pytest.raises(SourceChanged, match="changed while"):
            written([changed])
    path.unlink()
    with pytest.raises(SourceChanged):
        written([entry])
    path.symlink_to("/etc/passwd")
    with pytest.raises(SourceChanged):
        written([entry])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceChanged):
        written([entry])


def test_what_is_written_comes_in_large_pieces_that_never_change() -> None:
    entries = [file(b"%d" % number, os.urandom(5000)) for number in range(1000)] + [file(b"big", bytes(3 << 20))]
    pieces: list[bytes | memoryview] = []
    write_tar(entries, pieces.append)
    assert b"".join(pieces) == written(entries)
    assert len(pieces) < 16
    assert max(map(len, pieces)) <= 1 << 21


def test_content_is_readable_only_until_the_next_entry() -> None:
    archive = rawtar.file(b"a", b"A" * 600) + rawtar.file(b"b", b"B" * 600) + rawtar.END
    entries = list(read_tar(io.BytesIO(archive).read))
    assert [entry.source.read(600) for entry in entries if isinstance(entry.source, StreamSource)] == [b"", b""]


def test_small_reads_of_the_stream() -> None:
    archive = io.BytesIO(written([*EVERY_KIND, file(b"z", b"z" * 5000)]))
    entries = []
    for entry in read_tar(lambda size: archive.read(min(size, 7))):
        entries.append(entry.path)
        if entry.path == b"z":
            assert content(entry) == b"z" * 5000
    assert entries == [*(entry.path for entry in EVERY_KIND), b"z"]


def test_the_stream_is_read_to_its_end() -> None:
    stream = io.BytesIO(written(EVERY_KIND) + bytes(10240))
    assert len(list(read_tar(stream.read))) == len(EVERY_KIND)
    assert stream.read(1) == b""


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_archives_of_tarfile(form: int) -> None:
    out = io.BytesIO()
    names = ["a", "d/" + "n" * 99, "ü"] + (["n" * 300] if form != tarfile.USTAR_FORMAT else [])
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8") as archive:
        for name in names:
            member = tarfile.TarInfo("./" + name)
            member.size, member.mtime, member.uid, member.uname = 3, 7, 12, "someone"
            archive.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, "./" + names[-1]
        archive.addfile(link)
    back = read_back(out.getvalue())
    assert [entry.path for entry, _ in back] == [*map(os.fsencode, names), b"link"]
    assert {(entry.uid, entry.mtime_ns, data) for entry, data in back[:-1]} == {(12, 7 * S, b"abc")}
    assert back[-1][0].link == os.fsencode(names[-1])


def test_fractions_of_seconds_in_pax() -> None:
    def time(text: bytes) -> int:
        return read_back(rawtar.pax((b"mtime", text)) + rawtar.file(b"f") + rawtar.END)[0][0].mtime_ns

    assert time(b"1.5") == 1_500_000_000
    assert time(b"-1.25") == -1_250_000_000
    assert time(b"1700000000.1234567891") == 1_700_000_000_123_456_789
    assert time(b"3.") == 3 * S


def test_star_and_v7_headers() -> None:
    star = rawtar.header(b"f", prefix=b"p".ljust(131, b"\0") + b"0" * 24, tail=bytes(8) + b"tar\0")
    v7 = rawtar.header(b"g", b"\0", magic=b"", prefix=b"junk") + rawtar.header(b"h/", b"\0", magic=b"")
    back = read_back(star + v7 + rawtar.END)
    assert [(entry.path, entry.kind) for entry, _ in back] == [
        (b"p/f", Kind.FILE),
        (b"g", Kind.FILE),
        (b"h", Kind.DIRECTORY),
    ]


SPARSE = bytes(1000) + b"data" + bytes(2000) + b"more" + bytes(96)
PIECES = [(1000, 4), (3004, 4)]
_MAP = b"1000,4,3004,4"
_NUMBERS = [
    (b"GNU.sparse.offset", b"1000"),
    (b"GNU.sparse.numbytes", b"4"),
    (b"GNU.sparse.offset", b"3004"),
    (b"GNU.sparse.numbytes", b"4"),
]
_NAME = (b"GNU.sparse.name", b"f")


@pytest.mark.parametrize(
    "archive",
    [
        rawtar.gnu_sparse(b"f", len(SPARSE), PIECES, b"datamore"),
        rawtar.pax((b"GNU.sparse.size", b"3104"), (b"GNU.sparse.numblocks", b"2"), *_NUMBERS)
        + rawtar.file(b"f", b"datamore"),
        rawtar.pax((b"GNU.sparse.size", b"3104"), (b"GNU.sparse.map", _MAP), _NAME) + rawtar.file(b"x", b"datamore"),
        rawtar.pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"3104"), _NAME)
        + rawtar.file(b"GNUSparseFile.1/f", rawtar.pad(b"2\n1000\n4\n3004\n4\n") + b"datamore"),
    ],
    ids=["gnu", "pax-0.0", "pax-0.1", "pax-1.0"],
)
def test_sparse_formats(archive: bytes) -> None:
    after = rawtar.file(b"after", b"!")
    back = read_back(archive + after + rawtar.END)
    assert back == [
        (Entry(b"f", Kind.FILE, 0o644, size=len(SPARSE)), SPARSE),
        (Entry(b"after", Kind.FILE, 0o644, size=1), b"!"),
    ]


NAMES = st.binary(min_size=1, max_size=300).filter(
    lambda name: not set(name) & {0, 0x2F} and name not in {b".", b".."} and not name.startswith(b".wh.")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
IDS = st.integers(0, 0xFFFFFFFE)
XATTR_NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: not set(name) & {0, 0x3D})
XATTRS = st.dictionaries(XATTR_NAMES, st.binary(max_size=60), max_size=2)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from(Kind))
    path = draw(PATHS)
    if kind in {Kind.WHITEOUT, Kind.OPAQUE}:
        return Entry(path, kind)
    xattrs = tuple(sorted((b"user.x" + name, value) for name, value in draw(XATTRS).items()))
    seconds = draw(st.integers(-(1 << 33), 1 << 34))
    entry = Entry(path, kind, draw(st.integers(0, 0o7777)), draw(IDS), draw(IDS), seconds * S, xattrs=xattrs)
    match kind:
        case Kind.FILE:
            data = draw(st.binary(max_size=1500))
            return entry._replace(size=len(data), source=BytesSource(data))
        case Kind.SYMLINK | Kind.HARDLINK:
            return entry._replace(link=draw(PATHS))
        case Kind.CHAR | Kind.BLOCK:
            return entry._replace(device=(draw(st.integers(0, 4095)), draw(st.integers(0, 0xFFFFF))))
        case _:
            return entry


@given(st.lists(entries(), max_size=6))
def test_round_trip(given_entries: list[Entry]) -> None:
    expected = [
        (entry._replace(source=None), entry.source.data if isinstance(entry.source, BytesSource) else None)
        for entry in given_entries
    ]
    assert read_back(written(given_entries)) == expected


@given(st.binary(max_size=2000), st.integers(0, 3000))
def test_garbage_gives_errors_of_ours_only(noise: bytes, at: int) -> None:
    good = bytearray(written(EVERY_KIND))
    good[at : at + len(noise)] = noise
    try:
        read_back(bytes(good))
    except PybuildError as error:
        assert error.message
