"""Points in time as texts in image configs: RFC 3339 in the form Go's time.Time takes in JSON. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone

from layers.errors import InvalidImage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)\Z")


def from_seconds(seconds: float, *, whole: bool = False) -> str:
    """UTC text of seconds since 1970, to the microsecond (what a float holds) or to the second.

    Raises InvalidImage for years outside 1 to 9999, which RFC 3339 cannot write.
    """
    try:
        moment = _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
    except OverflowError as error:
        raise InvalidImage(f"{seconds} seconds since 1970 is outside the years 1 to 9999") from error
    fraction = "" if whole else f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}{fraction}Z"


def normalize(text: str) -> str:
    """``text`` as Go writes it back: nanoseconds at most, no trailing zeros, ``Z`` for an offset of zero.

    Raises InvalidImage when it is not RFC 3339.
    """
    whole, fraction, zone = _split(text)
    digits = fraction[:9].rstrip("0")
    return whole + (f".{digits}" if digits else "") + ("Z" if zone[1:] == "00:00" else zone)


def to_ns(text: str) -> int:
    """Nanoseconds since 1970. Raises InvalidImage when ``text`` is not RFC 3339."""
    whole, fraction, zone = _split(text)
    try:
        moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
        if zone != "Z":
            offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
            moment = moment.replace(tzinfo=timezone(-offset if zone[0] == "-" else offset))
    except ValueError as error:
        raise InvalidImage(f"{text!r} is not a point in time: {error}") from error
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))


def _split(text: str) -> tuple[str, str, str]:
    found = _TEXT.match(text)
    if found is None:
        raise InvalidImage(f"{text!r} is not a point in time as RFC 3339 writes it")
    return found[1], found[2] or "", found[3]
