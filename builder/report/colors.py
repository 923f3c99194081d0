"""BUILDKIT_COLORS: ``run=cyan:error=255,0,0``, as BuildKit's live view reads it. Pure."""

import csv
from collections.abc import Mapping

_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_COLORS = {
    "default": "39",
    **{name: str(30 + place) for place, name in enumerate(_NAMES)},
    **{f"light-{name}": str(90 + place) for place, name in enumerate(_NAMES)},
}
_STYLES = {"run": ("done", "cached"), "error": ("failed",), "warning": ("warning",), "cancel": ()}
"""What a word there means among the styles here; steps that are given up have none."""


def parse_colors(text: str) -> Mapping[str, str]:
    """Styles with their SGR parameters. Raises ValueError."""
    found: dict[str, str] = {}
    for part in next(csv.reader([text], delimiter=":"), []):
        word, equals, value = part.partition("=")
        if not equals or "=" in value:
            raise ValueError(f"{part!r} is not WORD=COLOR")
        if word.lower() not in _STYLES:
            raise ValueError(f"{word} is none of {', '.join(_STYLES)}")
        color = _COLORS.get(value.lower()) or _mixed(value)
        found.update(dict.fromkeys(_STYLES[word.lower()], color))
    return found


def _mixed(value: str) -> str:
    """Of red, green and blue, each 0 to 255, the nearest of the 216 that terminals with 256 colors have."""
    parts = value.split(",")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(f"{value} is neither the name of a color nor three numbers from 0 to 255")
    red, green, blue = (int(part) * 6 // 256 for part in parts)
    return f"38;5;{16 + 36 * red + 6 * green + blue}"
