"""The files of a build context as the host has them, without what its ignore file leaves out: each looked at once."""

import errno
import os
import stat
import threading
from collections.abc import Iterable
from typing import Protocol

from builder.plan.contextmemory import Memory
from builder.plan.hashing import unreadable
from builder.plan.listing import Listing, make_stat, read_extra, scan
from layers.errors import SourceChanged
from layers.listed import PLAIN, Extra, Stat


class Ignores(Protocol):
    """What the context asks of an ignore file (builder.dockerfile.ignore.Matcher)."""

    def ignored(self, path: bytes, /) -> bool: ...

    def may_descend(self, path: bytes, /) -> bool: ...

    def decided_by(self, path: bytes, /) -> str | None: ...


class HostFiles:
    """What is below ``root``, remembered as it was when it was first looked at. Thread-safe.

    Raises SourceChanged when something goes away while it is looked at, PybuildError for what may not be read.
    """

    def __init__(self, root: bytes, matcher: Ignores | None, memory: Memory, *, owners: bool) -> None:
        self.root = root
        self.owners = owners
        self.matcher = matcher
        self._memory = memory
        self._listings: dict[bytes, Listing] = {}
        self._singles: dict[bytes, Listing] = {}
        self._directories: set[bytes] = {b""}
        """Those seen in listings: asking the listing above would unpack it once for each of them."""
        self._lock = threading.RLock()

    def why_missing(self, path: bytes) -> str | None:
        """The ignore pattern that leaves out ``path``, which exists on the host; None when it is not there at all."""
        if self.matcher is None or not self.matcher.ignored(path) or not os.path.lexists(self.path(path)):
            return None
        return self.matcher.decided_by(path)

    def path(self, path: bytes) -> bytes:
        return self.root + b"/" + path if path else self.root

    def find(self, path: bytes) -> tuple[Listing, int] | None:
        """The listing that has ``path``, and where in it."""
        head, _, name = path.rpartition(b"/")
        listing = self._listings.get(head)
        if listing is None:
            single = self._single(path)
            return None if single is None else (single, 0)
        for position, record in enumerate(listing.stats()):
            if record[0] == name:
                return listing, position
        return None

    def _single(self, path: bytes) -> Listing | None:
        """A listing of just ``path``: to take one file out of a large directory, the rest is not looked at."""
        known = self._singles.get(path)
        if known is not None:
            return known
        head, _, name = path.rpartition(b"/")
        if head and not self._is_directory(head):
            return None
        host = self.path(path)
        try:
            record = make_stat(name, os.lstat(host))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise unreadable(host) from error
        if record is None or self.left_out(path, directory=stat.S_ISDIR(record[1])):
            return None
        with self._lock:
            return self._singles.setdefault(path, Listing.of((record,)))

    def listing(self, path: bytes) -> Listing | None:
        known = self._listings.get(path)
        if known is not None:
            return known
        if path not in self._directories and not self._is_directory(path):
            return None
        with self._lock:
            known = self._listings.get(path)
            if known is None:
                known = self._listings[path] = self._list(path)
            return known

    def _list(self, path: bytes) -> Listing:
        host = self.path(path)
        try:
            return self._scan(host, path + b"/" if path else b"")
        except PermissionError as error:
            raise unreadable(error.filename if isinstance(error.filename, bytes) else host) from error
        except (FileNotFoundError, NotADirectoryError) as error:
            raise SourceChanged(host) from error

    def _scan(self, host: bytes, prefix: bytes) -> Listing:
        records, identity = scan(host)
        earlier: dict[bytes, Listing] = {}
        for record in records if self._singles else ():
            single = self._singles.pop(prefix + record[0], None)
            if single is not None:
                earlier[record[0]] = single
        if earlier or self.matcher is not None:
            records = [
                earlier[record[0]].stats()[0] if record[0] in earlier else record
                for record in records
                if record[0] in earlier or not self.left_out(prefix + record[0], directory=stat.S_ISDIR(record[1]))
            ]
        listing = Listing.of(records, identity)
        self._directories.update([prefix + name for name in listing.folders])
        for position, record in enumerate(records) if earlier else ():
            single = earlier.get(record[0])
            if single is not None:
                digest = single.digest(0)
                if digest is not None:
                    listing.learn(position, digest)
                if single.extras is not None:
                    listing.early[position] = single.extras.get(0, PLAIN)
        return listing

    @property
    def names(self) -> int:
        """How many there are in the directories that have been looked at."""
        with self._lock:
            return sum(listing.size for listing in self._listings.values())

    def knows(self, path: bytes) -> bool:
        """Whether the directory has been looked at."""
        return path in self._listings

    def adopt(self, found: Iterable[tuple[bytes, Listing]]) -> None:
        """Takes listings of directories that another process has read, but of those of which something is known."""
        with self._lock:
            looked_into = {single.rpartition(b"/")[0] for single in self._singles}
            for path, listing in found:
                if path in self._listings or path in looked_into:
                    continue
                self._listings[path] = listing
                prefix = path + b"/" if path else b""
                self._directories.update([prefix + name for name in listing.folders])

    def read(self, path: bytes) -> Listing:
        """The listing of a directory as it is now, which is not remembered. Raises as ``listing``."""
        return self._list(path)

    def left_out(self, path: bytes, *, directory: bool) -> bool:
        """An ignored directory is there when something in it is taken back (reference part 2, "Order")."""
        matcher = self.matcher
        if matcher is None or not matcher.ignored(path):
            return False
        return not directory or not matcher.may_descend(path) or not self._holds_something(path)

    def complete(self, path: bytes, listing: Listing) -> None:
        """What stats do not say. Of a listing that the store has found unchanged that is read late, if at all: then
        it must still be what it was. Raises SourceChanged, PybuildError."""
        if listing.extras is not None:
            return
        with self._lock:
            if self._memory.complete(listing):
                return
            prefix = self.path(path) + b"/"
            extras = {}
            for position, record in enumerate(listing.stats()):
                host = prefix + record[0]
                extra = listing.early.get(position)
                if extra is None:
                    extra = self.look_closer(host, record, late=listing.found is not None)
                if extra is not PLAIN:
                    extras[position] = extra
            listing.extras = extras

    def look_closer(self, host: bytes, record: Stat, *, late: bool = False) -> Extra:
        """What the stat of ``record`` does not say. ``late``: it must still be that. Raises as ``complete``."""
        try:
            extra = read_extra(host, record, owners=self.owners)
            if late and make_stat(record[0], os.lstat(host)) != record:
                raise SourceChanged(host)
        except PermissionError as error:
            raise unreadable(host) from error
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINVAL, errno.ENOTDIR}:
                raise SourceChanged(host) from error
            raise
        return extra

    def _holds_something(self, path: bytes) -> bool:
        with self._lock:
            known = self._listings.get(path)
            if known is None:
                known = self._list(path)
                if known.size:
                    self._listings[path] = known
            return known.size > 0

    def _is_directory(self, path: bytes) -> bool:
        if not path:
            return True
        found = self.find(path)
        return found is not None and stat.S_ISDIR(found[0].stats()[found[1]][1])
