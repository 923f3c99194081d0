"""ADD: archives are found by their content and unpacked as Docker does (reference 1.10, "ADD archive")."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import zstandard

from builder.plan.context import Context, open_context
from builder.plan.contextmemory import Memories
from builder.plan.graph import AddOp, InlineFile
from builder.plan.select import select
from builder.solve.add import add_entries
from builder.solve.placing import CannotPlace
from layers.entry import BytesSource, Entry, FileSource, Kind, Source, StreamSource, sort_key
from layers.errors import PybuildError, SourceChanged
from tests.support.trees import Content, MemoryTree, NoDigests, directory, file, link

NOW = 1_700_000_000

Member = tuple[str, dict[str, object], bytes]


def member(name: str, content: bytes = b"", **fields: object) -> Member:
    return name, fields, content


def folder(name: str, **fields: object) -> Member:
    return name, {"type": tarfile.DIRTYPE, "mode": 0o755, **fields}, b""


def tar(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, fields, content in members:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime, info.size = 0o644, 7, len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Added(list[Entry]):
    """Entries, with the bytes of files read while they can be."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def brief(self) -> list[str]:
        marks = {Kind.FILE: "f", Kind.DIRECTORY: "d", Kind.SYMLINK: "l", Kind.HARDLINK: "h"}
        times = {NOW * 10**9: "now"}
        return [
            f"{e.path.decode()} {marks.get(e.kind, e.kind.value)} {e.mode:o} {e.uid}:{e.gid} "
            f"{times.get(e.mtime_ns, str(e.mtime_ns // 10**9))}"
            for e in self
        ]

    def links(self) -> dict[str, str]:
        return {e.path.decode(): e.link.decode() for e in self if e.link is not None}


def read(source: Source | None) -> bytes:
    match source:
        case BytesSource(data):
            return data
        case FileSource(path):
            return Path(path.decode()).read_bytes()
        case StreamSource(take):
            return b"".join(iter(partial(take, 3), b""))
        case None:
            raise AssertionError("no bytes")


class Adder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(
        self,
        files: Mapping[str, bytes],
        dest: Mapping[str, Content],
        words: tuple[str | InlineFile, ...],
        to: str,
        *,
        chown: str | None = None,
        chmod: str | None = None,
    ) -> Added:
        for name, content in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_bytes(content)
            (self.root / name).chmod(0o644)
        op = AddOp(words, to, chown, chmod, False)
        selection = select(op, open_context(str(self.root), None, Memories(NoDigests())), None)
        selection.digest()
        added = Added()
        for entry in add_entries(op, selection, MemoryTree(dest), NOW * 10**9):
            added.append(entry)
            if entry.kind is Kind.FILE:
                added.data[entry.path.decode()] = read(entry.source)
                assert len(added.data[entry.path.decode()]) == entry.size
        paths = [entry.path for entry in added if entry.kind is not Kind.OPAQUE]
        assert paths == sorted(set(paths), key=sort_key)
        return added


@pytest.fixture
def add(tmp_path: Path) -> Adder:
    return Adder(tmp_path)


PLAIN = tar(folder("d", mode=0o750, uid=3, gid=4, mtime=9), member("d/f", b"text", mode=0o4755, uid=5, gid=6))

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("kind", COMPRESSORS)
def test_archives_are_found_whatever_their_name_and_keep_owner_mode_and_time(add: Adder, kind: str) -> None:
    added = add({"data.txt": COMPRESSORS[kind](PLAIN)}, {}, ("data.txt",), "/o")
    assert added.brief() == ["o d 755 0:0 now", "o/d d 750 3:4 9", "o/d/f f 4755 5:6 7"]
    assert added.data == {"o/d/f": b"text"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        bytes(10240),
        gzip.compress(b"text"),
        zstandard.compress(bytes(2048)),
        b"\x1f\x8b broken",
        b"PK\x03\x04",
    ],
)
def test_other_files_are_copied(add: Adder, content: bytes) -> None:
    added = add({"a.tar.gz": content}, {}, ("a.tar.gz",), "/o/")
    assert [entry.path for entry in added] == [b"o", b"o/a.tar.gz"]
    assert added.data["o/a.tar.gz"] == content


def test_archive_in_a_directory_source_is_copied(add: Adder) -> None:
    assert add({"s/a.tar": PLAIN}, {}, ("s",), "/o").data == {"o/a.tar": PLAIN}


def test_link_to_an_archive_is_followed(add: Adder) -> None:
    (add.root / "l").symlink_to("a.tar")
    assert add({"a.tar": PLAIN}, {}, ("l",), "/o").data == {"o/d/f": b"text"}


def test_archive_of_the_root_alone_is_an_archive(add: Adder) -> None:
    assert add({"a": tar(folder("./"))}, {}, ("a",), "/o").brief() == ["o d 755 0:0 now"]


def test_a_first_member_without_a_name_is_passed_over(add: Adder) -> None:
    added = add({"a": tar(member(""), member("f", b"1"))}, {}, ("a",), "/o/")
    assert [entry.path for entry in added] == [b"o", b"o/f"]


def test_chown_is_for_entries_and_new_parents_and_chmod_for_nothing(add: Adder) -> None:
    archive = tar(member("implied/f", b"", mode=0o640), member("l", type=tarfile.SYMTYPE, linkname="x", mode=0o777))
    added = add({"a": archive}, {"p": directory(mode=0o1777, uid=9)}, ("a",), "/p/q", chown="7:8", chmod="600")
    assert added.brief() == [
        "p d 1777 9:0 1",
        "p/q d 755 7:8 now",
        "p/q/implied d 755 0:0 now",
        "p/q/implied/f f 640 7:8 7",
        "p/q/l l 777 7:8 7",
    ]


def test_existing_destination_keeps_mode_owner_and_time(add: Adder) -> None:
    archive = tar(folder("./", mode=0o700, uid=5), member("f"))
    assert add({"a": archive}, {"o": directory(mode=0o1777, gid=5, mtime=3)}, ("a",), "/o").brief() == [
        "o d 1777 0:5 3",
        "o/f f 644 0:0 7",
    ]


def test_destination_that_is_a_file_is_an_error(add: Adder) -> None:
    with pytest.raises(CannotPlace, match="/o is not a directory"):
        add({"a": PLAIN}, {"o": b""}, ("a",), "/o")


def test_destination_link_is_followed(add: Adder) -> None:
    added = add({"a": PLAIN}, {"l": link("real"), "real": None}, ("a",), "/l")
    assert [entry.path for entry in added] == [b"real", b"real/d", b"real/d/f"]


def test_members_cannot_leave_the_destination(add: Adder) -> None:
    archive = tar(
        member("../up", b"1"),
        member("/abs", b"2"),
        member("l", type=tarfile.SYMTYPE, linkname="/../../out"),
        folder("out"),
        member("l/through", b"3"),
        member("a/../../b", b"4"),
    )
    added = add({"a": archive}, {"out": None}, ("a",), "/o")
    assert set(added.data) == {"o/up", "o/abs", "o/out/through", "o/b"}


def test_files_go_below_links_of_the_destination_and_a_directory_replaces_one(add: Adder) -> None:
    dest: dict[str, Content] = {
        "lib": link("usr/lib"),
        "usr/lib": directory(mode=0o711, mtime=3),
        "bin": link("usr/bin"),
        "usr/bin/x": b"",
    }
    archive = tar(member("lib/f", b"1"), folder("bin", mode=0o700), member("bin/g", b"2"))
    added = add({"a": archive}, dest, ("a",), "/")
    assert added.brief() == [
        "bin d 700 0:0 7",
        "bin/g f 644 0:0 7",
        "usr d 755 0:0 1",
        "usr/lib d 711 0:0 3",
        "usr/lib/f f 644 0:0 7",
    ]


def test_directories_take_the_metadata_of_members_and_add_xattrs(add: Adder) -> None:
    below = directory(mode=0o700, uid=1, mtime=3)._replace(xattrs=((b"user.a", b"1"),))
    archive = tar(folder("d", uid=5, pax_headers={"SCHILY.xattr.user.b": "2", "SCHILY.xattr.security.selinux": "x"}))
    added = add({"a": archive}, {"o/d": below, "o/d/kept": b""}, ("a",), "/o")
    assert added.brief() == ["o d 755 0:0 1", "o/d d 755 5:0 7"]
    assert added[1].xattrs == ((b"user.a", b"1"), (b"user.b", b"2"))


def test_later_members_replace_earlier_ones_and_what_is_there(add: Adder) -> None:
    archive = tar(
        member("f", b"1"),
        member("f", b"22"),
        folder("d"),
        member("d/x"),
        member("d", b"now a file"),
        folder("e"),
        member("e/new"),
    )
    dest: dict[str, Content] = {"o/d/below": b"", "o/e": b"a file"}
    added = add({"a": archive}, dest, ("a",), "/o")
    assert added.data == {"o/f": b"22", "o/d": b"now a file", "o/e/new": b""}
    assert [entry.kind for entry in added if entry.path == b"o/e"] == [Kind.DIRECTORY]


def test_directory_replaced_twice_hides_what_was_below(add: Adder) -> None:
    archive = tar(member("d", b""), folder("d"), member("d/x"))
    added = add({"a": archive}, {"o/d/below": b""}, ("a",), "/o")
    assert [(e.path, e.kind) for e in added] == [
        (b"o", Kind.DIRECTORY),
        (b"o/d", Kind.DIRECTORY),
        (b"o/d", Kind.OPAQUE),
        (b"o/d/x", Kind.FILE),
    ]


def test_hard_links_are_kept(add: Adder) -> None:
    archive = tar(
        member("m", b"text", uid=3),
        member("z", type=tarfile.LNKTYPE, linkname="./m", uid=3),
        member("a", type=tarfile.LNKTYPE, linkname="/m", uid=3),
        member("l", type=tarfile.SYMTYPE, linkname="m"),
        member("ll", type=tarfile.LNKTYPE, linkname="l"),
    )
    added = add({"a": archive}, {}, ("a",), "/o")
    assert added.data == {"o/a": b"text"}
    assert added.links() == {"o/m": "o/a", "o/z": "o/a", "o/l": "m", "o/ll": "m"}
    assert [entry.uid for entry in added if entry.path in {b"o/a", b"o/m"}] == [3, 3]


def test_hard_link_to_a_file_that_was_there(add: Adder) -> None:
    archive = tar(member("d/n", type=tarfile.LNKTYPE, linkname="old"))
    added = add({"a": archive}, {"o/old": file(b"bytes")}, ("a",), "/o")
    assert added.data == {"o/d/n": b"bytes"}
    assert added.links() == {"o/old": "o/d/n"}
    with pytest.raises(CannotPlace, match="in an earlier layer"):
        add({"a": archive}, {"o/old": file(b"bytes")._replace(source=None)}, ("a",), "/o")


def test_hard_link_to_nothing_is_an_error(add: Adder) -> None:
    for target in ("none", "n", "d"):
        with pytest.raises(CannotPlace, match=r"is a hard link to /o/.*, which is not there"):
            add({"a": tar(folder("d"), member("n", type=tarfile.LNKTYPE, linkname=target))}, {}, ("a",), "/o")


def test_whiteouts_are_files_like_others(add: Adder) -> None:
    assert set(add({"a": tar(member(".wh.f"))}, {"o/f": b""}, ("a",), "/o").data) == {"o/.wh.f"}


def test_archives_and_files_together_in_the_order_written(add: Adder) -> None:
    files = {
        "a.tar": tar(member("x", b"archive"), member("y", b"archive")),
        "x": b"file",
        "b.tar": tar(member("y", b"second")),
    }
    added = add(files, {}, ("a.tar", "x", "b.tar", InlineFile("E", b"here")), "/o/", chmod="600")
    assert added.data == {"o/x": b"file", "o/y": b"second", "o/E": b"here"}
    assert [f"{entry.mode:o}" for entry in added] == ["755", "600", "600", "644"]


def test_files_of_a_directory_beside_an_archive_keep_their_hard_links(add: Adder) -> None:
    (add.root / "s").mkdir()
    (add.root / "s/a").write_bytes(b"x")
    (add.root / "s/b").hardlink_to(add.root / "s/a")
    added = add({"a.tar": PLAIN}, {}, ("s", "a.tar"), "/o/")
    assert added.links() == {"o/b": "o/a"}


def test_names_of_owners_are_those_of_the_image_not_of_the_archive(add: Adder) -> None:
    dest = {"etc/passwd": file(b"app:x:5:6::/:\n")}
    archive = tar(member("etc/passwd", b"app:x:50:60::/:\n"))
    added = add({"a.tar": archive, "f": b""}, dest, ("a.tar", "f"), "/", chown="app")
    assert [(entry.path, entry.uid) for entry in added] == [(b"etc", 0), (b"etc/passwd", 5), (b"f", 5)]


def test_large_archives_do_not_stay_in_memory(add: Adder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.solve.add._IN_MEMORY", 10)
    archive = tar(member("b", b"b" * 5000), member("a", b"a" * 3000))
    added = add({"a": archive}, {}, ("a",), "/o")
    assert added.data == {"o/a": b"a" * 3000, "o/b": b"b" * 5000}


def test_truncated_archive_is_an_error(add: Adder) -> None:
    with pytest.raises(PybuildError, match=r"cannot unpack a\.tar: .*truncated"):
        add({"a.tar": tar(member("f", b"x" * 4000))[:2000]}, {}, ("a.tar",), "/o")


def test_what_is_cut_off_behind_an_archive_is_not_missed(add: Adder) -> None:
    """Of a compressed one the end of the stream, as with BuildKit."""
    data = gzip.compress(tar(member("f", b"x")))
    assert add({"a.tgz": data[:-4]}, {}, ("a.tgz",), "/o").data == {"o/f": b"x"}


def test_archive_that_changed_since_it_was_selected_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(PLAIN)
    op = AddOp(("a.tar",), "/o", None, None, False)
    context: Context = open_context(str(tmp_path), None, Memories(NoDigests()))
    selection = select(op, context, None)
    selection.digest()
    (tmp_path / "a.tar").write_bytes(tar(member("other")))
    with pytest.raises(SourceChanged):
        list(add_entries(op, selection, MemoryTree(), 0))
