"""Making indexes: from streams that keep the rules of layers.entry, and from archives that keep none."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from types import TracebackType
from typing import Self, TypeVar

from layers.blobs import CHUNK
from layers.content import show
from layers.entry import BytesSource, Entry, FileSource, Kind, StreamSource, parents, sort_key
from layers.errors import SourceChanged, UnsafeArchive
from layers.index import KEPT, MAX_KEPT, Index, IndexFile, decode_record, encode_record
from layers.listed import Item, Stretch
from layers.stretches import Records
from layers.tree import Tree, resolve

_Any = TypeVar("_Any", Entry, Item)


class Indexer:
    """Writes the index of what entries come to when they are unpacked on ``below``. Context manager; ``add`` may be a
    packing's ``seen``; ends with ``finish``.

    Streams in order (layers.entry) are written as they come. At the first entry out of order, or whose directory did
    not come, what came before is read back and everything is replayed in memory.
    """

    def __init__(self, path: str, below: Callable[[], Tree]) -> None:
        self._path = path
        self._below = below
        self._file = IndexFile(path)
        self._above: list[bytes] = []
        self._directory: bytes | None = None
        self._name = b""
        self._replay: Replay | None = None

    def add(self, entry: Entry, sha256: bytes | None) -> None:
        directory, _, name = entry.path.rpartition(b"/")
        if directory != self._directory or name <= self._name or self._replay is not None:
            _check(entry.path)
            if self._replay is None and not self._in_order(entry):
                self._start_replay()
            self._directory = directory
        elif name in _NO_NAMES:
            _check(entry.path)
        kept = _kept(entry, sha256) if entry.path in KEPT else None
        if self._replay is not None:
            self._replay.put(entry._replace(source=kept), sha256)
            return
        self._name = name
        if entry.kind is Kind.DIRECTORY:
            self._above.append(entry.path)
        self._file.add(encode_record(entry, sha256, kept.data if kept is not None else b""))

    def add_records(self, records: Records) -> None:
        """What a process made of entries that come in order, below directories that came before."""
        lengths = array("I", records.lengths)
        if self._replay is not None:
            self._replay_records(records.data, lengths)
            return
        self._file.add_many(records.data, lengths)
        self._directory, _, self._name = records.last.rpartition(b"/")
        self._above = [above for above in parents(records.last) if above]
        if records.directory:
            self._above.append(records.last)

    def _replay_records(self, data: bytes, lengths: Sequence[int]) -> None:
        assert self._replay is not None
        for offset in accumulate(lengths[:-1], initial=0):
            self._replay.put(*decode_record(data, offset))

    def _in_order(self, entry: Entry) -> bool:
        """Whether it comes later than all others, and its directory is there. For the first of a run of siblings."""
        path = entry.path
        last = b"/".join(filter(None, (self._directory, self._name))) if self._directory is not None else None
        if last is not None and _order(path) <= _order(last):
            return entry.kind is Kind.OPAQUE and path == last and path in {b"", *self._above[-1:]}
        while self._above and not path.startswith(self._above[-1] + b"/"):
            self._above.pop()
        return path.rpartition(b"/")[0] == (self._above[-1] if self._above else b"")

    def _start_replay(self) -> None:
        self._file.finish()
        self._replay = Replay(self._below())
        for before, digest in Index(self._path):
            self._replay.put(before, digest)

    def finish(self) -> None:
        if self._replay is not None:
            self._file = IndexFile(self._path)
            for entry, sha256 in self._replay.result():
                data = entry.source.data if isinstance(entry.source, BytesSource) else b""
                self._file.add(encode_record(entry, sha256, data))
        self._file.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._file.close()


_NO_NAMES = frozenset({b"", b".", b".."})


def _order(path: bytes) -> list[bytes]:
    return sort_key(path) if path else []


def _check(path: bytes) -> None:
    """As ``unpack`` has it: raises UnsafeArchive for what is not a name inside the root."""
    if path and not _NO_NAMES.isdisjoint(path.split(b"/")):
        raise UnsafeArchive(f"{path[:80]!r} is not a name inside the archive's root directory")


def _kept(entry: Entry, sha256: bytes | None) -> BytesSource | None:
    """The bytes of a file that is looked into. Raises SourceChanged when they are not those of ``sha256``."""
    if entry.kind is not Kind.FILE or entry.size > MAX_KEPT:
        return None
    match entry.source:
        case BytesSource():
            return entry.source
        case FileSource(path):
            with open(path, "rb") as file:
                data = file.read(MAX_KEPT)
            if hashlib.sha256(data).digest() != sha256:
                raise SourceChanged(path)
            return BytesSource(data)
        case _:
            return None


def lasting(entries: Iterable[_Any]) -> Iterator[_Any]:
    """The same entries; the bytes of streamed files that an index keeps are read before they pass by."""
    for entry in entries:
        if isinstance(entry, Stretch):
            yield entry
        elif entry.path in KEPT and isinstance(entry.source, StreamSource) and entry.size <= MAX_KEPT:
            yield entry._replace(source=BytesSource(b"".join(iter(partial(entry.source.read, CHUNK), b""))))
        else:
            yield entry


def index_archive(entries: Iterable[Entry], path: str, below: Callable[[], Tree]) -> None:
    """Writes an index by reading every file of ``entries``, without packing or unpacking."""
    with Indexer(path, below) as indexer:
        for entry in lasting(entries):
            content = hashlib.sha256()
            match entry.source:
                case BytesSource(data):
                    content.update(data)
                case StreamSource(read):
                    while data := read(CHUNK):
                        content.update(data)
                case _:
                    pass
            indexer.add(entry, content.digest() if entry.kind is Kind.FILE else None)
        indexer.finish()


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
            was_directory = before[0].kind is Kind.DIRECTORY
            if entry.kind is Kind.WHITEOUT:
                # What this layer has itself stays, but a directory of it no longer shows what is below.
                if was_directory:
                    self._opaque.add(entry.path)
                return
            if was_directory and entry.kind is not Kind.DIRECTORY:
                self._drop_below(entry.path)
            elif entry.kind is Kind.DIRECTORY and not was_directory:
                self._opaque.add(entry.path)
        self._entries[entry.path] = (entry, sha256)

    def _make_parents(self, path: bytes) -> bytes:
        """Gives every directory above ``path`` an entry, links followed; returns where it is, with a slash."""
        real = self._resolved(path.rpartition(b"/")[0])
        for above in (*parents(real), real) if real else ():
            if above not in self._entries or self._entries[above][0].kind is not Kind.DIRECTORY:
                known = self.lookup(above)
                made = Entry(above, Kind.DIRECTORY, 0o755) if known is None else known
                if made.kind is not Kind.DIRECTORY:
                    made = Entry(above, Kind.DIRECTORY, 0o755)
                self.put(made._replace(path=above), None)
        return real + b"/" if real else b""

    def _resolved(self, directory: bytes) -> bytes:
        try:
            return resolve(self, directory)
        except OSError as error:
            raise UnsafeArchive(f"{show(directory)} goes through a loop of links") from error

    def _follow(self, entry: Entry) -> tuple[Entry, bytes | None]:
        """A HARDLINK as the file it names."""
        link = entry.link or b""
        directory, _, name = link.rpartition(b"/")
        target = self.lookup(b"/".join(filter(None, (self._resolved(directory), name))))
        if target is None or target.kind is not Kind.FILE:
            return entry, None
        return target._replace(path=entry.path), self.sha256(target)

    def _drop_below(self, path: bytes) -> None:
        prefix = path + b"/"
        for name in [name for name in self._entries if name.startswith(prefix)]:
            del self._entries[name]
        self._opaque = {name for name in self._opaque if name != path and not name.startswith(prefix)}

    def result(self) -> Iterator[tuple[Entry, bytes | None]]:
        """What it came to, in order."""
        if b"" in self._opaque:
            yield Entry(b"", Kind.OPAQUE), None
        for name in sorted(self._entries, key=sort_key):
            yield self._entries[name]
            if name in self._opaque and self._entries[name][0].kind is Kind.DIRECTORY:
                yield Entry(name, Kind.OPAQUE), None
