"""What a COPY or ADD leaves as it was is not in its layer, as with BuildKit: a root filesystem that is copied onto the
base it was made from gives a layer of what is new in it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from layers.content import chunks
from layers.entry import Entry, FileSource, Kind, StreamSource
from layers.listed import Item
from layers.overlayfmt import same_metadata
from layers.tree import Tree
from layers.tuples import NamedTuple

_SECOND = 1_000_000_000


class _Left(NamedTuple):
    """A file that was left out and has further names, which may not be there below."""

    file: Entry
    sha256: bytes | None


class _Filter:
    def __init__(self, below: Tree) -> None:
        self._below = below
        self._held: list[Entry] = []
        """Directories that lead to the next entry and are no change themselves, outermost first."""
        self._fresh: bytes | None = None
        """Below this nothing is there yet."""
        self._left: dict[bytes, _Left] = {}
        self._instead: dict[bytes, bytes] = {}
        """The name that a file is in the layer by, when its first one was left out."""

    def changed(self, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            fresh = self._fresh
            if isinstance(item, Entry):
                if fresh is not None and item.kind is not Kind.HARDLINK and item.path.startswith(fresh):
                    yield item
                else:
                    yield from self._entry(item)
            elif fresh is not None and (item.path + b"/").startswith(fresh):
                yield item
            else:
                for entry in item.entries():
                    yield from self._entry(entry)

    def _entry(self, entry: Entry) -> Iterator[Item]:
        path = entry.path
        while self._held and not path.startswith(self._held[-1].path + b"/") and path != self._held[-1].path:
            self._held.pop()
        if self._fresh is not None and path.startswith(self._fresh):
            yield entry if entry.kind is not Kind.HARDLINK else self._named(entry)
            return
        self._fresh = path + b"/" if entry.kind is Kind.OPAQUE else None
        if entry.kind is Kind.DIRECTORY and self._is_held(entry):
            return
        kept = entry if entry.kind in {Kind.DIRECTORY, Kind.OPAQUE} else self._file(entry)
        if kept is not None:
            yield from self._held
            self._held.clear()
            yield kept

    def _is_held(self, entry: Entry) -> bool:
        was = self._below.lookup(entry.path)
        if was is None or was.kind is not Kind.DIRECTORY:
            self._fresh = entry.path + b"/"
            return False
        if not same_metadata(entry, was):
            return False
        self._held.append(entry)
        return True

    def _named(self, entry: Entry) -> Entry:
        """``entry``; a further name of a file that was left out becomes the file."""
        if entry.kind is not Kind.HARDLINK or entry.link not in self._left:
            return entry
        first = self._instead.setdefault(entry.link, entry.path)
        if first != entry.path:
            return entry._replace(link=first)
        return self._left[entry.link].file._replace(path=entry.path)

    def _file(self, entry: Entry) -> Entry | None:
        was = self._below.lookup(entry.path)
        if entry.kind is Kind.HARDLINK:
            left = self._left.get(entry.link or b"")
            if left is not None and was is not None and self._same(left.file, was, left.sha256):
                return None
            return self._named(entry)
        if was is None or not _same_stat(entry, was) or not _can_be_compared(entry):
            return entry
        sha256 = _sha256(entry) if entry.kind is Kind.FILE and entry.size else None
        if not self._same(entry, was, sha256):
            return entry
        if _may_have_names(entry):
            self._left[entry.path] = _Left(entry, sha256)
        return None

    def _same(self, entry: Entry, was: Entry, sha256: bytes | None) -> bool:
        return _same_stat(entry, was) and (sha256 is None or sha256 == self._below.sha256(was))


def changed(items: Iterator[Item], below: Tree) -> Iterator[Item]:
    """The entries of a layer over ``below`` without those that are there already, alike in all that a layer keeps.

    A directory's own time does not count, unless something in it changes. Bytes of a
    stream count as changed, unless its ``read`` has an ``again``, which gives it anew. Of several names of one file
    each is judged by itself, and the first that stays is the FILE.
    """
    return _Filter(below).changed(items)


def _same_stat(entry: Entry, was: Entry) -> bool:
    return (
        same_metadata(entry, was)
        and entry.mtime_ns // _SECOND == was.mtime_ns // _SECOND
        and (entry.size, entry.link, entry.device) == (was.size, was.link, was.device)
    )


def _can_be_compared(entry: Entry) -> bool:
    return not isinstance(entry.source, StreamSource) or _again(entry.source) is not None


def _again(source: StreamSource) -> Callable[[], Callable[[int], bytes]] | None:
    found: Any = getattr(source.read, "again", None)
    return found if callable(found) else None


def _may_have_names(entry: Entry) -> bool:
    if not isinstance(entry.source, FileSource):
        return entry.kind is Kind.FILE
    try:
        return os.lstat(entry.source.path).st_nlink > 1
    except OSError:
        return True


def _sha256(entry: Entry) -> bytes:
    if isinstance(entry.source, FileSource) and entry.source.sha256 is not None:
        return entry.source.sha256
    if isinstance(entry.source, StreamSource) and (again := _again(entry.source)) is not None:
        entry = entry._replace(source=StreamSource(again()))
    digest = hashlib.sha256()
    for chunk in chunks(entry):
        digest.update(chunk)
    return digest.digest()
