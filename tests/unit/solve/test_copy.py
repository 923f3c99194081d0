"""COPY, row by row of reference 1.10, on trees in memory."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.errors import PlanError
from builder.plan.graph import CopyOp, InlineFile
from builder.plan.select import select
from builder.solve.copy import copy_entries
from builder.solve.placing import CannotPlace
from layers.entry import BytesSource, Entry, Kind, sort_key
from layers.errors import PybuildError
from tests.support.trees import Content, MemoryTree, apply, directory, file, link, same_as

NOW = 1_700_000_000
NOW_NS = NOW * 10**9
PASSWD = b"root:x:0:0::/root:/bin/sh\nwww:x:33:34::/:/bin/sh\n"
GROUP = b"root:x:0:\nstaff:x:50:\n"

Tree = Mapping[str, Content]


def copy(
    source: Tree,
    dest: Tree,
    words: str | tuple[str | InlineFile, ...],
    to: str,
    *,
    chown: str | None = None,
    chmod: str | None = None,
    keep: bool = False,
    **flags: Any,
) -> list[Entry]:
    """``keep``: as with --from; ``flags``: further fields of CopyOp."""
    op = CopyOp((words,) if isinstance(words, str) else words, to, chown, chmod, keep, **flags)
    selection = select(op, MemoryTree(source), None)
    selection.digest()
    entries = list(copy_entries(op, selection, MemoryTree(dest), NOW_NS))
    check_stream(entries)
    return entries


def check_stream(entries: list[Entry]) -> None:
    """The rules of layers.entry."""
    paths = [entry.path for entry in entries]
    assert paths == sorted(set(paths), key=sort_key)
    kinds = {entry.path: entry.kind for entry in entries}
    for entry in entries:
        head = entry.path.rpartition(b"/")[0]
        assert not head or kinds[head] is Kind.DIRECTORY
        if entry.kind is Kind.HARDLINK:
            assert kinds[entry.link or b""] is Kind.FILE
            assert sort_key(entry.link or b"") < sort_key(entry.path)


def brief(entries: list[Entry]) -> list[str]:
    """``path kind mode uid:gid mtime`` with NOW spelled out."""
    marks = {Kind.FILE: "f", Kind.DIRECTORY: "d", Kind.SYMLINK: "l", Kind.HARDLINK: "h"}
    return [
        f"{e.path.decode()} {marks.get(e.kind, e.kind.value)} {e.mode:o} {e.uid}:{e.gid} "
        + ("now" if e.mtime_ns == NOW_NS else str(e.mtime_ns // 10**9))
        for e in entries
    ]


def data(entries: list[Entry], path: str) -> bytes:
    entry = next(entry for entry in entries if entry.path == path.encode())
    assert isinstance(entry.source, BytesSource)
    return entry.source.data


# -- file sources


def test_file_takes_the_name_of_the_destination() -> None:
    assert brief(copy({"a": file(b"x", mode=0o4750, mtime=7)}, {}, "a", "/b")) == ["b f 4750 0:0 7"]


@pytest.mark.parametrize("to", ["/d/", "/d/."])
def test_file_goes_into_a_destination_with_a_slash(to: str) -> None:
    assert brief(copy({"s/a": b""}, {}, "s/a", to)) == ["d d 755 0:0 now", "d/a f 644 0:0 1"]


def test_file_goes_into_an_existing_directory_which_stays_as_it_is() -> None:
    dest: Tree = {"d": directory(mode=0o1777, uid=5, gid=6, mtime=9), "d/other": b""}
    assert brief(copy({"a": b""}, dest, "a", "/d")) == ["d d 1777 5:6 9", "d/a f 644 0:0 1"]


def test_parents_are_carried_as_they_are_and_made_where_missing() -> None:
    dest: Tree = {"usr": directory(mode=0o711, mtime=3), "usr/local": directory(gid=50, mtime=4)}
    assert brief(copy({"a": b""}, dest, "a", "/usr/local/x/y/b")) == [
        "usr d 711 0:0 3",
        "usr/local d 755 0:50 4",
        "usr/local/x d 755 0:0 now",
        "usr/local/x/y d 755 0:0 now",
        "usr/local/x/y/b f 644 0:0 1",
    ]


def test_carried_parents_keep_their_xattrs() -> None:
    above = directory()._replace(xattrs=((b"user.a", b"1"),))
    assert copy({"a": b""}, {"d": above}, "a", "/d/")[0].xattrs == ((b"user.a", b"1"),)


def test_file_replaces_a_file_a_link_in_a_directory_and_a_device() -> None:
    dest: Tree = {"d/a": link("/elsewhere"), "d/b": Entry(b"", Kind.FIFO), "d/c": b"old", "elsewhere": b""}
    entries = copy({"a": b"1", "b": b"2", "c": b"3"}, dest, ("a", "b", "c"), "/d/")
    assert brief(entries) == ["d d 755 0:0 1", "d/a f 644 0:0 1", "d/b f 644 0:0 1", "d/c f 644 0:0 1"]


def test_file_over_a_directory_is_an_error() -> None:
    with pytest.raises(CannotPlace, match=r"cannot copy a file over the directory /d/a"):
        copy({"a": b""}, {"d/a/x": b""}, "a", "/d/")


def test_destination_below_a_file_is_an_error() -> None:
    with pytest.raises(CannotPlace, match=r"cannot make /f/x: /f is not a directory"):
        copy({"a": b""}, {"f": b""}, "a", "/f/x/a")
    with pytest.raises(CannotPlace, match=r"/f is not a directory"):
        copy({"a": b""}, {"f": b""}, "a", "/f/a")


def test_destination_with_a_slash_that_is_a_file_is_an_error() -> None:
    with pytest.raises(CannotPlace, match=r"cannot copy into /f: it is a file, not a directory"):
        copy({"a": b""}, {"f": b""}, "a", "/f/")


# -- directory sources


def test_directory_gives_its_contents_and_a_new_top_has_mode_755_owner_root_and_its_time() -> None:
    source: Tree = {
        "s": directory(mode=0o700, uid=8, mtime=5),
        "s/sub": directory(mode=0o1770, uid=8, mtime=6),
        "s/sub/f": file(uid=8, mode=0o600),
        "s/g": file(mtime=2),
    }
    assert brief(copy(source, {}, "s", "/x/y")) == [
        "x d 755 0:0 now",
        "x/y d 755 0:0 5",
        "x/y/g f 644 0:0 2",
        "x/y/sub d 1770 0:0 6",
        "x/y/sub/f f 600 0:0 1",
    ]


def test_from_keeps_owners_but_of_a_new_top_and_new_parents() -> None:
    source: Tree = {
        "s": directory(uid=8),
        "s/sub": directory(uid=8, gid=9),
        "s/sub/f": file(uid=7),
        "s/l": link("t", uid=3),
    }
    assert brief(copy(source, {}, "s", "/x/y", keep=True)) == [
        "x d 755 0:0 now",
        "x/y d 755 0:0 1",
        "x/y/l l 777 3:0 1",
        "x/y/sub d 755 8:9 1",
        "x/y/sub/f f 644 7:0 1",
    ]


def test_existing_top_keeps_mode_and_owner_but_takes_the_time() -> None:
    dest: Tree = {"x": directory(mode=0o1777, uid=4, gid=5, mtime=90)}
    source: Tree = {"s": directory(mode=0o700, mtime=5), "s/f": b""}
    assert brief(copy(source, dest, "s", "/x")) == ["x d 1777 4:5 5", "x/f f 644 0:0 1"]
    assert brief(copy(source, dest, "s", "/x", chown="1:2", chmod="600")) == ["x d 1777 4:5 5", "x/f f 600 1:2 1"]


def test_existing_directories_below_the_top_are_overwritten() -> None:
    dest: Tree = {
        "x/sub": directory(mode=0o1777, uid=4, gid=5, mtime=90)._replace(xattrs=((b"user.a", b"1"), (b"user.b", b"2")))
    }
    source: Tree = {"s/sub": directory(mode=0o700, mtime=5)._replace(xattrs=((b"user.b", b"3"),)), "s/sub/f": b""}
    entries = copy(source, dest, "s", "/x")
    assert brief(entries) == ["x d 755 0:0 1", "x/sub d 700 0:0 5", "x/sub/f f 644 0:0 1"]
    assert entries[1].xattrs == ((b"user.a", b"1"), (b"user.b", b"3"))


def test_xattrs_of_the_top_are_not_copied() -> None:
    source: Tree = {"s": directory()._replace(xattrs=((b"user.a", b"1"),)), "s/f": b""}
    assert copy(source, {}, "s", "/x")[0].xattrs == ()


def test_root_of_the_source() -> None:
    assert brief(copy({"a": b"", "d/b": b""}, {}, ".", "/")) == ["a f 644 0:0 1", "d d 755 0:0 1", "d/b f 644 0:0 1"]


def test_empty_directory_still_makes_the_destination() -> None:
    assert brief(copy({"s": directory(mtime=5)}, {}, "s", "/x")) == ["x d 755 0:0 5"]


def test_scratch_as_a_source_gives_an_empty_directory() -> None:
    assert brief(copy({}, {}, "/", "/x", keep=True)) == ["x d 755 0:0 1"]
    no_time = MemoryTree()
    no_time._put(directory(mtime=0))
    op = CopyOp(("/",), "/x", None, None, True)
    assert brief(list(copy_entries(op, select(op, no_time, None), MemoryTree(), NOW_NS))) == ["x d 755 0:0 now"]


def test_directory_over_a_file_is_an_error() -> None:
    with pytest.raises(CannotPlace, match="cannot copy a directory over /x, which is a file"):
        copy({"s/f": b""}, {"x": b""}, "s", "/x")
    with pytest.raises(CannotPlace, match="cannot copy a directory over /x/sub, which is a file"):
        copy({"s/sub/f": b""}, {"x/sub": b""}, "s", "/x")


def test_directory_in_the_tree_over_a_link_is_an_error() -> None:
    with pytest.raises(CannotPlace, match="cannot copy a directory over /x/sub, which is a link"):
        copy({"s/sub/f": b""}, {"x/sub": link("/y"), "y": None}, "s", "/x")


@pytest.mark.parametrize("dest", [{}, {"x/a/f": b""}])
def test_trees_too_deep_to_be_unpacked_are_an_error(dest: Tree) -> None:
    assert copy({"s/" + "a/" * 255 + "f": b""}, dest, "s", "/x")
    with pytest.raises(CannotPlace, match="lies in more than 256 directories"):
        copy({"s/" + "a/" * 2000 + "f": b""}, dest, "s", "/x")


def test_many_names_below_are_seen_too() -> None:
    source: Tree = {f"s/{number}": b"" for number in range(40)}
    with pytest.raises(CannotPlace, match="over the directory /x/39"):
        copy(source, {"x/39/f": b""}, "s", "/x")
    assert len(copy(source, {"x/38": b"old"}, "s", "/x")) == 41


# -- links


def test_destination_links_are_followed_parents_too() -> None:
    dest: Tree = {"lib": link("usr/lib"), "usr/lib/deep": link("/real"), "real": directory(mode=0o711)}
    assert brief(copy({"a": b""}, dest, "a", "/lib/deep/x")) == ["real d 711 0:0 1", "real/x f 644 0:0 1"]
    assert brief(copy({"s/f": b""}, dest, "s", "/lib/deep")) == ["real d 711 0:0 1", "real/f f 644 0:0 1"]


def test_destination_link_to_a_file_is_followed() -> None:
    assert brief(copy({"a": b""}, {"l": link("f"), "f": b""}, "a", "/l")) == ["f f 644 0:0 1"]


def test_dangling_destination_link_leads_to_a_new_directory() -> None:
    assert brief(copy({"a": b""}, {"l": link("../../m/n")}, "a", "/l/")) == [
        "m d 755 0:0 now",
        "m/n d 755 0:0 now",
        "m/n/a f 644 0:0 1",
    ]


def test_named_source_link_is_followed_and_gives_its_own_name() -> None:
    source: Tree = {"l": link("d/f"), "d/f": file(b"x", mode=0o600), "dl": link("/d")}
    entries = copy(source, {}, "l", "/o/")
    assert brief(entries) == ["o d 755 0:0 now", "o/l f 600 0:0 1"]
    assert data(entries, "o/l") == b"x"
    assert brief(copy(source, {}, "dl", "/o")) == ["o d 755 0:0 1", "o/f f 600 0:0 1"]


def test_links_in_a_source_directory_stay_links() -> None:
    source: Tree = {"s/l": link("/nowhere", mtime=4), "s/m": link("l")}
    entries = copy(source, {}, "s", "/o", chown="3:4", chmod="600")
    assert brief(entries) == ["o d 600 3:4 1", "o/l l 777 3:4 4", "o/m l 777 3:4 1"]
    assert entries[1].link == b"/nowhere"


def test_dangling_source_link_is_an_error() -> None:
    with pytest.raises(PlanError, match="l: is a link to nowhere, which is not there"):
        copy({"l": link("nowhere")}, {}, "l", "/o")


def test_circle_of_links_at_the_destination_is_an_error() -> None:
    with pytest.raises(CannotPlace, match="/l/x: Too many levels of symbolic links"):
        copy({"a": b""}, {"l": link("l")}, "a", "/l/x")


# -- several sources


def test_several_sources_go_into_a_directory() -> None:
    entries = copy({"b": b"1", "s/a": b"2", "s/c": b""}, {}, ("b", "s"), "/o/")
    assert brief(entries) == ["o d 755 0:0 1", "o/a f 644 0:0 1", "o/b f 644 0:0 1", "o/c f 644 0:0 1"]


def test_last_of_several_files_wins() -> None:
    assert data(copy({"a": b"1", "b": b"2"}, {}, ("a", "b"), "/o"), "o") == b"2"
    assert data(copy({"d/f": b"1", "e/f": b"2"}, {}, ("d/f", "e/f"), "/o/"), "o/f") == b"2"
    assert data(copy({"d/f": b"1", "e/f": b"2"}, {}, ("e", "d"), "/o/"), "o/f") == b"1"


def test_directories_are_merged_and_the_last_one_decides() -> None:
    source: Tree = {
        "a": directory(mtime=10),
        "a/s": directory(mode=0o700, mtime=11)._replace(xattrs=((b"user.a", b"1"),)),
        "a/s/x": b"",
        "a/only": None,
        "b": directory(mtime=20),
        "b/s": directory(mode=0o750, mtime=21)._replace(xattrs=((b"user.b", b"2"),)),
        "b/s/y": b"",
    }
    entries = copy(source, {}, ("a", "b"), "/o")
    assert brief(entries) == [
        "o d 755 0:0 20",
        "o/only d 755 0:0 1",
        "o/s d 750 0:0 21",
        "o/s/x f 644 0:0 1",
        "o/s/y f 644 0:0 1",
    ]
    assert entries[2].xattrs == ((b"user.a", b"1"), (b"user.b", b"2"))


def test_sources_that_clash_with_each_other() -> None:
    source: Tree = {"f": b"", "s/f/x": b"", "t/f": b""}
    with pytest.raises(CannotPlace, match="cannot copy a directory over /o, which is a file"):
        copy(source, {}, ("f", "s"), "/o")
    with pytest.raises(CannotPlace, match="cannot copy a directory over /o/f, which is a file"):
        copy(source, {}, ("t", "s"), "/o")
    with pytest.raises(CannotPlace, match="cannot copy a file over the directory /o/f"):
        copy(source, {}, ("s", "t"), "/o")
    with pytest.raises(CannotPlace, match="cannot copy a file over the directory /o/f"):
        copy(source, {}, ("s", "f"), "/o")


def test_file_after_a_directory_goes_into_it() -> None:
    assert [e.path for e in copy({"s/a": b"", "f": b""}, {}, ("s", "f"), "/o")] == [b"o", b"o/a", b"o/f"]


def test_wildcard_without_a_match_makes_nothing() -> None:
    assert copy({"a": b""}, {}, "x*", "/new/") == []
    assert [e.path for e in copy({"a": b""}, {}, ("x*", "a"), "/new/")] == [b"new", b"new/a"]


def test_matched_directories_are_poured_out_flat() -> None:
    source: Tree = {"d1/x": b"", "d2/y": b"", "d.txt": b""}
    assert [e.path for e in copy(source, {}, "d*", "/o/")] == [b"o", b"o/d.txt", b"o/x", b"o/y"]


# -- heredocs


def test_heredocs_are_files_of_now_and_come_last() -> None:
    words = (InlineFile("EOF", b"text"), "EOF")
    entries = copy({"EOF": b"file"}, {}, words, "/o/")
    assert brief(entries) == ["o d 755 0:0 now", "o/EOF f 644 0:0 now"]
    assert data(entries, "o/EOF") == b"text"
    assert brief(copy({}, {}, (InlineFile("A", b""),), "/f", chmod="755", chown="5")) == ["f f 755 5:5 now"]


# -- owners and modes


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("7", "7:7"),
        ("7:8", "7:8"),
        ("www", "33:34"),
        ("www:staff", "33:50"),
        ("www:", "33:0"),
        (":9", "0:9"),
        ("nobody", "0:0"),
        ("www:none", "33:34"),
        ("nobody:staff", "0:50"),
    ],
)
def test_chown(spec: str, expected: str) -> None:
    dest: Tree = {"etc": link("conf"), "conf/passwd": PASSWD, "conf/group": GROUP}
    assert brief(copy({"a": file(uid=3)}, dest, "a", "/n/", chown=spec, keep=True)) == [
        f"n d 755 {expected} now",
        f"n/a f 644 {expected} 1",
    ]


def test_names_on_an_empty_root_are_an_error() -> None:
    with pytest.raises(PybuildError, match="invalid user 'www': the root filesystem is still empty"):
        copy({"a": b""}, {}, "a", "/n/", chown="www")
    assert brief(copy({"a": b""}, {"x": b""}, "a", "/n", chown="www")) == ["n f 644 0:0 1"]


def test_root_is_no_name() -> None:
    """Nobody's passwd file decides who root is."""
    other: Tree = {"etc/passwd": b"root:x:5:6::/:/bin/sh\n", "etc/group": b"root:x:7:\n"}
    for dest in ({}, other):
        for spec in ("root", "root:root", ":root"):
            assert brief(copy({"a": b""}, dest, "a", "/n", chown=spec)) == ["n f 644 0:0 1"]


def test_id_out_of_range_is_an_error() -> None:
    with pytest.raises(PybuildError, match="out of range"):
        copy({"a": b""}, {}, "a", "/n", chown="99999999999")


def test_octal_mode_is_for_files_directories_and_new_parents() -> None:
    source: Tree = {"s/sub/f": b"", "s/l": link("x")}
    assert brief(copy(source, {}, "s", "/p/q", chmod="4750")) == [
        "p d 750 0:0 now",
        "p/q d 750 0:0 1",
        "p/q/l l 777 0:0 1",
        "p/q/sub d 4750 0:0 1",
        "p/q/sub/f f 4750 0:0 1",
    ]


def test_symbolic_mode_is_for_each_entry_and_not_for_new_parents() -> None:
    source: Tree = {
        "s": directory(mode=0o700),
        "s/sub": directory(mode=0o700),
        "s/sub/x": file(mode=0o700),
        "s/f": file(mode=0o600),
    }
    assert brief(copy(source, {}, "s", "/p/q", chmod="u=rwX,go=rX")) == [
        "p d 755 0:0 now",
        "p/q d 755 0:0 1",
        "p/q/f f 644 0:0 1",
        "p/q/sub d 755 0:0 1",
        "p/q/sub/x f 755 0:0 1",
    ]


def test_new_directories_inherit_the_group_of_a_setgid_parent() -> None:
    dest: Tree = {"mail": directory(mode=0o2775, gid=8)}
    source: Tree = {"s/sub/f": b""}
    assert brief(copy(source, dest, "s", "/mail/a/b")) == [
        "mail d 2775 0:8 1",
        "mail/a d 2755 0:8 now",
        "mail/a/b d 2755 0:8 1",
        "mail/a/b/sub d 755 0:0 1",
        "mail/a/b/sub/f f 644 0:0 1",
    ]
    assert brief(copy({"f": b""}, dest, "f", "/mail/a/", chown="3:4"))[1] == "mail/a d 2755 3:4 now"


def test_foreign_xattrs_are_left_behind() -> None:
    names = (b"com.apple.x", b"security.capability", b"security.selinux", b"system.posix_acl_access", b"user.a")
    entry = file()._replace(xattrs=tuple((name, b"1") for name in names))
    assert [name for name, _ in copy({"a": entry}, {}, "a", "/a")[0].xattrs] == [b"security.capability", b"user.a"]


# -- special files and hard links


def test_fifos_and_devices_are_copied() -> None:
    device = Entry(b"", Kind.CHAR, 0o666, device=(1, 3), mtime_ns=10**9)
    source: Tree = {"s/p": Entry(b"", Kind.FIFO, 0o600, mtime_ns=10**9), "s/null": device}
    entries = copy(source, {}, "s", "/o", chmod="640")
    assert brief(entries)[1:] == ["o/null char 640 0:0 1", "o/p fifo 640 0:0 1"]
    assert entries[1].device == (1, 3)


def test_hard_links_inside_one_source_are_kept() -> None:
    source: Tree = {"s/d/b": file(b"x", mode=0o600), "s/a": same_as("s/d/b"), "s/z": same_as("s/d/b")}
    entries = copy(source, {}, "s", "/o", chmod="644")
    assert brief(entries)[1:] == ["o/a f 644 0:0 1", "o/d d 644 0:0 1", "o/d/b h 644 0:0 1", "o/z h 644 0:0 1"]
    assert [entry.link for entry in entries if entry.kind is Kind.HARDLINK] == [b"o/a", b"o/a"]


def test_hard_links_across_sources_are_not() -> None:
    source: Tree = {"s/a": b"x", "t/b": same_as("s/a")}
    assert [entry.kind for entry in copy(source, {}, ("s", "t"), "/o")[1:]] == [Kind.FILE, Kind.FILE]
    assert [entry.kind for entry in copy(source, {}, ("s/a", "t/b"), "/o/")[1:]] == [Kind.FILE, Kind.FILE]


def test_hard_link_whose_first_name_another_source_replaces() -> None:
    source: Tree = {"s/a": b"x", "s/b": same_as("s/a"), "s/c": same_as("s/a"), "t/a": b"new"}
    entries = copy(source, {}, ("s", "t"), "/o")
    assert [(e.path, e.kind, e.link) for e in entries[1:]] == [
        (b"o/a", Kind.FILE, None),
        (b"o/b", Kind.FILE, None),
        (b"o/c", Kind.HARDLINK, b"o/b"),
    ]


# -- property: what comes out is what copying one by one would leave

names = st.sampled_from(["a", "b", "c", "d-", "d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@st.composite
def trees(draw: st.DrawFn) -> dict[str, Content]:
    content: dict[str, Content] = {}
    for path in sorted(draw(st.sets(paths, max_size=8))):
        parts = path.split("/")
        if all(isinstance(content.get("/".join(parts[:n])), type(None)) for n in range(1, len(parts))):
            content[path] = draw(st.one_of(st.none(), st.binary(max_size=2), st.just(link("a"))))
    return content


@settings(max_examples=150, deadline=None)
@given(trees(), trees(), trees(), st.sampled_from(["/", "/x", "/x/", "/a", "/b/c"]))
def test_several_sources_are_the_same_as_several_copies(one: Tree, two: Tree, dest: Tree, to: str) -> None:
    """In one COPY or one after the other: the same files, or an error both times."""
    source = MemoryTree(
        {**{f"1/{k}": v for k, v in one.items()}, **{f"2/{k}": v for k, v in two.items()}, "1": None, "2": None}
    )
    below = MemoryTree(dest)

    def layer(words: tuple[str, ...], tree: MemoryTree) -> MemoryTree | None:
        op = CopyOp(words, to, None, None, False)
        try:
            entries = list(copy_entries(op, select(op, source, None), tree, NOW_NS))
        except (CannotPlace, PybuildError):
            return None
        check_stream(entries)
        return apply(tree, entries)

    together = layer(("1", "2"), below)
    first = layer(("1",), below)
    apart = layer(("2",), first) if first is not None else None
    assert flat(together) == flat(apart)


def flat(tree: MemoryTree | None) -> list[Entry] | None:
    if tree is None:
        return None
    found: list[Entry] = []
    todo = [b""]
    while todo:
        for entry in tree.children(todo.pop()):
            found.append(entry)
            if entry.kind is Kind.DIRECTORY:
                todo.append(entry.path)
    return sorted(found, key=lambda entry: entry.path)


# -- --parents, --exclude, --link

KEPT: Tree = {
    "src": directory(mode=0o700, uid=5, gid=6, mtime=3),
    "src/a.c": b"a",
    "src/lib": directory(mode=0o2750, uid=7, gid=8, mtime=4),
    "src/lib/b.c": file(b"b", mode=0o640, mtime=2),
    "src/lib/b.h": b"",
    "other/c.c": b"",
}


def test_parents_have_the_mode_of_their_sources_and_the_time_of_the_build() -> None:
    entries = copy(KEPT, {}, "src/lib/b.c", "/d", parents=True)
    assert brief(entries) == [
        f"d d 755 0:0 {brief(entries)[0].split()[-1]}",
        "d/src d 700 0:0 now",
        "d/src/lib d 2750 0:0 now",
        "d/src/lib/b.c f 640 0:0 2",
    ]


def test_parents_keep_owners_of_a_stage_unless_chown_gives_them() -> None:
    assert [
        line.rpartition(" ")[0] for line in brief(copy(KEPT, {}, "src/lib/b.c", "/d", parents=True, keep=True))
    ] == [
        "d d 755 0:0",
        "d/src d 700 5:6",
        "d/src/lib d 2750 7:8",
        "d/src/lib/b.c f 640 0:0",
    ]
    given = copy(KEPT, {}, "src/lib/b.c", "/d", parents=True, keep=True, chown="1:2", chmod="711")
    assert {line.split()[2] + " " + line.split()[3] for line in brief(given)} == {"711 1:2"}


def test_parents_of_several_sources_are_one_tree() -> None:
    entries = copy(KEPT, {"d/src/x": b""}, ("src/*.c", "**/b.h", "other/./c.c"), "/d/", parents=True)
    assert [entry.path for entry in entries] == [b"d", b"d/c.c", b"d/src", b"d/src/a.c", b"d/src/lib", b"d/src/lib/b.h"]


def test_parents_that_are_there_take_the_mode_alone() -> None:
    dest: Tree = {"d/src": directory(mode=0o711, uid=1, gid=2, mtime=9), "d/src/a.c": b"", "d/src/lib": None}
    flags: dict[str, Any] = {"parents": True, "keep": True, "chown": "3:4", "chmod": "777"}
    assert brief(copy(KEPT, dest, "src/lib/b.c", "/d", **flags))[1:] == [
        "d/src d 700 1:2 9",
        "d/src/lib d 2750 0:0 now",
        "d/src/lib/b.c f 777 3:4 2",
    ]
    assert brief(copy(KEPT, dest, "src/a.c", "/d", **flags))[1:] == ["d/src d 700 1:2 now", "d/src/a.c f 777 3:4 1"]


def test_parents_that_an_earlier_source_made_take_the_mode_of_a_later_one() -> None:
    entries = copy(KEPT, {}, ("src", "src/lib/b.c"), "/d", parents=True, chmod="a=rwx")
    assert brief(entries)[1:] == [
        "d/src d 700 0:0 3",
        "d/src/a.c f 777 0:0 1",
        "d/src/lib d 2750 0:0 now",
        "d/src/lib/b.c f 777 0:0 2",
        "d/src/lib/b.h f 777 0:0 1",
    ]


def test_parents_of_no_match_leave_an_empty_directory() -> None:
    assert [entry.path for entry in copy(KEPT, {}, "none*", "/d", parents=True)] == [b"d"]
    assert copy(KEPT, {}, "none*/./x", "/d", parents=True) == []


def test_exclude_leaves_out_of_directories_only() -> None:
    entries = copy(KEPT, {}, ("src", "src/a.c"), "/d/", exclude=("**/*.c",))
    assert [entry.path for entry in entries] == [b"d", b"d/a.c", b"d/lib", b"d/lib/b.h"]


def test_linked_parents_are_as_new_whatever_the_mode_for_files() -> None:
    assert brief(copy(KEPT, {}, "src/a.c", "/usr/bin/", chmod="600", link=True)) == [
        "usr d 755 0:0 now",
        "usr/bin d 755 0:0 now",
        "usr/bin/a.c f 600 0:0 1",
    ]
