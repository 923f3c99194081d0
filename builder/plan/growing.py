"""Sequences and assignments that grow, of which every earlier state stays as it was. Pure.

A stage of n instructions has n states, and copying what they hold would take n² steps. States share one journal here;
each knows how much of it is its own. Whoever adds to a state that is not the latest gets a journal of its own.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, Self, TypeVar

T = TypeVar("T")
Pairs = tuple[tuple[str, str], ...]


class Growing(Generic[T]):
    """A sequence that is only ever added to, in constant time. Iterating is all that can be done with it else."""

    __slots__ = ("_count", "_journal")

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._journal = list(items)
        self._count = len(self._journal)

    def plus(self, item: T) -> Self:
        journal = self._journal if len(self._journal) == self._count else self._journal[: self._count]
        journal.append(item)
        made = object.__new__(type(self))
        made._journal, made._count = journal, self._count + 1
        return made

    def __iter__(self) -> Iterator[T]:
        return iter(self._journal[: self._count])

    def __len__(self) -> int:
        return self._count


class _Journal:
    """Assignments in the order they were made, and where each name was assigned."""

    __slots__ = ("entries", "places")

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        self.entries: list[tuple[str, str]] = []
        self.places: dict[str, list[int]] = {}
        for name, value in entries:
            self.add(name, value)

    def add(self, name: str, value: str) -> None:
        self.places.setdefault(name, []).append(len(self.entries))
        self.entries.append((name, value))


class Assignments(Mapping[str, str]):
    """Names with values. In ``pairs`` a name that is assigned again keeps its place."""

    __slots__ = ("_count", "_journal", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._journal = _Journal(pairs)
        self._count = len(self._journal.entries)
        self._pairs: Pairs | None = None

    def assign(self, name: str, value: str) -> Self:
        journal = self._journal
        if len(journal.entries) != self._count:
            journal = _Journal(self.pairs)
        made = object.__new__(type(self))
        journal.add(name, value)
        made._journal, made._count, made._pairs = journal, len(journal.entries), None
        return made

    @property
    def pairs(self) -> Pairs:
        if self._pairs is None:
            self._pairs = tuple(self._ordered(self._journal.entries[: self._count]).items())
            # What follows need not look at values that count no more.
            self._journal, self._count = _Journal(self._pairs), len(self._pairs)
        return self._pairs

    @staticmethod
    def _ordered(entries: list[tuple[str, str]]) -> dict[str, str]:
        return dict(entries)

    def __getitem__(self, name: str) -> str:
        places = self._journal.places.get(name, ())
        place = bisect_left(places, self._count) - 1
        if place < 0:
            raise KeyError(name)
        return self._journal.entries[places[place]][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)


class Variables(Assignments):
    """As Assignments, but a name that is assigned again moves to the end of ``pairs``."""

    __slots__ = ()

    @staticmethod
    def _ordered(entries: list[tuple[str, str]]) -> dict[str, str]:
        latest: dict[str, str] = {}
        for name, value in reversed(entries):
            latest.setdefault(name, value)
        return dict(reversed(latest.items()))
