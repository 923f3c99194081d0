"""Which user and group ids files can have: all of them, or those of a user namespace. Pure.

Ids of an image are ids inside the namespace, so nothing is ever translated here. Source: user_namespaces(7).
"""

from collections.abc import Iterable
from typing import Self

from layers.tuples import NamedTuple

Row = tuple[int, int, int]
"""First id inside, first id outside, how many: a line of /proc/self/uid_map."""

USUAL = 65535
"""Ids below are those of images: what tools give to a user, 65536 at most, may lack the last one."""

SETTING = "ids"
"""Under which a store remembers ``IdMap.text``."""

ALL: tuple[Row, ...] = ((0, 0, (1 << 32) - 1),)
"""The map of the initial user namespace."""


class IdMap(NamedTuple):
    uids: tuple[Row, ...]
    gids: tuple[Row, ...]

    @property
    def whole(self) -> bool:
        """Whether there is no id that it lacks."""
        return self.uids == ALL and self.gids == ALL

    @property
    def single(self) -> bool:
        """Whether there is one user only, or one group."""
        return self.one_user or _count(self.gids) == 1

    @property
    def one_user(self) -> bool:
        """Whether all files belong to one user, who can remove them whatever becomes of the map."""
        return _count(self.uids) == 1

    def agrees(self, other: Self) -> bool:
        """Whether all ids that images use mean the same in both: larger ones do not count."""
        return all(_clip(mine) == _clip(theirs) for mine, theirs in zip(self, other, strict=True))

    def has(self, uid: int, gid: int) -> bool:
        return has_id(self.uids, uid) and has_id(self.gids, gid)

    def text(self) -> str:
        """The same for equal maps: what a store remembers of the ids its files were written with."""
        return "; ".join(", ".join(" ".join(map(str, row)) for row in rows) for rows in self)


WHOLE = IdMap(ALL, ALL)


def parse(text: str) -> tuple[Row, ...]:
    """A uid_map or gid_map of /proc."""
    rows = (tuple(map(int, line.split())) for line in text.splitlines())
    return tuple((first, outside, count) for first, outside, count in rows)


def parse_text(text: str) -> IdMap:
    """The map that ``IdMap.text`` gave."""
    uids, gids = (parse(part.replace(", ", "\n")) for part in text.split("; "))
    return IdMap(uids, gids)


def has_id(rows: Iterable[Row], number: int) -> bool:
    return any(first <= number < first + count for first, _, count in rows)


def _clip(rows: Iterable[Row]) -> list[Row]:
    return [(first, outside, min(count, USUAL - first)) for first, outside, count in rows if first < USUAL]


def _count(rows: Iterable[Row]) -> int:
    return sum(count for _, _, count in rows)
