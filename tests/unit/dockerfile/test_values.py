"""Durations and comma-separated fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.durations import parse_duration
from builder.dockerfile.mounts import MountError, check_unexpanded, fields


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1\u00b5s", 1_000),
        ("1\u03bcs", 1_000),
        ("1.5ms", 1_500_000),
        ("30s", 30_000_000_000),
        ("1m30s", 90_000_000_000),
        ("2h45m", 9_900_000_000_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("-1s", -1_000_000_000),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
        ("0.1234567891234s", 123_456_789),
        *((text, None) for text in ("", "-", "+", "1", "s", ".s", "1d", "1 s", "1s ", "one", "9223372036854775808ns")),
        *((text, None) for text in ("9999999999h", "1" * 30 + "s", "--1s", "1s1", "\u0661s")),
    ],
)
def test_durations(text: str, nanoseconds: int | None) -> None:
    assert parse_duration(text) == nanoseconds


@given(st.text(alphabet="0123456789.smhunµ+-", max_size=12))
def test_durations_never_crash(text: str) -> None:
    value = parse_duration(text)
    assert value is None or -(2**63) <= value < 2**63


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", ("",)),
        ("a,b=c", ("a", "b=c")),
        ("a,", ("a", "")),
        ('"a,b",c', ("a,b", "c")),
        ('"a ""b""",c', ('a "b"', "c")),
        ('""', ("",)),
    ],
)
def test_fields(value: str, found: tuple[str, ...]) -> None:
    assert fields(value) == found


@pytest.mark.parametrize("value", ['"a', 'a"b', '"a"b', '"a""'])
def test_malformed_fields(value: str) -> None:
    with pytest.raises(MountError):
        fields(value)


@given(st.lists(st.text(), min_size=1))
def test_fields_round_trip(values: list[str]) -> None:
    assert fields(",".join('"' + value.replace('"', '""') + '"' for value in values)) == tuple(values)


def test_from_has_no_variable() -> None:
    check_unexpanded("type=bind,from=a$,target=$x")
    with pytest.raises(MountError, match="not expanded"):
        check_unexpanded("type=bind,FROM=$x")
