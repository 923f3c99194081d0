"""The small patterns, against regular expressions where those are quick enough."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile import globs

PATTERNS = st.lists(st.sampled_from(["=a", "=b", globs.STAR, globs.ANY]), max_size=5).map(tuple)
VALUES = st.text(alphabet="ab\n", max_size=12)


def expression(pattern: tuple[str, ...], star: str) -> str:
    return "".join({"*": star, "?": "."}.get(token, token[1:]) for token in pattern)


@given(PATTERNS, VALUES, st.booleans())
def test_prefixes(pattern: tuple[str, ...], value: str, longest: bool) -> None:
    match = re.match(expression(pattern, ".*" if longest else ".*?"), value)
    assert globs.match_prefix(pattern, value, longest=longest) == (match.end() if match else None)


@given(PATTERNS, VALUES)
def test_first_replacement(pattern: tuple[str, ...], value: str) -> None:
    wanted = re.sub(expression(pattern, ".*"), "<>", value, count=1)
    assert globs.replace(pattern, value, "<>", every=False) == wanted


@given(PATTERNS.filter(lambda pattern: any(token != globs.STAR for token in pattern)), VALUES)
def test_every_replacement(pattern: tuple[str, ...], value: str) -> None:
    assert globs.replace(pattern, value, "<>", every=True) == re.sub(expression(pattern, ".*"), "<>", value)


@pytest.mark.parametrize(("value", "result"), [("", "-"), ("ab", "-"), ("a\nb", "-\n-")])
def test_an_empty_match_after_a_match_does_not_count(value: str, result: str) -> None:
    assert globs.replace((globs.STAR,), value, "-", every=True) == result


def test_many_stars_end() -> None:
    """A backtracking matcher would not come back from this one."""
    pattern = globs.tokens("*a" * 20 + "b")
    assert globs.match_prefix(pattern, "a" * 2_000, longest=True) is None
    assert globs.replace(pattern, "a" * 2_000, "", every=True) == "a" * 2_000


def test_what_replacements_put_in_is_limited() -> None:
    assert globs.replace(("=a",), "aba", "xx", every=True, limit=4) == "xxbxx"
    assert globs.replace(("=a",), "aba", "xx", every=True, limit=3) is None


@pytest.mark.parametrize("pattern", ["\\", "\\a", "a\\b"])
def test_unknown_escapes(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not an escape"):
        globs.tokens(pattern)


def test_escapes() -> None:
    assert globs.tokens("*\\*\\?\\\\\\}\\/?") == ("*", "=*", "=?", "=\\", "=}", "=/", "?")
