"""Sizes as people write them: ``64m``, ``1.5GiB``. Pure."""

import re

_SIZE = r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(?P<unit>[kmgtp]?)(?P<bytes>i?b)?\Z"
_UNITS = "kmgtp"
_MAX = 2**63 - 1


def parse_size(text: str) -> int | None:
    """Bytes, in units of 1024 as Docker's go-units reads memory sizes; None for what is no size."""
    found = re.match(_SIZE, text, re.IGNORECASE | re.ASCII)
    if found is None or ((found["bytes"] or "").lower() == "ib" and not found["unit"]):
        return None
    exponent = _UNITS.index(found["unit"].lower()) + 1 if found["unit"] else 0
    size = int(float(found["number"]) * 1024**exponent)
    return size if size <= _MAX else None
