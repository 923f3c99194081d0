"""Stack: layers seen as one file system, each by its snapshot directory or by its index.

A path is followed part by part through the directories of the layers that make it up, so no link in a snapshot is ever
followed by the kernel.
"""

from collections.abc import Sequence
from typing import Protocol

from layers.entry import Entry, Kind
from layers.errors import StoreError
from layers.index import Found
from layers.tree import resolve
from layers.tuples import NamedTuple

ROOT = Entry(b"", Kind.DIRECTORY, 0o755)


class LayerFiles(Protocol):
    """One layer. ``get`` and ``children`` are asked only for paths whose parents are directories in it."""

    def get(self, path: bytes) -> Found | None: ...

    def children(self, path: bytes) -> Sequence[Found]: ...

    def sha256(self, path: bytes) -> bytes | None:
        """Raw digest of the FILE at ``path``; None when only ``Found`` could have it."""


class _Place(NamedTuple):
    """A path that is there, and the layer (by number, lowest 0) it is from."""

    layer: int
    found: Found


class Stack:
    """The merged view of layers, lowest first (a ``Tree``). HARDLINK never comes out: each name is a FILE.

    Thread-safe. Its layers must stay in the store while it is used: those of a store's open lease do.
    """

    def __init__(self, layers: Sequence[LayerFiles]) -> None:
        self._layers = tuple(layers)
        self._directories: dict[bytes, tuple[int, ...] | None] = {}

    def lookup(self, path: bytes) -> Entry | None:
        if not path:
            return ROOT
        place = self._place(path)
        return self._plain(place) if place is not None else None

    def children(self, path: bytes) -> list[Entry]:
        seen: dict[bytes, _Place] = {}
        for number in self._parts(path) or ():
            for found in self._layers[number].children(path):
                if found.entry.kind is not Kind.OPAQUE:
                    seen.setdefault(found.entry.path, _Place(number, found))
        there = (seen[name] for name in sorted(seen) if seen[name].found.entry.kind is not Kind.WHITEOUT)
        return [self._plain(place) for place in there]

    def sha256(self, entry: Entry) -> bytes:
        """Raises StoreError when there is no such file."""
        path = entry.link if entry.kind is Kind.HARDLINK and entry.link is not None else entry.path
        place = self._place(path)
        if place is not None and place.found.entry.kind is Kind.HARDLINK:
            place = self._target(place)
        if place is None or place.found.entry.kind is not Kind.FILE:
            raise StoreError(f"{path.decode(errors='backslashreplace')} is not a file of this root filesystem")
        if place.found.sha256 is not None:
            return place.found.sha256
        digest = self._layers[place.layer].sha256(place.found.entry.path)
        if digest is None:
            raise StoreError(f"the index of a layer has no digest of {path.decode(errors='backslashreplace')}")
        return digest

    def _place(self, path: bytes) -> _Place | None:
        """Where ``path`` comes from; None when it is not there or deleted."""
        for number in self._parts(path.rpartition(b"/")[0]) or ():
            found = self._layers[number].get(path)
            if found is not None and found.entry.kind is not Kind.OPAQUE:
                return None if found.entry.kind is Kind.WHITEOUT else _Place(number, found)
        return None

    def _parts(self, path: bytes) -> tuple[int, ...] | None:
        """The layers that a directory is made of, uppermost first; None when ``path`` is no directory."""
        if path in self._directories:
            return self._directories[path]
        every = range(len(self._layers) - 1, -1, -1)
        candidates = self._parts(path.rpartition(b"/")[0]) or () if path else every
        parts = []
        for number in candidates:
            found = self._layers[number].get(path)
            if found is None:
                continue
            if found.entry.kind is not Kind.DIRECTORY:
                break
            parts.append(number)
            if found.opaque:
                break
        result = tuple(parts) if parts or not path else None
        self._directories[path] = result
        return result

    def _plain(self, place: _Place) -> Entry:
        entry = place.found.entry
        if entry.kind is not Kind.HARDLINK:
            return entry
        target = self._target(place)
        return target.found.entry._replace(path=entry.path) if target is not None else entry

    def _target(self, place: _Place) -> _Place | None:
        """The file that a HARDLINK of an index names: in the same layer, else in those below."""
        link = place.found.entry.link or b""
        found = self._layers[place.layer].get(link)
        if found is not None and found.entry.kind is Kind.FILE:
            return _Place(place.layer, found)
        here = Stack(self._layers[: place.layer + 1])
        directory, _, name = link.rpartition(b"/")
        target = here._place(b"/".join(filter(None, (resolve(here, directory), name))))
        return target if target is not None and target.found.entry.kind is not Kind.HARDLINK else None
