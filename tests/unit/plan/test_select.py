"""Source words to what they choose, and the digest of what was chosen (reference 1.10, 5.2, 5.3, 9.1)."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.ignore import parse_patterns
from builder.dockerfile.ignore_expressions import PatternError
from builder.errors import PlanError, Span
from builder.plan.filtered import Filtered, Only
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
        ("d/sub/*.h", []),
        ("a.txt/*", []),
        ("w[[]1]", ["w[1]=w[1]"]),
        ("b\\*", ["b\\*=b\\*"]),
    ],
)
def test_words(word: str, expected: list[str]) -> None:
    assert [f"{root.name.decode()}={root.entry.path.decode()}" for root in chosen(word).roots] == expected


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
        ("none/*", "none/\\*: none: not found"),
        ("d/none/x?", "d/none/x\\?: d/none: not found"),
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


def test_one_file_is_not_asked_for_as_one_of_many() -> None:
    class Many(MemoryTree):
        def sha256_many(self, entries: Sequence[Entry], /) -> list[bytes]:
            raise AssertionError("asked whether it takes many")

    op = CopyOp(("a",), "/", None, None, False)
    assert select(op, Many({"a": b"1"}), None).digest() == digest({"a": b"1"}, "a")


def test_many_directories_are_done_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = digest(BASE)
    monkeypatch.setattr("builder.plan.content.BATCH", 1)
    assert digest(BASE) == whole


# -- what of a directory is taken


def taken(content: dict[str, Content], *words: str, **flags: Any) -> list[str]:
    """Paths of everything that is taken, by the walk that copying does."""
    selection = select(CopyOp(words, "/", None, None, False, **flags), MemoryTree(content), SPAN)
    found = []
    for root in selection.roots:
        todo = [root.entry.path] if root.entry.kind is Kind.DIRECTORY else []
        found += [] if todo else [root.entry.path.decode()]
        view = selection.view(root, 5)
        while todo:
            for entry in view.children(todo.pop()):
                found.append(entry.path.decode() + ("/" if entry.kind is Kind.DIRECTORY else ""))
                todo += [entry.path] if entry.kind is Kind.DIRECTORY else []
    return sorted(found)


FILES: dict[str, Content] = {
    "top.md": b"",
    "a/one.md": b"",
    "a/one.c": b"",
    "a/deep/two.c": b"",
    "a/deep/empty": directory(),
    "b/one.md": b"",
    "b/three.c": b"",
    "l": link("a"),
}


@pytest.mark.parametrize(
    ("words", "patterns", "expected"),
    [
        (".", "*.md", "a/ a/deep/ a/deep/empty/ a/deep/two.c a/one.c a/one.md b/ b/one.md b/three.c l"),
        (".", "**/*.md l", "a/ a/deep/ a/deep/empty/ a/deep/two.c a/one.c b/ b/three.c"),
        ("a", "*.md deep", "a/one.c"),
        ("a", "/one.md", "a/deep/ a/deep/empty/ a/deep/two.c a/one.c a/one.md"),
        ("a b", "one.*", "a/deep/ a/deep/empty/ a/deep/two.c b/three.c"),
        ("a", "* !deep/*.c", "a/deep/ a/deep/two.c"),
        ("a", "deep !deep/two.*", "a/deep/ a/deep/two.c a/one.c a/one.md"),
        ("a", "* !deep/none", ""),
        (".", "* !b", "b/ b/one.md b/three.c"),
        ("a/one.md a/*.c", "**", "a/one.c a/one.md"),
    ],
)
def test_exclude_is_below_directories(words: str, patterns: str, expected: str) -> None:
    assert taken(FILES, *words.split(), exclude=tuple(patterns.split())) == expected.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a/one.c b/one.md", "a/ a/one.c b/ b/one.md"),
        ("a/deep", "a/ a/deep/ a/deep/empty/ a/deep/two.c"),
        ("*/one.md", "a/ a/one.md b/ b/one.md"),
        ("**/*.c", "a/ a/deep/ a/deep/two.c a/one.c b/ b/three.c"),
        ("./a/./deep/two.c", "a/deep/ a/deep/two.c"),
        ("a/./deep", "a/deep/ a/deep/empty/ a/deep/two.c"),
        ("[ab]/./one.*", "a/one.c a/one.md b/one.md"),
        ("l/./one.c", "a/one.c"),
        ("../../b/one.md", "b/ b/one.md"),
        ("/b/./../one.md", "b/one.md"),
        ("l", "l"),
        ("none*", ""),
        ("none*/./x", ""),
    ],
)
def test_parents_keep_the_path(words: str, expected: str) -> None:
    assert taken(FILES, *words.split(), parents=True) == expected.split()


@pytest.mark.parametrize("word", ["none", "a/none", "a/./none", "none/./a", "l/one.c", "top.md/./x"])
def test_parents_of_a_literal_that_is_not_there(word: str) -> None:
    with pytest.raises(PlanError, match="not found"):
        taken(FILES, word, parents=True)


def test_parents_of_what_is_excluded() -> None:
    assert taken(FILES, "**/*.c", parents=True, exclude=("a",)) == ["b/", "b/three.c"]
    assert taken(FILES, "a/./**/*.c", parents=True, exclude=("deep",)) == ["a/one.c"]
    with pytest.raises(PlanError, match=r"a/one\.c: not found"):
        taken(FILES, "a/one.c", parents=True, exclude=("**/*.c",))


def test_directories_above_what_is_taken_have_the_given_time() -> None:
    selection = select(CopyOp(("a/deep",), "/", None, None, False, parents=True), MemoryTree(FILES), SPAN)
    (root,) = selection.roots
    above = selection.view(root, 5).lookup(b"a")
    taken_whole = selection.view(root, 5).lookup(b"a/deep")
    assert above is not None
    assert taken_whole is not None
    assert (above.mtime_ns, taken_whole.mtime_ns) == (5, 10**9)
    assert selection.view(root, 5).lookup(b"b") is None


def test_what_is_not_taken_does_not_count() -> None:
    def of(content: dict[str, Content], **flags: Any) -> bytes:
        return select(CopyOp((".",), "/", None, None, False, **flags), MemoryTree(content), None).digest()

    more = {**FILES, "a/new.md": b"", "c/d/e.md": b""}
    assert of(more, exclude=("**/*.md",)) != of(FILES, exclude=("**/*.md",)), "directories c and c/d are new"
    assert of(more, exclude=("**/*.md", "c")) == of(FILES, exclude=("**/*.md", "c"))
    assert of({**FILES, "a/one.c": b"2"}, exclude=("**/*.md",)) != of(FILES, exclude=("**/*.md",))

    def of_parents(content: dict[str, Content]) -> bytes:
        return select(CopyOp(("**/*.c",), "/", None, None, False, parents=True), MemoryTree(content), None).digest()

    assert of_parents(more) == of_parents(FILES)
    assert of_parents({**more, "c/d/e.c": b""}) != of_parents(more)


NAMES = st.sampled_from(["a", "b", "ab", ".c"])
TREES = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=8)
PIECES = st.lists(st.sampled_from(["a", "b", "*", "**", "?", "/", "!", "[ab]", "."]), min_size=1, max_size=5).map(
    "".join
)


@given(TREES, st.lists(PIECES, max_size=4), st.one_of(st.none(), PIECES))
def test_what_is_taken_is_what_the_patterns_say_of_each_path(
    paths: list[str], exclude: list[str], include: str | None
) -> None:
    """Walking, which leaves out whole directories, against asking for every file."""
    files = [path for path in dict.fromkeys(paths) if not any(other.startswith(path + "/") for other in paths)]
    try:
        left_out = parse_patterns(exclude)
        wanted = parse_patterns([include]) if include is not None else None
    except PatternError:
        return
    tree = MemoryTree(dict.fromkeys(files, b""))
    view = Filtered(tree, b"", Only(wanted, left_out), 0)
    found: list[bytes] = []
    todo = [b""]
    while todo:
        for entry in view.children(todo.pop()):
            assert view.lookup(entry.path) is not None
            assert view.takes(entry.path, entry.kind is Kind.DIRECTORY)
            (todo if entry.kind is Kind.DIRECTORY else found).append(entry.path)
    expected = [path for path in files if not left_out.ignored(path) and (wanted is None or wanted.ignored(path))]
    assert sorted(found) == sorted(path.encode() for path in expected)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("A.TXT", "did you mean a.txt?"),
        ("d/subb", "did you mean d/sub?"),
        ("d/zzz", "paths are looked up from the root of the source"),
        ("none/zzz", "paths are looked up from the root of the source"),
        ("['a.txt',", 'a JSON list is written ["SOURCE", "DESTINATION"]'),
        ("w[1", "write [[] for a bracket"),
    ],
)
def test_hints(word: str, hint: str) -> None:
    with pytest.raises(PlanError) as caught:
        chosen(word)
    assert (caught.value.hint or "").startswith(hint)
