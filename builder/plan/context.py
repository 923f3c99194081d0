"""The build context: a directory of the host read in place, without what its ignore file leaves out.

What has been looked at once is remembered as it was then, packed into about 120 bytes a file, so that the digest in a
step's key and the entries of its layer speak of the same files; packing checks the bytes against the digests.
"""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

from builder.errors import PlanError
from builder.plan.content import BATCH, Described, file_row, other_row
from builder.plan.hashing import Check, Wanted, hash_files, unchecked, unreadable
from builder.plan.listing import KINDS, Listing, Record, make_record
from layers.entry import Entry, FileSource, Kind
from layers.errors import SourceChanged
from layers.filedigests import StatKey


class Ignores(Protocol):
    """What the context asks of an ignore file (builder.dockerfile.ignore.Matcher)."""

    def ignored(self, path: bytes, /) -> bool: ...

    def may_descend(self, path: bytes, /) -> bool: ...

    def decided_by(self, path: bytes, /) -> str | None: ...


class Digests(Protocol):
    """What the context asks of the memory of digests (layers.filedigests.FileDigests)."""

    def get_many(self, keys: Iterable[StatKey], /) -> Mapping[StatKey, bytes]: ...

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int, /) -> None: ...


class _Forgetful:
    """A memory for files that no later build will see."""

    def get_many(self, keys: Iterable[StatKey]) -> Mapping[StatKey, bytes]:
        return {}

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int) -> None:
        pass


NOTHING_KNOWN = _Forgetful()


class Context:
    """A ``Tree`` of the host directory ``root``. Sockets and ignored files are not there; owners are 0:0, unless
    ``owners`` says that those of the files count. Thread-safe.

    FILE entries have a FileSource, with the digest once it has been asked for. Raises SourceChanged when a file
    changes between being listed and being hashed, PybuildError for what may not be read.
    """

    def __init__(
        self, root: bytes, matcher: Ignores | None, digests: Digests, scanned_ns: int, *, owners: bool = False
    ) -> None:
        self._root = root
        self._matcher = matcher
        self._digests = digests
        self._scanned_ns = scanned_ns
        self._owners = owners
        self.check: Check = unchecked
        """Called while files are hashed; may raise."""
        self._listings: dict[bytes, Listing] = {}
        self._singles: dict[bytes, Listing] = {}
        self._directories: set[bytes] = {b""}
        """Those seen in listings: asking the listing above would unpack it once for each of them."""
        self._lock = threading.RLock()

    # -- Tree

    def lookup(self, path: bytes) -> Entry | None:
        if not path:
            return self._top()
        found = self._find(path)
        if found is None:
            return None
        listing, position = found
        return self._entry(path.rpartition(b"/")[0], listing.records()[position], listing.digest(position))

    def children(self, path: bytes) -> list[Entry]:
        listing = self._listing(path)
        if listing is None:
            return []
        return [self._entry(path, record, listing.digest(at)) for at, record in enumerate(listing.records())]

    def sha256(self, entry: Entry) -> bytes:
        found = self._find(entry.path)
        if found is None:
            raise SourceChanged(self._host(entry.path))
        listing, position = found
        return self._learn([(entry.path.rpartition(b"/")[0], listing, [(position, listing.records()[position])])])[0]

    # -- more than a Tree

    def describe(self, top: bytes, takes: Callable[[bytes, bool], bool] | None = None) -> Iterator[Described]:
        """As ``content.describe``, without making entries: one query a batch for remembered digests, then threads.

        ``takes``: whether a path (True: of a directory) counts; without it all do.
        """
        batch: list[_Batched] = []
        waiting = 0
        todo = [top]
        while todo:
            path = todo.pop()
            listing = self._listing(path)
            if listing is None:
                continue
            records = list(enumerate(listing.records()))
            prefix = path + b"/" if path else b""
            if takes is not None:
                records = [each for each in records if takes(prefix + each[1][0], each[1][1] == stat.S_IFDIR)]
            todo += [prefix + record[0] for _, record in reversed(records) if record[1] == stat.S_IFDIR]
            batch.append((path, listing, records))
            waiting += len(records)
            if waiting >= BATCH:
                yield from self._described(batch)
                batch, waiting = [], 0
        yield from self._described(batch)

    def _described(self, batch: Sequence["_Batched"]) -> Iterator[Described]:
        digests = iter(self._learn(batch))
        for path, _, records in batch:
            rows = []
            for _, record in records:
                if record[1] == stat.S_IFREG:
                    rows.append(file_row(record[0], record[2], (record[12], record[13]), record[11], next(digests)))
                else:
                    rows.append(other_row(record[0], self._entry(path, record, None)))
            yield Described(path, b"".join(rows))

    def _learn(self, batch: Sequence["_Batched"]) -> list[bytes]:
        """Digests of the files among ``batch``, in order; those not known yet are remembered with their listing."""
        found: list[bytes | None] = []
        missing: list[tuple[Listing, int]] = []
        wanted: list[Wanted] = []
        for path, listing, records in batch:
            nothing_known = listing.digests is None
            for position, record in records:
                if record[1] != stat.S_IFREG:
                    continue
                digest = None if nothing_known else listing.digest(position)
                found.append(digest)
                if digest is None:
                    missing.append((listing, position))
                    wanted.append(Wanted(path, record[0], (record[6], record[7], record[3], record[4], record[5])))
        fresh = self._hash(wanted)
        for (listing, position), digest in zip(missing, fresh, strict=True):
            listing.learn(position, digest)
        if len(fresh) == len(found):
            return fresh
        rest = iter(fresh)
        return [digest or next(rest) for digest in found]

    def shared_files(self, directory: bytes) -> dict[bytes, tuple[int, int]]:
        """(device, inode) of the files directly in ``directory`` that have several names on the host, by name."""
        listing = self._listing(directory)
        if listing is None:
            return {}
        return {
            record[0]: (record[6], record[7])
            for record in listing.records()
            if record[8] > 1 and record[1] == stat.S_IFREG
        }

    def why_missing(self, path: bytes) -> str | None:
        """The ignore pattern that leaves out ``path``, which exists on the host; None when it is not there at all."""
        if self._matcher is None or not self._matcher.ignored(path) or not os.path.lexists(self._host(path)):
            return None
        return self._matcher.decided_by(path)

    # -- looking at the host

    def _host(self, path: bytes) -> bytes:
        return self._root + b"/" + path if path else self._root

    def _top(self) -> Entry:
        record = make_record(self._root + b"/.", b"", os.stat(self._root), owners=self._owners)
        assert record is not None
        return self._entry(b"", record, None)

    def _find(self, path: bytes) -> tuple[Listing, int] | None:
        """The listing that has ``path``, and where in it."""
        head, _, name = path.rpartition(b"/")
        listing = self._listings.get(head)
        if listing is None:
            single = self._single(path)
            return None if single is None else (single, 0)
        for position, record in enumerate(listing.records()):
            if record[0] == name:
                return listing, position
        return None

    def _single(self, path: bytes) -> Listing | None:
        """A listing of just ``path``: to take one file out of a large directory, the rest is not looked at."""
        known = self._singles.get(path)
        if known is not None:
            return known
        head, _, name = path.rpartition(b"/")
        if head:
            above = self.lookup(head)
            if above is None or above.kind is not Kind.DIRECTORY:
                return None
        host = self._host(path)
        try:
            record = make_record(host, name, os.lstat(host), owners=self._owners)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise unreadable(host) from error
        if record is None or self._left_out(path, record):
            return None
        with self._lock:
            return self._singles.setdefault(path, Listing((record,)))

    def _listing(self, path: bytes) -> Listing | None:
        known = self._listings.get(path)
        if known is not None:
            return known
        if path not in self._directories:
            here = self.lookup(path)
            if here is None or here.kind is not Kind.DIRECTORY:
                return None
        with self._lock:
            known = self._listings.get(path)
            if known is None:
                known = self._listings[path] = self._list(path)
            return known

    def _list(self, path: bytes) -> Listing:
        host = self._host(path)
        try:
            return self._scan(host, path + b"/" if path else b"")
        except PermissionError as error:
            raise unreadable(error.filename if isinstance(error.filename, bytes) else host) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceChanged(host) from error

    def _scan(self, host: bytes, prefix: bytes) -> Listing:
        records: list[Record] = []
        earlier: list[tuple[int, bytes | None]] = []
        with os.scandir(host) as names:
            found = sorted(names, key=attrgetter("name"))
        for item in found:
            name = item.name
            single = self._singles.pop(prefix + name, None) if self._singles else None
            if single is not None:
                earlier.append((len(records), single.digest(0)))
                records.append(single.records()[0])
                continue
            try:
                record = make_record(item.path, name, item.stat(follow_symlinks=False), owners=self._owners)
            except FileNotFoundError:
                continue  # gone since the directory was read
            if record is not None and (self._matcher is None or not self._left_out(prefix + name, record)):
                records.append(record)
        self._directories.update(prefix + record[0] for record in records if record[1] == stat.S_IFDIR)
        listing = Listing(records)
        for position, digest in earlier:
            if digest is not None:
                listing.learn(position, digest)
        return listing

    def _left_out(self, path: bytes, record: Record) -> bool:
        """An ignored directory is there when something in it is taken back (reference part 2, "Order")."""
        matcher = self._matcher
        if matcher is None or not matcher.ignored(path):
            return False
        return record[1] != stat.S_IFDIR or not matcher.may_descend(path) or not self._holds_something(path)

    def _holds_something(self, path: bytes) -> bool:
        with self._lock:
            known = self._listings.get(path)
            if known is None:
                known = self._list(path)
                if known.size:
                    self._listings[path] = known
            return known.size > 0

    def _entry(self, directory: bytes, record: Record, digest: bytes | None) -> Entry:
        name, form, mode, size, mtime_ns, _, _, _, _, special, link, xattrs, uid, gid = record
        path = directory + b"/" + name if directory else name
        if form == stat.S_IFREG:
            source = FileSource(self._root + b"/" + path, digest)
            return Entry(path, Kind.FILE, mode, uid, gid, mtime_ns, size, None, None, xattrs, source)
        kind = KINDS[form]
        device = (os.major(special), os.minor(special)) if kind in {Kind.CHAR, Kind.BLOCK} else None
        return Entry(path, kind, mode, uid, gid, mtime_ns, 0, link, device, xattrs)

    def _hash(self, wanted: Sequence[Wanted]) -> list[bytes]:
        if not wanted:
            return []
        keys = [file.key for file in wanted]
        known = self._digests.get_many(keys)
        new = [file for file in wanted if file.key not in known] if len(known) < len(set(keys)) else []
        if not new:
            return [known[key] for key in keys]
        fresh = dict(zip((file.key for file in new), hash_files(self._root, new, self.check), strict=True))
        self._digests.put_many(fresh, self._scanned_ns)
        return [known.get(file.key) or fresh[file.key] for file in wanted]


_Batched = tuple[bytes, Listing, Sequence[tuple[int, Record]]]
"""A directory, its listing, and some of its records with their positions."""


def open_context(
    root: str,
    matcher: Ignores | None,
    digests: Digests,
    *,
    owners: bool = False,
    clock_ns: Callable[[], int] = time.time_ns,
) -> Context:
    """``root``: absolute path of a directory; ``owners``: those of its files count; ``clock_ns``: nanoseconds since the
    epoch, on the clock of file times.

    Raises PlanError when there is no such directory.
    """
    if not os.path.isdir(root):
        raise PlanError(f"the build context {root} is not a directory", hint="name a directory that holds your sources")
    return Context(os.fsencode(root).rstrip(b"/") or b"/.", matcher, digests, clock_ns(), owners=owners)
