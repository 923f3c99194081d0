"""The build context: a directory of the host read in place, without what its ignore file leaves out.

What has been looked at once is remembered as it was then, packed into about 120 bytes a file, so that the digest in a
step's key and the entries of its layer speak of the same files; packing checks that they still are: by their stats, as
a later build would, or by their digests where a stat would not tell.
"""

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from builder.errors import PlanError
from builder.plan.ahead import Ahead, Help
from builder.plan.content import BATCH, Described
from builder.plan.contextmemory import Memories, Memory
from builder.plan.hashing import Check, Wanted, hash_files, unchecked
from builder.plan.hostfiles import HostFiles, Ignores
from builder.plan.listing import Listing, key_of, make_stat, read_extra
from builder.plan.rows import entry_of, rows_of
from layers.entry import BytesSource, Entry
from layers.errors import SourceChanged
from layers.filedigests import StatKey
from layers.listed import PLAIN, Stat


class Context:
    """A ``Tree`` of the host directory ``root``. Sockets are empty files, ignored files are not there; owners are
    0:0, unless ``owners`` says that those of the files count. Thread-safe.

    FILE entries have a FileSource, with the digest once it has been asked for. Raises SourceChanged when a file
    changes between being listed and being hashed, PybuildError for what may not be read.
    """

    def __init__(self, root: bytes, matcher: Ignores | None, memory: Memory, *, owners: bool = False) -> None:
        self._files = HostFiles(root, matcher, memory, owners=owners)
        self.owners = owners
        self._root = root
        self._memory = memory
        self.check: Check = unchecked
        """Called while files are hashed; may raise."""

    # -- Tree

    def lookup(self, path: bytes) -> Entry | None:
        if not path:
            return self._top()
        found = self._files.find(path)
        if found is None:
            return None
        listing, position = found
        return self._entries(path.rpartition(b"/")[0], listing, slice(position, position + 1))[0]

    def children(self, path: bytes) -> list[Entry]:
        listing = self._files.listing(path)
        return self._entries(path, listing, slice(None)) if listing is not None else []

    def sha256(self, entry: Entry) -> bytes:
        if isinstance(entry.source, BytesSource):
            return hashlib.sha256(entry.source.data).digest()
        found = self._files.find(entry.path)
        if found is None:
            raise SourceChanged(self._files.path(entry.path))
        listing, position = found
        digest = listing.digest(position)
        if digest is None:
            wanted = Wanted(entry.path.rpartition(b"/")[0], listing.stats()[position][0], _key(listing, position))
            digest = self._hash([wanted])[0]
            listing.learn(position, digest)
        return digest

    # -- more than a Tree

    def describe(self, top: bytes, takes: Callable[[bytes, bool], bool] | None = None) -> Iterator[Described]:
        """As ``content.describe``, without making entries: one query a batch for what is remembered, and the files of
        one batch are hashed while the next one is looked at.

        ``takes``: whether a path (True: of a directory) counts; without it all do.
        """
        with Help(self._files, self.check) as help:
            before: _Round | None = None
            ahead = Ahead(self._files, help if takes is None else None)
            for batch in self._batches(top, takes, ahead):
                now = self._round(batch, takes)
                ahead.thorough = not self.owners and now.new
                if before is not None:
                    before.learn()
                now.begin(self, help)
                if before is not None:
                    yield from self._described(before)
                before = now
            if before is not None:
                before.learn()
                yield from self._described(before)

    def _batches(
        self, top: bytes, takes: Callable[[bytes, bool], bool] | None, ahead: Ahead
    ) -> Iterator[Sequence[tuple[bytes, Listing]]]:
        """Directories with their listings, parents first, until there are some thousand files."""
        batch: list[tuple[bytes, Listing]] = []
        waiting = 0
        todo = [top]
        while todo:
            path = todo.pop()
            listing = ahead.listing(path, todo)
            if listing is None:
                continue
            prefix = path + b"/" if path else b""
            below = [prefix + name for name in reversed(listing.folders)]
            todo += below if takes is None else [folder for folder in below if takes(folder, True)]
            batch.append((path, listing))
            waiting += listing.size
            if waiting >= BATCH:
                yield batch
                batch, waiting = [], 0
        yield batch

    def _round(self, batch: Sequence[tuple[bytes, Listing]], takes: Callable[[bytes, bool], bool] | None) -> "_Round":
        before = [listing for _, listing in batch if not listing.asked and listing.rows is not None]
        self._memory.recall(listing for _, listing in batch)
        parts = []
        for path, listing in batch:
            if takes is not None or listing.rows is None:
                self._files.complete(path, listing)
                parts.append(_part(path, listing, takes))
        return _Round(batch, parts, before, whole=takes is None)

    def _described(self, done: "_Round") -> Iterator[Described]:
        rows = {part.path: rows_of(self._root, *part) for part in done.parts}
        if done.whole:
            for part in done.parts:
                part.listing.rows = rows[part.path]
        self._memory.remember(done.news)
        for path, listing in done.batch:
            yield Described(path, rows.get(path, listing.rows or b""))

    def listing(self, directory: bytes) -> Listing | None:
        """All that is known of ``directory``; None when there is no such directory."""
        listing = self._files.listing(directory)
        if listing is not None:
            self._files.complete(directory, listing)
        return listing

    def settled(self, listing: Listing) -> bool:
        """Whether any change since it was made can be told by the stats in it."""
        return self._memory.settled(listing)

    @property
    def names(self) -> int:
        """How many have been listed so far."""
        return self._files.names

    def host(self, directory: bytes) -> bytes:
        """Where ``directory`` is."""
        return self._files.path(directory)

    def shared_files(self, directory: bytes) -> dict[bytes, tuple[int, int]]:
        """(device, inode) of the files directly in ``directory`` that have several names on the host, by name."""
        listing = self._files.listing(directory)
        if listing is None:
            return {}
        return {
            record[0]: (record[3], record[2]) for record in listing.stats() if record[4] > 1 and stat.S_ISREG(record[1])
        }

    def why_missing(self, path: bytes) -> str | None:
        """The ignore pattern that leaves out ``path``, which exists on the host; None when it is not there at all."""
        return self._files.why_missing(path)

    def _top(self) -> Entry:
        host = self._files.path(b"") + b"/."
        record = make_stat(b"", os.stat(host))
        assert record is not None
        return entry_of(self._root, b"", record, read_extra(host, record, owners=self._files.owners), None)

    def _entries(self, path: bytes, listing: Listing, which: slice) -> list[Entry]:
        self._files.complete(path, listing)
        extras = listing.extras or {}
        records = list(enumerate(listing.stats()))[which]
        return [entry_of(self._root, path, record, extras.get(at, PLAIN), listing.digest(at)) for at, record in records]

    def _hash(self, wanted: Sequence[Wanted]) -> list[bytes]:
        """Digests that are remembered file by file."""
        keys = [file.key for file in wanted]
        known = self._memory.files(keys)
        new = [file for file in wanted if file.key not in known] if len(known) < len(set(keys)) else []
        if not new:
            return [known[key] for key in keys]
        fresh = dict(zip((file.key for file in new), hash_files(self._root, new, self.check), strict=True))
        self._memory.add_files(fresh)
        return [known.get(file.key) or fresh[file.key] for file in wanted]

    def holds(self, listing: Listing) -> bool:
        """Whether what is learnt of it is remembered with its directory."""
        return self._memory.holds(listing)

    def digests(self, wanted: Sequence[Wanted], help: Help, *, kept: bool) -> Callable[[], list[bytes]]:
        """Begins to hash files; what is returned gives their digests. ``kept``: they are remembered by directories."""
        if not kept:
            return lambda: self._hash(wanted)
        pending = help.begin(wanted)
        return pending.result if pending is not None else lambda: list(hash_files(self._root, wanted, self.check))


class _Part(NamedTuple):
    """A directory, its listing, and some of its records with their positions."""

    path: bytes
    listing: Listing
    records: Sequence[tuple[int, Stat]]


def _part(path: bytes, listing: Listing, takes: Callable[[bytes, bool], bool] | None) -> _Part:
    records = list(enumerate(listing.stats()))
    if takes is not None:
        prefix = path + b"/" if path else b""
        records = [each for each in records if takes(prefix + each[1][0], stat.S_ISDIR(each[1][1]))]
    return _Part(path, listing, records)


def _key(listing: Listing, position: int) -> StatKey:
    return key_of(listing.stats()[position])


class _Round:
    """Some directories on their way to being described. ``parts``: what has to be looked at file by file of them;
    ``described``: of the others, those of which nobody else has heard yet; ``news``: all of which something was
    learnt."""

    def __init__(
        self,
        batch: Sequence[tuple[bytes, Listing]],
        parts: Sequence[_Part],
        described: Sequence[Listing],
        *,
        whole: bool,
    ) -> None:
        self.batch = batch
        self.parts = parts
        self.whole = whole
        self.news = [listing for listing in (*described, *(part.listing for part in parts)) if listing.found is None]
        self.new = len(self.news) == len(batch)
        """Whether nothing was known of any of them."""
        self._missing: list[tuple[Listing, int]] = []
        self._digests: Callable[[], list[bytes]] = list

    def begin(self, context: Context, help: Help) -> None:
        wanted: list[Wanted] = []
        for path, listing, records in self.parts:
            unknown = listing.digests is None
            before = len(wanted)
            for position, record in records:
                if stat.S_ISREG(record[1]) and (unknown or listing.digest(position) is None):
                    self._missing.append((listing, position))
                    wanted.append(Wanted(path, record[0], key_of(record)))
            if len(wanted) > before and listing.found is not None:
                self.news.append(listing)
        if wanted:
            kept = all(context.holds(listing) for _, listing, _ in self.parts)
            self._digests = context.digests(wanted, help, kept=kept)

    def learn(self) -> None:
        for (listing, position), digest in zip(self._missing, self._digests(), strict=True):
            listing.learn(position, digest)


def open_context(
    root: str,
    matcher: Ignores | None,
    memories: Memories,
    *,
    owners: bool = False,
    clock_ns: Callable[[], int] = time.time_ns,
) -> Context:
    """``root``: absolute path of a directory; ``memories``: of earlier builds; ``owners``: those of its files count;
    ``clock_ns``: nanoseconds since the epoch, on the clock of file times.

    Raises PlanError when there is no such directory.
    """
    if not os.path.isdir(root):
        raise PlanError(f"the build context {root} is not a directory", hint="name a directory that holds your sources")
    memory = Memory(memories, clock_ns())
    return Context(os.fsencode(root).rstrip(b"/") or b"/.", matcher, memory, owners=owners)
