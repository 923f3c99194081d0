from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers import gotime
from layers.errors import InvalidImage


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (1_700_000_000.5, "2023-11-14T22:13:20.5Z"),
        (1_700_000_000.123456, "2023-11-14T22:13:20.123456Z"),
        (-62_135_596_800, "0001-01-01T00:00:00Z"),
    ],
)
def test_seconds_to_text(seconds: float, text: str) -> None:
    assert gotime.from_seconds(seconds) == text


def test_whole_seconds() -> None:
    assert gotime.from_seconds(1.75, whole=True) == "1970-01-01T00:00:01Z"


@pytest.mark.parametrize("seconds", [1e12, -1e12, 1e300])
def test_years_that_cannot_be_written(seconds: float) -> None:
    with pytest.raises(InvalidImage, match="outside the years 1 to 9999"):
        gotime.from_seconds(seconds)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("2023-01-02T03:04:05Z", "2023-01-02T03:04:05Z"),
        ("2023-01-02T03:04:05.000Z", "2023-01-02T03:04:05Z"),
        ("2023-01-02T03:04:05.120Z", "2023-01-02T03:04:05.12Z"),
        ("2023-01-02T03:04:05.1234567899Z", "2023-01-02T03:04:05.123456789Z"),
        ("2023-01-02T03:04:05+00:00", "2023-01-02T03:04:05Z"),
        ("2023-01-02T03:04:05.5+02:30", "2023-01-02T03:04:05.5+02:30"),
    ],
)
def test_normalized_as_go_writes_it_back(text: str, normal: str) -> None:
    assert gotime.normalize(text) == normal


@pytest.mark.parametrize("text", ["", "2023", "2023-01-02 03:04:05Z", "2023-01-02T03:04:05", "2023-01-02T03:04:05Zx"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidImage, match="RFC 3339"):
        gotime.normalize(text)


def test_a_date_that_does_not_exist() -> None:
    with pytest.raises(InvalidImage, match="not a point in time"):
        gotime.to_ns("2023-02-30T00:00:00Z")


def test_offsets_and_nanoseconds_count() -> None:
    assert gotime.to_ns("1970-01-01T02:30:00.000000001+02:30") == 1
    assert gotime.to_ns("1969-12-31T22:00:00-02:00") == 0


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_round_trip(seconds: int) -> None:
    text = gotime.from_seconds(seconds)
    assert gotime.to_ns(text) == seconds * 1_000_000_000
    assert gotime.normalize(text) == text


@given(st.datetimes(timezones=st.just(UTC)))
def test_agrees_with_the_standard_library(moment: datetime) -> None:
    assert (
        gotime.to_ns(moment.isoformat()) // 1_000_000_000
        == (moment - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400
        + (moment - datetime(1970, 1, 1, tzinfo=UTC)).seconds
    )
