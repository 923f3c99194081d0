"""Texts as Go's fmt package prints them: BuildKit's history lines are made with it. Pure."""

from collections.abc import Sequence

from layers.image import Healthcheck

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}
_SECOND = 1_000_000_000
_SMALL_UNITS = (("ms", 1_000_000), ("µs", 1_000))


def quote(text: str) -> str:
    """A string as ``%q`` prints it."""
    return '"' + "".join(_ESCAPES.get(character) or _character(character) for character in text) + '"'


def _character(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def words(parts: Sequence[str]) -> str:
    """A slice of strings as ``%v`` prints it: ``[a b]``."""
    return f"[{' '.join(parts)}]"


def quoted_words(parts: Sequence[str]) -> str:
    """A slice of strings as ``%q`` prints it: ``["a" "b"]``."""
    return words([quote(part) for part in parts])


def duration(nanoseconds: int) -> str:
    """A time.Duration of 0 or more: ``0s``, ``1.5s``, ``2m0s``, ``100ms``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < _SECOND:
        for unit, size in _SMALL_UNITS:
            if nanoseconds >= size:
                return _decimal(nanoseconds, size) + unit
        return f"{nanoseconds}ns"
    minutes, rest = divmod(nanoseconds, 60 * _SECOND)
    text = _decimal(rest, _SECOND) + "s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = len(str(unit)) - 1
    fraction = f"{rest:0{digits}}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def healthcheck(check: Healthcheck) -> str:
    """Docker's HealthcheckConfig as ``%+v`` prints it."""
    return (
        f"{{Test:{words(check.test)} Interval:{duration(check.interval)} Timeout:{duration(check.timeout)}"
        f" StartPeriod:{duration(check.start_period)} StartInterval:{duration(check.start_interval)}"
        f" Retries:{check.retries}}}"
    )
