"""Words of --chmod, octal and symbolic; expectations of the symbolic ones are those of BSD's setmode(3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.plan.modes import BadMode, parse_mode


@pytest.mark.parametrize(
    ("word", "expected"), [("0", 0), ("755", 0o755), ("07777", 0o7777), ("00644", 0o644), ("4755", 0o4755)]
)
def test_octal(word: str, expected: int) -> None:
    mode = parse_mode(word)
    assert mode.apply(0o123, directory=False) == expected
    assert mode.for_parents == expected & 0o777


@pytest.mark.parametrize(
    "word", ["8", "10000", "77777777777777", "0x1", "u", "", "u+q", "z=r", "u+r,", ",u+r", "755,u+x", "u r"]
)
def test_words_that_are_no_mode(word: str) -> None:
    with pytest.raises(BadMode):
        parse_mode(word)


@pytest.mark.parametrize(
    ("word", "before", "expected"),
    [
        ("u+x", 0o644, 0o744),
        ("+x", 0o644, 0o755),
        ("a-w", 0o666, 0o444),
        ("go=", 0o777, 0o700),
        ("=", 0o7777, 0o1000),
        ("=rw", 0o7755, 0o1666),
        ("u=rwX,go=rX", 0o600, 0o644),
        ("u=rwX,go=rX", 0o700, 0o755),
        ("a=rX", 0o640, 0o444),
        ("a=,a+X", 0o100, 0o111),
        ("-X", 0o755, 0o644),
        ("g=u", 0o640, 0o660),
        ("go=u-w", 0o600, 0o644),
        ("go=u-w", 0o700, 0o755),
        ("o-g", 0o077, 0o070),
        ("u+g", 0o070, 0o770),
        ("u=o", 0o4701, 0o4101),
        ("=g", 0o640, 0o444),
        ("u+s", 0o755, 0o4755),
        ("g+s", 0o755, 0o2755),
        ("+s", 0o755, 0o6755),
        ("o+s", 0o755, 0o755),
        ("u=rwx", 0o4755, 0o755),
        ("+t", 0o777, 0o1777),
        ("a+t", 0o777, 0o1777),
        ("o+t", 0o777, 0o777),
        ("u+x+r-w", 0o200, 0o500),
        ("ug+rw,o-rwx", 0o007, 0o660),
        ("u=rg", 0o070, 0o770),
    ],
)
def test_symbolic(word: str, before: int, expected: int) -> None:
    assert oct(parse_mode(word).apply(before, directory=False)) == oct(expected)


def test_capital_x_is_for_directories_too() -> None:
    assert parse_mode("a+X").apply(0o600, directory=True) == 0o711
    assert parse_mode("a+X").apply(0o600, directory=False) == 0o600
    assert parse_mode("a+X").for_parents == 0o755


@given(st.text("ugoa+-=rwxXst,", max_size=12), st.integers(0, 0o7777), st.booleans())
def test_never_leaves_the_range(word: str, before: int, directory: bool) -> None:
    try:
        mode = parse_mode(word)
    except BadMode:
        return
    assert 0 <= mode.apply(before, directory=directory) <= 0o7777
