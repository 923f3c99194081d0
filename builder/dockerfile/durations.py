"""Durations as Go writes them: ``1h30m``, ``1.5s``, ``300ms``. Pure. Source: the documentation of Go's package time."""

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3_600 * 1_000_000_000,
}
_LARGEST = 2**63 - 1
_DIGITS = "0123456789"


def parse_duration(text: str) -> int | None:
    """Nanoseconds; None for what is no duration or does not fit 64 bits."""
    negative = text.startswith("-")
    if text.startswith(("-", "+")):
        text = text[1:]
    if text == "0":
        return 0
    if text == "":
        return None
    total = 0
    while text != "":
        part = _part(text)
        if part is None:
            return None
        value, text = part
        total += value
        if total > _LARGEST + negative:
            return None
    return -total if negative else total


def _part(text: str) -> tuple[int, str] | None:
    """The first number with its unit in nanoseconds, and what follows."""
    whole, text = _digits(text)
    fraction = ""
    if text.startswith("."):
        fraction, text = _digits(text[1:])
    if (whole == "" and fraction == "") or len(whole) > 20:
        return None
    end = next((at for at, char in enumerate(text) if char in "." + _DIGITS), len(text))
    scale = _UNITS.get(text[:end])
    if scale is None:
        return None
    fraction = fraction[:20]
    value = int(whole or "0") * scale + int(fraction or "0") * scale // 10 ** len(fraction)
    return value, text[end:]


def _digits(text: str) -> tuple[str, str]:
    rest = text.lstrip(_DIGITS)
    return text[: len(text) - len(rest)], rest
