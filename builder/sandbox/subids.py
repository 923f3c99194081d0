"""Subordinate ids: which ranges /etc/subuid and /etc/subgid give to a user (subuid(5)). Pure."""

from layers.tuples import NamedTuple

FIRST = 100000
"""Where ranges begin by convention (login.defs(5), SUB_UID_MIN)."""
USUAL = 65536


class Range(NamedTuple):
    first: int
    size: int


def ranges(text: str, name: str, uid: int) -> tuple[Range, ...]:
    """Those of the user with this name or number, in the order of the file. Lines that are none are passed over."""
    found = []
    for owner, first, count in _lines(text):
        if owner in {name, str(uid)} and count > 0:
            found.append(Range(first, count))
    return tuple(found)


def free(text: str) -> int:
    """The first id of a range that nobody has."""
    last = max((first + count for _, first, count in _lines(text)), default=FIRST)
    return max(FIRST, FIRST + -(-(last - FIRST) // USUAL) * USUAL)


def rows(own: int, given: tuple[Range, ...]) -> tuple[tuple[int, int, int], ...]:
    """The map of a namespace: 0 is the user itself, 1 and on are the ranges, one after the other."""
    made = [(0, own, 1)]
    inside = 1
    for first, count in given:
        made.append((inside, first, count))
        inside += count
    return tuple(made)


def _lines(text: str) -> list[tuple[str, int, int]]:
    found = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if owner and _is_number(first) and _is_number(count):
            found.append((owner, int(first), int(count)))
    return found


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= 10
