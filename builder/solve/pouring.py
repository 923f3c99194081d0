"""What a COPY makes of one source, and the pouring of one directory alone into a new one: most copies are that, of very
many files. Those of a build context are passed on as they were listed, many at a time (layers.listed).
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from builder.plan.context import Context
from builder.plan.listing import Listing, carried_xattr, content_of
from builder.plan.modes import Mode
from builder.solve.placing import Owner, check_depth
from layers.entry import Entry, FileSource, Kind
from layers.listed import RAW, Item, Stat, Stretch, pack_stats
from layers.stretches import CONTENT, NAMES
from layers.tree import Tree
from layers.tuples import NamedTuple

Xattrs = tuple[tuple[bytes, bytes], ...]


class Metadata(NamedTuple):
    """What COPY makes of a source's mode and owner. ``owner`` None keeps the source's (``keep``) or gives 0:0."""

    owner: Owner | None
    mode: Mode | None
    keep: bool

    def apply(self, entry: Entry, path: bytes, below: tuple[tuple[bytes, bytes], ...] = ()) -> Entry:
        """``entry`` at ``path``. ``below``: xattrs of a directory that is there already; the source's are added."""
        _, kind, mode, uid, gid, mtime_ns, size, link, device, xattrs, source = entry
        if self.owner is not None:
            uid, gid = self.owner
        elif not self.keep:
            uid = gid = 0
        if self.mode is not None and kind is not Kind.SYMLINK:
            mode = self.mode.apply(mode, directory=kind is Kind.DIRECTORY)
        if xattrs or below:
            xattrs = _merged(below, xattrs)
        return Entry(path, kind, mode, uid, gid, mtime_ns, size, link, device, xattrs, source)


def _merged(below: Xattrs, above: Xattrs) -> Xattrs:
    carried = {name: value for name, value in above if carried_xattr(name)}
    return tuple(sorted({**dict(below), **carried}.items()))


@runtime_checkable
class KnowsLinks(Protocol):
    """A tree that can tell which of its files are one file with several names."""

    def shared_files(self, directory: bytes, /) -> Mapping[bytes, tuple[int, int]]: ...


class Source:
    """One source while it is copied: hard links are kept inside of it, not between two (reference 1.10)."""

    def __init__(self, tree: Tree, whole: Tree | None = None) -> None:
        self.tree = tree
        unfiltered = whole or tree
        self._links = unfiltered if isinstance(unfiltered, KnowsLinks) else None
        self._first: dict[tuple[int, int], bytes] = {}

    def file_ids(self, directory: bytes, entries: Sequence[Entry]) -> Mapping[bytes, tuple[int, int]]:
        """What tells files with several names apart, by path in the source."""
        if self._links is not None:
            shared = self._links.shared_files(directory)
            prefix = directory + b"/" if directory else b""
            return {prefix + name: number for name, number in shared.items()} if shared else shared
        found = {}
        for entry in entries:
            if entry.kind is Kind.FILE and isinstance(entry.source, FileSource):
                status = os.lstat(entry.source.path)
                if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
                    found[entry.path] = (status.st_dev, status.st_ino)
        return found

    def linked(self, entry: Entry, number: tuple[int, int] | None) -> Entry:
        """``entry``, or a HARDLINK when its file is in the layer already."""
        if number is None:
            return entry
        first = self._first.setdefault(number, entry.path)
        if first == entry.path:
            return entry
        return entry._replace(kind=Kind.HARDLINK, link=first, size=0, source=None)


class Pour(NamedTuple):
    """The contents of a source's directory, on their way into a directory of the destination."""

    source: Source
    directory: bytes


class _Level(NamedTuple):
    """A directory that is being poured: ``start`` cuts its path off those of ``entries``, ``prefix`` goes before."""

    entries: Iterator[Entry]
    start: int
    prefix: bytes
    numbers: Mapping[bytes, tuple[int, int]]


def _level(path: bytes, part: Pour) -> _Level:
    check_depth(path)
    source, directory = part
    entries = source.tree.children(directory)
    start = len(directory) + 1 if directory else 0
    return _Level(iter(entries), start, path + b"/" if path else b"", source.file_ids(directory, entries))


def pour(path: bytes, part: Pour, metadata: Metadata) -> Iterator[Entry]:
    """Everything below directory ``path``, of which nothing is there yet."""
    source = part.source
    apply = metadata.apply
    open_levels = [_level(path, part)]
    while open_levels:
        entries, start, prefix, numbers = open_levels[-1]
        for entry in entries:
            placed = apply(entry, prefix + entry.path[start:])
            if numbers and entry.path in numbers:
                placed = source.linked(placed, numbers[entry.path])
            yield placed
            if entry.kind is Kind.DIRECTORY:
                open_levels.append(_level(placed.path, Pour(source, entry.path)))
                break
        else:
            open_levels.pop()


def pour_listed(path: bytes, part: Pour, metadata: Metadata) -> Iterator[Item]:
    """As ``pour``; of a context, and where all that may change is the owner, mostly as ``Stretch``."""
    tree = part.source.tree
    if not isinstance(tree, Context) or metadata.mode is not None or metadata.keep:
        yield from pour(path, part, metadata)
        return
    cutter = _Cutter(tree, part.source, metadata)
    open_levels = [cutter.cut(path, part.directory)]
    while open_levels:
        for item in open_levels[-1]:
            if isinstance(item, _Folder):
                open_levels.append(cutter.cut(item.path, item.directory))
                break
            yield item
        else:
            open_levels.pop()


class _Folder(NamedTuple):
    """What comes next is what is in ``directory`` of the context, which is ``path`` in the layer."""

    path: bytes
    directory: bytes


class _Cutter:
    """Listings of a context, cut where the stream asks for it."""

    def __init__(self, tree: Context, source: Source, metadata: Metadata) -> None:
        self._tree = tree
        self._source = source
        self._metadata = metadata
        self._owner = metadata.owner or (0, 0)

    def cut(self, path: bytes, directory: bytes) -> Iterator[Item | _Folder]:
        check_depth(path)
        listing = self._tree.listing(directory)
        if listing is None or not listing.size:
            return iter(())
        weight = listing.weigh()
        if weight.linked:
            return self._one_by_one(path, directory)
        if listing.folders or listing.size > NAMES or weight.content > CONTENT:
            return self._in_parts(path, directory, listing)
        host, settled = self._tree.host(directory), self._tree.settled(listing)
        digests, extras = bytes(listing.digests or b""), listing.extras or {}
        size, content = weight.size, weight.content
        return iter((Stretch(path, host, listing.packed, digests, extras, self._owner, settled, size, content),))

    def _one_by_one(self, path: bytes, directory: bytes) -> Iterator[Item | _Folder]:
        """Where files have several names: which of them is the first is only known here."""
        entries, start, prefix, numbers = _level(path, Pour(self._source, directory))
        for entry in entries:
            placed = self._metadata.apply(entry, prefix + entry.path[start:])
            if entry.path in numbers:
                placed = self._source.linked(placed, numbers[entry.path])
            yield placed
            if entry.kind is Kind.DIRECTORY:
                yield _Folder(placed.path, entry.path)

    def _in_parts(self, path: bytes, directory: bytes, listing: Listing) -> Iterator[Item | _Folder]:
        host, settled = self._tree.host(directory), self._tree.settled(listing)
        stats, extras = listing.stats(), listing.extras or {}
        for start, end, content in _cuts(stats):
            digests = bytes(listing.digests[start * RAW : end * RAW]) if listing.digests else b""
            own = {at - start: extras[at] for at in range(start, end) if at in extras} if extras else {}
            packed = pack_stats(stats[start:end])
            yield Stretch(path, host, packed, digests, own, self._owner, settled, end - start, content)
            name, mode = stats[end - 1][:2]
            if stat.S_ISDIR(mode):
                yield _Folder(path + b"/" + name if path else name, directory + b"/" + name if directory else name)


def _cuts(stats: Sequence[Stat]) -> Iterator[tuple[int, int, int]]:
    """Start, end and content of parts: behind every directory, and so that none is too much for a process, if it is not
    one file alone."""
    start = content = 0
    for at, record in enumerate(stats):
        own = content_of(record)
        if at > start and (content + own > CONTENT or at - start == NAMES):
            yield start, at, content
            start, content = at, 0
        content += own
        if stat.S_ISDIR(record[1]):
            yield start, at + 1, content
            start, content = at + 1, 0
    if start < len(stats):
        yield start, len(stats), content
