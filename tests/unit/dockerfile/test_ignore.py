"""Ignore files: cleaning, anchoring, tokens, order."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.ignore import Matcher, parse_ignore, parse_patterns
from builder.dockerfile.ignore_expressions import PatternError
from builder.errors import ParseError

NAME = ".dockerignore"


def matcher(text: str | bytes) -> Matcher:
    return parse_ignore(text if isinstance(text, bytes) else text.encode(), NAME)


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        # anchoring
        ("foo", ["foo", "foo/a", "foo/a/b"], ["a/foo", "foobar", "fo"]),
        ("a/b", ["a/b", "a/b/c"], ["a", "b", "c/a/b"]),
        ("/foo", ["foo", "foo/x"], ["a/foo"]),
        ("../a", [], ["a", "x/a"]),
        # cleaning
        ("./foo", ["foo"], ["x"]),
        ("foo/", ["foo", "foo/a"], ["a/foo"]),
        ("a//b/./c/", ["a/b/c"], ["a/b"]),
        ("x/../y", ["y"], ["x"]),
        ("  foo\t", ["foo"], ["x"]),
        ("/../foo", ["foo"], ["x"]),
        # nothing can ignore the root, so these ignore nothing
        (".", [], ["a", "a/b", "."]),
        ("/", [], ["a", "a/b"]),
        ("..", [], ["a", "a/b"]),
        # one star, question marks
        ("*", ["a", ".hidden", "a/b"], []),
        ("*.go", ["a.go", ".go", "x.go/y"], ["a/b.go", "a.gox"]),
        ("a*/b", ["a/b", "ab/b"], ["b", "a/c/b"]),
        ("a?", ["ab", "aé", "ab/c"], ["a", "a/b", "abc"]),
        ("*/*", ["a/b", "a/b/c"], ["a"]),
        # sets
        ("[a-c]", ["a", "b", "c"], ["d", "ab", "-"]),
        ("[^a]", ["b", "b/c"], ["a", "a/b"]),
        ("[!a]", ["!", "a"], ["b"]),
        ("[\\]]", ["]"], ["a"]),
        ("[[]x", ["[x"], ["x"]),
        ("a]", ["a]"], ["a"]),
        # escapes
        ("\\*", ["*"], ["a"]),
        ("\\!x", ["!x"], ["x"]),
        ("\\#x", ["#x"], ["x"]),
        ("\\d", ["1"], ["d"]),
        ("\\build.log", [], ["build.log"]),
        ("*\\blog", ["a.log"], ["alog"]),
        # characters that mean something to regular expressions only
        ("a.b*", ["a.b", "a.bc"], ["axb"]),
        ("a+(b)|{c}$*", ["a+(b)|{c}$", "a+(b)|{c}$x"], ["aab", "a+(b)"]),
        # what BuildKit's are not told
        ("a^*", [], ["a^", "a^b"]),
        ("^a*", ["a", "ab"], ["^a"]),
        ("a^", ["a^"], ["a"]),
        ("[*]", ["]", "[]", "^]"], ["*", "a", "[*]"]),
        ("[a*]b", ["]b", "a]b", "a[a]b"], ["ab", "*b", "x]b"]),
        ("[a?]", ["a]", "[]"], ["a", "?", "x]"]),
        ("[^*]", [], ["a", "*", "[]"]),
        ("x[**]", ["x(", "x.", "x*", "x?"], ["x]", "x**", "xa"]),
        # classes in sets
        ("[\\d]", ["1"], ["d", "\\"]),
        ("[^\\d]", ["d"], ["1"]),
        ("[\\D]", ["d", "é"], ["1"]),
        ("[\\d-z]", ["5", "-", "z"], ["d", "y"]),
        ("[\\Wa]", ["-", "a"], ["b", "_", "9"]),
        ("[\\a-z]", ["\a", "d", "\\"], ["~"]),
        ("[[:alpha:]]", ["a", "H"], ["1", "a]", ":"]),
        ("[[:^alpha:]x]", ["1", "x", "é"], ["a"]),
        ("[[:^cntrl:]]", ["a", "é"], ["\t", "\x7f"]),
        # what filepath.Match does not look at, behind a star
        ("b*[a-]", ["ba", "b-"], ["b"]),
        ("b*[]a]", ["ba", "b]"], ["b"]),
        ("b*\\", ["b$", "bx$y"], ["b", "b\\"]),
        ("[[:alpha]", ["a", ":", "["], ["b"]),
        # two stars
        ("**", ["a", "a/b"], []),
        ("**/", ["a", "a/b"], []),
        ("**/x", ["x", "a/x", "a/b/x", "a/x/y"], ["ax", "xa"]),
        ("**foo", ["foo", "afoo", "a/foo", "a/bfoo"], ["food"]),
        ("**/*.md", ["a.md", "b/c.md", "b/.md"], ["md"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("d**", ["d", "dd", "d/e", "dd/e"], ["ad"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb"]),
        ("**/**/x", ["x", "a/x", "a/b/c/x"], ["ax"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/c", "a/x/y/b/c"], ["a/c", "b/c"]),
        ("**/a*b*c", ["abc", "x/a1b2c"], ["ab", "a/b/c"]),
        ("***", ["a", "a/b"], []),
        # blanks and case
        (" #c", ["#c"], ["c"]),
        ("with blank", ["with blank"], ["with"]),
        ("Foo", ["Foo"], ["foo"]),
        ("é*", ["é", "éa"], ["e"]),
    ],
)
def test_one_pattern(pattern: str, ignored: list[str], kept: list[str]) -> None:
    rules = matcher(pattern)
    assert [path for path in ignored if not rules.ignored(path)] == []
    assert [path for path in kept if rules.ignored(path)] == []


@pytest.mark.parametrize(
    ("lines", "ignored", "kept"),
    [
        (["*.md", "!README.md"], ["a.md"], ["README.md"]),
        (["!README.md", "*.md"], ["a.md", "README.md"], []),
        (["*", "!a/b"], ["x", "a", "a/c"], ["a/b", "a/b/c"]),
        (["d", "!d"], [], ["d", "d/a", "d/a/b"]),
        (["d", "!d/a", "d/a/b"], ["d", "d/x", "d/a/b", "d/a/b/c"], ["d/a", "d/a/c"]),
        (["**", "!**/keep.txt", "private"], ["a/x", "private/x"], ["a/keep.txt", "keep.txt"]),
        (["a", "! b", "!  a"], [], ["a"]),
        (["*", "!!a"], ["a"], ["!a"]),
        (["*", "/!a", "./!b"], ["c", "!a"], ["a", "b"]),
        (["d", "!d/x", "d*"], ["d", "d/a"], ["d/x"]),
        (["**", "!**/keep.txt", "private"], ["private"], ["a/keep.txt", "private/keep.txt"]),
    ],
)
def test_order(lines: list[str], ignored: list[str], kept: list[str]) -> None:
    rules = matcher("\n".join(lines))
    assert [path for path in ignored if not rules.ignored(path)] == []
    assert [path for path in kept if rules.ignored(path)] == []


def test_lines() -> None:
    rules = matcher("\ufeff# comment\r\n\r\n   \n#x\na\r\n!a/b\r\n")
    assert [rule.source for rule in rules.rules] == ["a", "!a/b"]
    assert rules.ignored("a")
    assert not rules.ignored("#x")


def test_an_empty_file_ignores_nothing() -> None:
    rules = matcher("")
    assert not rules.ignored("a/b")
    assert rules.may_descend("a")
    assert rules.decided_by("a") is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a\n!\n", 2, "a ! needs a pattern"),
        ("! \t", 1, "a ! needs a pattern"),
        ("!/", 1, "a ! needs a pattern"),
        ("/!", 1, "a ! needs a pattern"),
        ("\n\n[a", 3, "is not closed"),
        ("[", 1, "is not closed"),
        ("[]a]", 1, "is malformed"),
        ("[^]", 1, "is malformed"),
        ("[-a]", 1, "is malformed"),
        ("[a-]", 1, "is malformed"),
        ("[a\\", 1, "is not closed"),
        ("*[a", 1, "is not closed"),
        ("?*[a", 1, "is not closed"),
        ("[--0]*[a", 1, "is malformed"),
        ("[+-0]*[a", 1, "is not closed"),
        ("\\.*a\\", 1, "ends in a backslash"),
        ("a\\", 1, "ends in a backslash"),
        ("x" * 70_000, 1, "the limit is 65535"),
    ],
)
def test_malformed(text: str, line: int, message: str) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        matcher(text)
    assert caught.value.span is not None
    assert (caught.value.span.path, caught.value.span.first_line) == (NAME, line)


@pytest.mark.parametrize(
    ("lines", "path", "line"),
    [
        (["a*", "!ab", "abc"], "a", "a*"),
        (["a*", "!ab", "abc"], "ab", "!ab"),
        (["a*", "!ab", "abc"], "ab/c", "!ab"),
        (["a*", "!ab", "abc"], "x", None),
        (["a*", "!ab", "abc"], "", None),
        (["!x"], "x", None),
        (["a", "a*"], "a", "a"),
    ],
)
def test_decided_by(lines: list[str], path: str, line: str | None) -> None:
    assert matcher("\n".join(lines)).decided_by(path) == line


@pytest.mark.parametrize(
    ("lines", "path", "descend"),
    [
        (["a"], "a", False),
        (["a"], "b", True),
        (["a", "!a/b"], "a", True),
        (["*", "!a/b"], "a", True),
        (["*", "!a/b"], "x", False),
        (["*", "!a/b"], "a/c", False),
        (["*", "!*/b"], "x", True),
        (["*", "!**/b"], "x/y", True),
        (["*", "!a?/b/c"], "ab/b", True),
        (["*", "!a?/b/c"], "ab/c", False),
        (["*", "![ab]/c"], "z", True),
        (["*"], "", True),
    ],
)
def test_may_descend(lines: list[str], path: str, descend: bool) -> None:
    assert matcher("\n".join(lines)).may_descend(path) is descend


def test_paths_of_any_bytes() -> None:
    rules = matcher(b"caf\xe9*\n")
    assert rules.ignored(b"caf\xe9")
    assert rules.ignored(b"caf\xe9.txt")
    assert not rules.ignored(b"caf\xc3\xa9")
    assert not rules.ignored(b"")
    assert matcher("a*").ignored(b"a\nb")


def test_many_stars_end() -> None:
    """A backtracking matcher would not come back from this one."""
    assert not matcher("*a*a*a*a*a*a*a*a*b").ignored("a" * 250)
    assert matcher("**/*a*b?c*d").ignored("x/1a2b3c4d")
    assert not matcher("[\\]*]" * 30 + "x").ignored("]" * 250)


PIECES = ["a", "b", "ab", "*", "**", "?", "/", "!", "[ab]", "[^a]", ".", "..", "\\*", " "]
PATTERNS = st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map("".join), max_size=5)
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "abc", ".b", "*"]), min_size=1, max_size=5).map("/".join)


@given(PATTERNS, st.lists(PATHS, max_size=5))
def test_answers_agree(patterns: list[str], paths: list[str]) -> None:
    """The line that decides, the walk and the verdict say the same, whatever was asked before."""
    try:
        rules = matcher("\n".join(patterns))
    except ParseError:
        return
    for path in paths:
        ignored = rules.ignored(path)
        rule = rules.rule(path)
        assert ignored == (rule is not None and not rule.takes_back)
        assert rules.decided_by(path) == (rule.source if rule is not None else None)
        assert ignored == matcher("\n".join(patterns)).ignored(path.encode())
        parents = [path[:at] for at, char in enumerate(path) if char == "/"]
        assert ignored or all(rules.may_descend(parent) for parent in parents)


@given(st.binary(max_size=60), st.text(max_size=20))
def test_never_crashes(text: bytes, path: str) -> None:
    try:
        rules = parse_ignore(text, NAME)
        rules.ignored(path)
        rules.may_descend(path)
    except ParseError:
        return


@pytest.mark.parametrize(
    ("lines", "fails", "passes"),
    [
        (["[z-a]"], ["a", "a/b"], [""]),
        (["\\q"], ["q"], [""]),
        (["[q\\b]"], ["b"], [""]),
        (["[q[:x:]]"], ["b"], [""]),
        (["[q[:alpha:]"], ["b"], [""]),
        (["q*[a"], ["b"], [""]),
        (["q*[\\"], ["b"], [""]),
        (["\\éq*"], ["b"], [""]),
        (["x/[z-a]"], ["f"], [""]),
        (["![z-a]"], [], ["a", "a/b"]),
        (["*", "![z-a]"], ["a", "a/b"], [""]),
        (["*", "[z-a]"], [], ["a", "b/c"]),
        (["a", "[z-a]"], ["b"], ["a", "a/b"]),
        (["b", "![z-a]"], ["b", "b/a"], ["a", "a/b"]),
        (["d", "!d/k", "![z-a]"], ["d/k", "d"], ["k"]),
    ],
)
def test_a_pattern_that_nothing_can_be_matched_with(lines: list[str], fails: list[str], passes: list[str]) -> None:
    """It is a mistake where BuildKit tries it: on paths whose verdict it would change, in no empty context."""
    for path in fails:
        with pytest.raises(ParseError, match=r"is empty|means nothing|unknown class|is not closed") as caught:
            matcher("\n".join(lines)).ignored(path)
        bad = next(number for number, line in enumerate(lines, 1) if "z-a" in line or "q" in line)
        assert caught.value.span is not None
        assert (caught.value.span.path, caught.value.span.first_line) == (NAME, bad)
        assert caught.value.hint
    for path in passes:
        matcher("\n".join(lines)).ignored(path)


def test_a_malformed_pattern_is_one_behind_a_pattern_that_fails_late() -> None:
    with pytest.raises(ParseError, match="is not closed"):
        matcher("[z-a]\n[a\n")


def test_a_matcher_can_be_sent_to_another_process() -> None:
    rules = matcher("*.md\n!a*.md\nb\n")
    assert rules.ignored("c.md")
    again = pickle.loads(pickle.dumps(rules))
    assert again.ignored("c.md")
    assert not again.ignored("ab.md")
    failing = pickle.loads(pickle.dumps(matcher("[z-a]")))
    with pytest.raises(ParseError, match="is empty") as caught:
        failing.ignored("x")
    assert pickle.loads(pickle.dumps(caught.value)).span == caught.value.span


def test_words_of_an_instruction_fail_at_once() -> None:
    with pytest.raises(PatternError, match="is empty"):
        parse_patterns(("a", "[z-a]"))


def test_a_directory_that_is_not_ignored_is_not_taken_back() -> None:
    """As BuildKit has it: the line that takes it back then says nothing about what is in it."""
    found = parse_ignore(b"d/*\n!**/d\n", ".dockerignore")
    assert not found.ignored("d")
    assert found.ignored("d/a")
    assert not parse_ignore(b"*\n!d\n", ".dockerignore").ignored("d/a")
    assert not parse_ignore(b"d\n!d\n", ".dockerignore").ignored("d/a/b")
