"""What is remembered from one build to the next of a context's files: their digests, by file and by directory.

A directory in which nothing changed is recognised by one comparison, and nothing of it is read again but the stats of
its names; of one in which something did, only files whose stat changed are read.
"""

import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from builder.plan.listing import Listing, key_of, pack_extras, unpack_extras
from layers.directories import Details, DirectoryKey, Known, Remembered
from layers.filedigests import COARSE_TICK_NS, StatKey, settled
from layers.listed import UNKNOWN, digest_at, unpack_stats
from layers.tuples import NamedTuple


class FileMemory(Protocol):
    """Digests by what a stat says of a file (layers.filedigests.FileDigests)."""

    def get_many(self, keys: Iterable[StatKey], /) -> Mapping[StatKey, bytes]: ...

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int, /) -> None: ...


class DirectoryMemory(Protocol):
    """Whole directories (layers.directories.Directories)."""

    def any(self) -> bool: ...

    def get_many(self, keys: Iterable[DirectoryKey], /) -> Mapping[DirectoryKey, Known]: ...

    def details(self, key: DirectoryKey, known: Known | None = None, /) -> Details | None: ...

    def put_many(self, found: Sequence[Remembered], /) -> None: ...


class Memories(NamedTuple):
    """``view``: tells apart contexts that see different names of one directory, at most 8 bytes."""

    files: FileMemory
    directories: DirectoryMemory | None = None
    view: bytes = b""


class Memory:
    """``scanned_ns``: the time (nanoseconds since the epoch) before anything was looked at."""

    def __init__(self, memories: Memories, scanned_ns: int) -> None:
        self._files, self._directories, self._view = memories
        self._scanned_ns = scanned_ns
        self._nothing: bool | None = None
        """Whether nothing at all was remembered when it was first asked for."""

    def files(self, keys: Iterable[StatKey]) -> Mapping[StatKey, bytes]:
        return self._files.get_many(keys)

    def add_files(self, found: Mapping[StatKey, bytes]) -> None:
        self._files.put_many(found, self._scanned_ns)

    def holds(self, listing: Listing) -> bool:
        """Whether what is learnt of it will be kept with its directory, rather than file by file."""
        return self._directories is not None and listing.identity is not None

    def recall(self, listings: Iterable[Listing]) -> None:
        """Looks up those that have not been, with one query."""
        if self._directories is None:
            return
        new = [listing for listing in listings if not listing.asked and listing.identity is not None]
        for listing in new:
            listing.asked = True
        if self._nothing is None and new:
            self._nothing = not self._directories.any()
        if self._nothing:
            return
        asking = {DirectoryKey(*listing.identity, self._view): listing for listing in new if listing.identity}
        for key, known in self._directories.get_many(asking).items() if asking else ():
            listing = asking[key]
            if known.signature and known.signature == listing.signature():
                listing.found = known
                listing.rows = known.rows or None
            else:
                _adopt(listing, self._directories.details(key))

    def complete(self, listing: Listing) -> bool:
        """Gives a listing that was found the rest of what is remembered. False when that is no longer there."""
        if self._directories is None or listing.found is None or listing.identity is None:
            return False
        details = self._directories.details(DirectoryKey(*listing.identity, self._view), listing.found)
        if details is None:
            return False
        listing.extras = unpack_extras(details.extras)
        listing.digests = bytearray(details.digests) or None
        return True

    def remember(self, listings: Iterable[Listing]) -> None:
        """Keeps all that has been learnt, but of names that changed too recently to tell a later change."""
        if self._directories is None:
            return
        kept = [
            (DirectoryKey(*listing.identity, self._view), *self._packed(listing))
            for listing in listings
            if listing.identity is not None and listing.extras is not None
        ]
        if kept:
            self._directories.put_many(kept)

    def settled(self, listing: Listing) -> bool:
        """Whether any later change of its names can be told by their stats."""
        return listing.weigh().newest < self._scanned_ns - COARSE_TICK_NS

    def _packed(self, listing: Listing) -> tuple[Known, Details]:
        digests = bytes(listing.digests or b"")
        known = Known(listing.signature(), listing.rows or b"")
        if not self.settled(listing):
            young = [at for at, record in enumerate(listing.stats()) if not settled(key_of(record), self._scanned_ns)]
            if young:
                known = Known(b"", b"")
                digests = _without(digests, young)
        assert listing.extras is not None
        return known, Details(listing.packed, pack_extras(listing.extras), digests)


def _without(digests: bytes, positions: Iterable[int]) -> bytes:
    left = bytearray(digests)
    for at in positions:
        left[at * 32 : at * 32 + 32] = UNKNOWN if digests else b""
    return bytes(left)


def _adopt(listing: Listing, before: Details | None) -> None:
    """Digests of the files that are as they were in the directory."""
    if before is None or not before.digests:
        return
    positions = {record: at for at, record in enumerate(unpack_stats(before.stats))}
    for at, record in enumerate(listing.stats()):
        was = positions.get(record)
        digest = digest_at(before.digests, was) if was is not None and stat.S_ISREG(record[1]) else None
        if digest is not None:
            listing.learn(at, digest)


class _Forgetful:
    """A memory for files that no later build will see."""

    def get_many(self, keys: Iterable[StatKey]) -> Mapping[StatKey, bytes]:
        return {}

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int) -> None:
        pass


NOTHING_KNOWN = Memories(_Forgetful())
