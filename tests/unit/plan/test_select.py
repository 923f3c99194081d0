"""Source words to what they choose, and the digest of what was chosen (reference 1.10, 5.2, 5.3, 9.1)."""

from collections.abc import Callable

import pytest

from builder.errors import PlanError, Span
from builder.plan.graph import CopyOp, InlineFile
from builder.plan.select import Selection, select
from layers.entry import Entry, Kind
from tests.support.trees import Content, MemoryTree, directory, file, link, same_as

SPAN = Span("Dockerfile", 3, 3)

TREE: dict[str, Content] = {
    "a.txt": b"a",
    ".hidden": b"",
    "d/x.c": b"",
    "d/y.c": b"",
    "d/sub/z.c": b"",
    "e/x.c": b"",
    "l": link("d"),
    "out": link("/../e/x.c"),
    "loop": link("loop"),
    "w[1]": b"",
    "b\\*": b"",
}


def chosen(*words: str | InlineFile) -> Selection:
    return select(CopyOp(words, "/", None, None, False), MemoryTree(TREE), SPAN)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a.txt", ["a.txt=a.txt"]),
        ("/a.txt", ["a.txt=a.txt"]),
        ("../../a.txt", ["a.txt=a.txt"]),
        ("./d/../a.txt/", ["a.txt=a.txt"]),
        ("d", ["d=d"]),
        ("d/.", ["d=d"]),
        (".", ["="]),
        ("/", ["="]),
        ("..", ["="]),
        ("l", ["l=d"]),
        ("l/x.c", ["x.c=d/x.c"]),
        ("out", ["out=e/x.c"]),
        ("*.txt", ["a.txt=a.txt"]),
        ("d/*.c", ["x.c=d/x.c", "y.c=d/y.c"]),
        ("l/*.c", ["x.c=d/x.c", "y.c=d/y.c"]),
        ("?/x.c", ["x.c=d/x.c", "x.c=e/x.c"]),
        ("[de]", ["d=d", "e=e"]),
        ("d/s*/*", ["z.c=d/sub/z.c"]),
        ("**/x.c", ["x.c=d/x.c", "x.c=e/x.c"]),
        (".h*", [".hidden=.hidden"]),
        ("*t*n", []),
        ("o*", ["out=e/x.c"]),
        ("none/*", []),
        ("a.txt/*", []),
        ("w[[]1]", ["w[1]=w[1]"]),
        ("b\\*", ["b\\*=b\\*"]),
    ],
)
def test_words(word: str, expected: list[str]) -> None:
    assert [f"{name.decode()}={entry.path.decode()}" for name, entry in chosen(word).roots] == expected


def test_words_and_heredocs_keep_their_order() -> None:
    selection = chosen("e/x.c", InlineFile("E", b"1"), "a.txt", InlineFile("F", b"2"))
    assert [root.name for root in selection.roots] == [b"x.c", b"a.txt"]
    assert [inline.name for inline in selection.inline] == ["E", "F"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("none", "none: not found"),
        ("d/none", "d/none: not found"),
        ("a.txt/x", "a.txt/x: not found"),
        ("loop", "loop: Too many levels of symbolic links"),
        ("loop/*", "loop/\\*: Too many levels of symbolic links"),
        ("w[1", "w\\[1: '\\[' without '\\]'"),
        ("d/\\", "d/\\\\: not found"),
    ],
)
def test_errors_name_the_word_and_the_line(word: str, message: str) -> None:
    with pytest.raises(PlanError, match=f"^{message}") as caught:
        chosen(word)
    assert caught.value.span == SPAN
    assert caught.value.hint


def digest(content: dict[str, Content], *words: str) -> bytes:
    return select(CopyOp(words or (".",), "/", None, None, False), MemoryTree(content), None).digest()


def with_xattr(entry: Entry, *pairs: tuple[bytes, bytes]) -> Entry:
    return entry._replace(xattrs=pairs)


BASE: dict[str, Content] = {"s/f": file(b"1"), "s/d": directory(), "s/d/g": file(b"2"), "s/l": link("f")}
Change = Callable[[dict[str, Content]], dict[str, Content]]


@pytest.mark.parametrize(
    "change",
    [
        {"s/f": file(b"2")},
        {"s/f": file(b"1", mode=0o755)},
        {"s/f": file(b"1", uid=1)},
        {"s/f": file(b"1", gid=1)},
        {"s/d": directory(mode=0o700)},
        {"s/d": directory(uid=1)},
        {"s/d": with_xattr(directory(), (b"user.a", b""))},
        {"s/f": with_xattr(file(b"1"), (b"user.a", b"1"))},
        {"s/l": link("g")},
        {"s/l": link("f", uid=1)},
        {"s/new": None},
        {"s/d/new": b""},
        {"s/f": Entry(b"", Kind.FIFO, 0o644)},
        {"s/f": Entry(b"", Kind.CHAR, 0o644, device=(1, 2))},
    ],
)
def test_what_the_digest_depends_on(change: dict[str, Content]) -> None:
    assert digest({**BASE, **change}) != digest(BASE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"f": with_xattr(file(), (b"a", b"bc"))}, {"f": with_xattr(file(), (b"ab", b"c"))}),
        ({"f": with_xattr(file(), (b"a", b"b"), (b"c", b"d"))}, {"f": with_xattr(file(), (b"a", b"bx1 1\0cd"))}),
        ({"a/b": b"", "c": b""}, {"a/b": b"", "a/c": b""}),
        ({"a": None, "b": None}, {"a/b": None}),
        ({"a": link("x")}, {"a": file(b"x")}),
        ({"f": Entry(b"", Kind.CHAR, device=(1, 2))}, {"f": Entry(b"", Kind.BLOCK, device=(1, 2))}),
    ],
)
def test_different_trees_have_different_digests(before: dict[str, Content], after: dict[str, Content]) -> None:
    assert digest(before) != digest(after)


@pytest.mark.parametrize(
    "change",
    [
        {"s/f": file(b"1", mtime=99)},
        {"s/d": directory(mtime=99)},
        {"s": directory(mode=0o700, uid=4, mtime=3)},
        {"other": b"x"},
    ],
)
def test_what_the_digest_does_not_depend_on(change: dict[str, Content]) -> None:
    assert digest({**BASE, **change}, "s") == digest(BASE, "s")


def test_a_hard_link_counts_as_the_file_it_names() -> None:
    assert digest({"a": b"1", "b": same_as("a")}) == digest({"a": b"1", "b": b"1"})


def test_names_of_matches_count() -> None:
    assert digest({"a1": b"1"}, "a*") != digest({"a2": b"1"}, "a*")
    assert digest({"a1/f": b"1"}, "a*") != digest({"a2/f": b"1"}, "a*")
    assert digest({"f": b""}, "x*") == digest({}, "x*")


def test_order_of_sources_counts() -> None:
    assert digest({"a": b"1", "b": b"2"}, "a", "b") != digest({"a": b"1", "b": b"2"}, "b", "a")


def test_is_computed_once_and_reads_only_what_is_chosen() -> None:
    tree = MemoryTree(BASE)
    selection = select(CopyOp(("s/d",), "/", None, None, False), tree, None)
    assert selection.digest() == selection.digest()
    assert tree.asked == [b"s/d/g"]


def test_many_directories_are_done_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = digest(BASE)
    monkeypatch.setattr("builder.plan.content.BATCH", 1)
    assert digest(BASE) == whole
