"""Making indexes: from streams that keep the rules of layers.entry, and from archives that keep none."""

import hashlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from layers.blobs import CHUNK
from layers.entry import BytesSource, Entry, FileSource, Kind, StreamSource, parents, sort_key
from layers.index import KEPT, MAX_KEPT, Index, IndexFile, encode_record
from layers.tree import Tree, resolve


class Indexer:
    """Writes an index beside the packing of a layer: ``add`` is its ``seen``. Context manager; ends with ``finish``."""

    def __init__(self, path: str) -> None:
        self._file = IndexFile(path)
        self._above: list[bytes] = []
        self._last: list[bytes] | None = None

    def in_order(self, entry: Entry) -> bool:
        """Whether ``entry`` may be added: it comes later than all others and its directory is there."""
        path = entry.path
        key = sort_key(path) if path else []
        if self._last is not None and not key > self._last:
            return entry.kind is Kind.OPAQUE and key == self._last
        while self._above and not path.startswith(self._above[-1] + b"/"):
            self._above.pop()
        return path.rpartition(b"/")[0] == (self._above[-1] if self._above else b"")

    def add(self, entry: Entry, sha256: bytes | None) -> None:
        """Raises ValueError for an entry out of order: a stream that breaks the rules is a fault of its maker."""
        if not self.in_order(entry):
            raise ValueError(f"{entry.path!r} comes out of order")
        if entry.kind is Kind.DIRECTORY:
            self._above.append(entry.path)
        self._last = sort_key(entry.path) if entry.path else []
        self._file.add(encode_record(entry, sha256, _kept(entry)))

    def finish(self) -> None:
        self._file.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


def index_archive(entries: Iterable[Entry], path: str, below: Tree) -> None:
    """Writes the index of what ``entries`` come to when they are unpacked on ``below``, whatever their order."""
    replay: Replay | None = None
    with Indexer(path) as indexer:
        for entry, sha256 in map(_read, entries):
            if replay is None and indexer.in_order(entry):
                indexer.add(entry, sha256)
                continue
            if replay is None:
                indexer.finish()
                replay = Replay(below)
                for before, digest in Index(path):
                    replay.put(before, digest)
            replay.put(entry, sha256)
        if replay is None:
            indexer.finish()
    if replay is not None:
        replay.write(path)


def _read(entry: Entry) -> tuple[Entry, bytes | None]:
    """Reads a FILE for its digest, and keeps the bytes of those that are looked into."""
    if entry.kind is not Kind.FILE or not isinstance(entry.source, StreamSource):
        return entry, None
    content = hashlib.sha256()
    keep = entry.path in KEPT and entry.size <= MAX_KEPT
    kept = []
    while data := entry.source.read(CHUNK):
        content.update(data)
        if keep:
            kept.append(data)
    return entry._replace(source=BytesSource(b"".join(kept)) if keep else None), content.digest()


def _kept(entry: Entry) -> bytes:
    if entry.path not in KEPT or entry.kind is not Kind.FILE or entry.size > MAX_KEPT:
        return b""
    match entry.source:
        case BytesSource(data):
            return data
        case FileSource(path):
            with open(path, "rb") as file:
                return file.read(MAX_KEPT)
        case _:
            return b""


class Replay:
    """Applies entries in the order they come, as unpacking does, and keeps only what they say (a ``Tree`` with what is
    below). For archives that name a file twice, leave out directories or put files below links."""

    def __init__(self, below: Tree) -> None:
        self._below = below
        self._entries: dict[bytes, tuple[Entry, bytes | None]] = {}
        self._opaque: set[bytes] = set()

    def lookup(self, path: bytes) -> Entry | None:
        here = self._entries.get(path)
        if here is not None:
            return None if here[0].kind is Kind.WHITEOUT else here[0]
        for above in (b"", *parents(path)):
            entry = self._entries.get(above)
            if above in self._opaque or (entry is not None and entry[0].kind is not Kind.DIRECTORY):
                return None
        return self._below.lookup(path)

    def children(self, path: bytes) -> Sequence[Entry]:
        raise NotImplementedError("links are resolved by look-ups alone")

    def sha256(self, entry: Entry) -> bytes:
        here = self._entries.get(entry.path)
        return here[1] if here is not None and here[1] is not None else self._below.sha256(entry)

    def put(self, entry: Entry, sha256: bytes | None) -> None:
        if entry.kind is Kind.OPAQUE:
            self._opaque.add(self._make_parents(entry.path + b"/.").rstrip(b"/"))
            return
        entry = entry._replace(path=self._make_parents(entry.path) + entry.path.rpartition(b"/")[2])
        if entry.kind is Kind.HARDLINK:
            entry, sha256 = self._follow(entry)
        before = self._entries.get(entry.path)
        if before is not None:
            if entry.kind is not Kind.DIRECTORY and before[0].kind is Kind.DIRECTORY:
                self._drop_below(entry.path)
            elif entry.kind is Kind.DIRECTORY and before[0].kind is not Kind.DIRECTORY:
                self._opaque.add(entry.path)
        self._entries[entry.path] = (entry, sha256)

    def _make_parents(self, path: bytes) -> bytes:
        """Gives every directory above ``path`` an entry, links followed; returns where it is, with a slash."""
        real = resolve(self, path.rpartition(b"/")[0])
        for above in (*parents(real), real) if real else ():
            if above not in self._entries or self._entries[above][0].kind is not Kind.DIRECTORY:
                known = self.lookup(above)
                made = Entry(above, Kind.DIRECTORY, 0o755) if known is None else known
                if made.kind is not Kind.DIRECTORY:
                    made = Entry(above, Kind.DIRECTORY, 0o755)
                self.put(made._replace(path=above), None)
        return real + b"/" if real else b""

    def _follow(self, entry: Entry) -> tuple[Entry, bytes | None]:
        """A HARDLINK as the file it names."""
        link = entry.link or b""
        directory, _, name = link.rpartition(b"/")
        target = self.lookup(b"/".join(filter(None, (resolve(self, directory), name))))
        if target is None or target.kind is not Kind.FILE:
            return entry, None
        return target._replace(path=entry.path), self.sha256(target)

    def _drop_below(self, path: bytes) -> None:
        prefix = path + b"/"
        for name in [name for name in self._entries if name.startswith(prefix)]:
            del self._entries[name]
        self._opaque = {name for name in self._opaque if name != path and not name.startswith(prefix)}

    def write(self, path: str) -> None:
        with Indexer(path) as indexer:
            if b"" in self._opaque:
                indexer.add(Entry(b"", Kind.OPAQUE), None)
            for name in sorted(self._entries, key=sort_key):
                indexer.add(*self._entries[name])
                if name in self._opaque:
                    indexer.add(Entry(name, Kind.OPAQUE), None)
            indexer.finish()
