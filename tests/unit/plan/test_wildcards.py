"""Go's filepath.Match: its documented language, and cases where it differs from the shell's."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.plan.wildcards import BadPattern, compile_part, has_wildcard


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("*", "", True),
        ("*", ".hidden", True),
        ("*", "new\nline", True),
        ("a*", "a", True),
        ("*c", "abc", True),
        ("a*b*c", "aXbYbZc", True),
        ("a*b*c", "aXbYbZ", False),
        ("**", "abc", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("?", "é", True),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a[!b]", "a!", True),
        ("a[!b]", "ac", False),
        ("[\\]a]", "]", True),
        ("[\\-]", "-", True),
        ("[x\\-]", "-", True),
        ("[z-a]", "b", False),
        ("[^z-a]", "b", True),
        ("[[]", "[", True),
        ("[[]*", "[x", True),
        ("a\\*b*", "a*b", True),
        ("a.c*", "abc", False),
        ("ß*", "ß", True),
        ("(a|b)*", "(a|b)", True),
        ("[a-cx-z]", "y", True),
    ],
)
def test_matches(pattern: str, name: str, expected: bool) -> None:
    assert compile_part(pattern).matches(name.encode()) is expected


@pytest.mark.parametrize("pattern", ["[", "[]", "[^]", "[a", "[a-", "[a-]", "[-a]", "[^-a]", "a\\", "[\\", "[]a]"])
def test_bad_patterns(pattern: str) -> None:
    with pytest.raises(BadPattern):
        compile_part(pattern)


def test_bytes_that_are_not_utf8_count_as_one_character() -> None:
    assert compile_part("a?").matches(b"a\xff")
    assert not compile_part("a?").matches(b"a\xff\xfe")


@pytest.mark.parametrize(
    ("word", "expected"), [("a*", True), ("a\\*", False), ("\\**", True), ("[a", True), ("a\\", False)]
)
def test_backslash_hides_a_wildcard(word: str, expected: bool) -> None:
    assert has_wildcard(word) is expected


def test_many_stars_take_no_time() -> None:
    assert not compile_part("*a" * 30 + "b").matches(b"a" * 200)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_stars_and_question_marks_are_those_of_the_shell(pattern: str, name: str) -> None:
    assert compile_part(pattern).matches(name.encode()) is fnmatch.fnmatchcase(name, pattern)
