r"""Wildcards in the sources of COPY and ADD: the pattern language of Go's ``filepath.Match``, over bytes. Pure.

``*`` any characters but "/", ``?`` one of them, ``[a-z]`` or ``[^a-z]`` one of (not) these, ``\c`` the character c.
Characters are those of UTF-8; a byte that is not UTF-8 counts as one character.
"""

import re

from layers.tuples import NamedTuple

_SPECIAL = "*?["


class BadPattern(ValueError):
    """A pattern that cannot be understood."""


def has_wildcard(word: str) -> bool:
    """Whether a part of a path is a pattern. A backslash hides the character after it, so that such a word names a
    file whose name has the backslash in it (reference 1.10: only ``[[]`` matches a literal bracket)."""
    characters = iter(word)
    for char in characters:
        if char == "\\":
            next(characters, None)
        elif char in _SPECIAL:
            return True
    return False


class Pattern(NamedTuple):
    """One part of a path (no "/")."""

    regex: re.Pattern[str]

    def matches(self, name: bytes) -> bool:
        return self.regex.fullmatch(name.decode(errors="surrogateescape")) is not None


def compile_part(part: str) -> Pattern:
    """Raises BadPattern for an open bracket, an empty class or range, or a backslash at the end."""
    chunks = [""]  # what stands between stars: each matches a fixed number of characters
    at = 0
    while at < len(part):
        char = part[at]
        if char == "*":
            chunks.append("")
            at += 1
        elif char == "?":
            chunks[-1] += "[^/]"
            at += 1
        elif char == "[":
            text, at = _class(part, at + 1)
            chunks[-1] += text
        else:
            literal, at = _literal(part, at)
            chunks[-1] += re.escape(literal)
    first, *rest = chunks
    # A chunk before the last star may be taken where it first fits, for good: no pattern takes exponential time.
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in rest[:-1] if chunk)
    last = f"[^/]*{rest[-1]}" if rest else ""
    return Pattern(re.compile(first + middle + last, re.DOTALL))


def _literal(part: str, at: int) -> tuple[str, int]:
    if part[at] != "\\":
        return part[at], at + 1
    if at + 1 >= len(part):
        raise BadPattern("a backslash at the end escapes nothing")
    return part[at + 1], at + 2


def _class(part: str, at: int) -> tuple[str, int]:
    negated = part[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while True:
        if part[at : at + 1] == "]" and ranges:
            body = "".join(ranges)
            if not body:
                return (r"[\s\S]" if negated else "(?!)"), at + 1
            return (f"[^{body}]" if negated else f"[{body}]"), at + 1
        low, at = _bound(part, at)
        high = low
        if part[at : at + 1] == "-":
            high, at = _bound(part, at + 1)
        # A range that runs backwards matches nothing in Go; in ``re`` it is an error.
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")


def _bound(part: str, at: int) -> tuple[str, int]:
    if at >= len(part):
        raise BadPattern("'[' without ']'")
    if part[at] in "-]":
        raise BadPattern("an empty class or range in brackets")
    return _literal(part, at)
