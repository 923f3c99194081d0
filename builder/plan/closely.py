"""A directory of the host read in one pass: names, stats, what stats do not say, and the bytes of small files.

In a context of very many files, of which nothing is known, a name costs what Python does for it and how often the
kernel is asked. Most are small files: those are opened at once, and all else is asked of the descriptor.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING

from builder.plan.content import digest_rows, plain_row
from builder.plan.hashing import READ_FLAGS, SMALL, hash_file
from builder.plan.listing import Listing, carried_xattr, key_of, make_stat, weigh
from builder.plan.rows import row
from layers.errors import PybuildError
from layers.filedigests import StatKey, stat_key
from layers.listed import PLAIN, UNKNOWN, Extra, Stat

if TYPE_CHECKING:
    from builder.plan.hostfiles import HostFiles


def read_closely(files: "HostFiles", path: bytes) -> Listing:
    """As ``files.read``, with extras, and with digests and rows as far as files are small. Raises as
    ``files.complete``, and OSError."""
    folder = os.open(files.path(path), READ_FLAGS | os.O_DIRECTORY)
    try:
        status = os.fstat(folder)
        look = _Look(files, path, folder)
        with os.scandir(folder) as names:
            look.at(sorted([(os.fsencode(item.name), item) for item in names], key=itemgetter(0)))
    finally:
        os.close(folder)
    listing = Listing.of(look.records, (status.st_dev, status.st_ino))
    listing.weight = weigh(look.records)
    listing.extras = look.extras
    listing.digests = bytearray(b"".join(look.digests))
    listing.rows = digest_rows(look.rows) if look.known else None
    return listing


class _Look:
    """``known``: whether all files are small, so that ``rows`` is complete."""

    def __init__(self, files: "HostFiles", path: bytes, folder: int) -> None:
        self._files = files
        self._path = path
        self._folder = folder
        self.records: list[Stat] = []
        self.extras: dict[int, Extra] = {}
        self.digests: list[bytes] = []
        self.rows: list[bytes] = []
        self.known = True

    def at(self, names: Iterable[tuple[bytes, os.DirEntry[str]]]) -> None:
        files, folder = self._files, self._folder
        records, digests, rows = self.records, self.digests, self.rows
        prefix = self._path + b"/" if self._path else b""
        ignoring = files.matcher is not None
        for name, item in names:
            if ignoring and files.left_out(prefix + name, directory=item.is_dir(follow_symlinks=False)):
                continue
            found = _small_file(folder, name) if item.is_file(follow_symlinks=False) else None
            if found is None:
                self._other(name, item)
                continue
            record, digest = found
            records.append(record)
            digests.append(digest)
            rows.append(plain_row(name, record[1] & 0o7777, digest))

    def _other(self, name: bytes, item: os.DirEntry[str]) -> None:
        try:
            record = make_stat(name, item.stat(follow_symlinks=False))
        except FileNotFoundError:
            return
        if record is None:
            return
        host = self._files.path(self._path) + b"/" + name
        extra = self._files.look_closer(host, record)
        if extra is not PLAIN:
            self.extras[len(self.records)] = extra
        self.records.append(record)
        digest = UNKNOWN
        if record[1] & 0o170000 == stat.S_IFREG:
            if record[7] <= SMALL:
                digest = hash_or_unknown(host, key_of(record))
            self.known = self.known and digest != UNKNOWN
        self.digests.append(digest)
        if self.known:
            self.rows.append(row(self._files.root, self._path, record, extra, digest))


def _small_file(folder: int, name: bytes) -> tuple[Stat, bytes] | None:
    """Stat and digest of a small file without attributes that COPY keeps; None for anything else, also for one that
    changes meanwhile."""
    try:
        descriptor = os.open(name, READ_FLAGS, dir_fd=folder)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        size = status.st_size
        if size > SMALL or not stat.S_ISREG(status.st_mode):
            return None
        names = os.listxattr(descriptor)
        if names and any(carried_xattr(os.fsencode(name)) for name in names):
            return None
        data = os.read(descriptor, size + 1)
        after = os.fstat(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    record = make_stat(name, status)
    if record is None or len(data) != size or stat_key(after) != key_of(record):
        return None
    return record, hashlib.sha256(data).digest()


def hash_or_unknown(path: bytes, key: StatKey) -> bytes:
    """As ``hash_file``; UNKNOWN where that raises."""
    try:
        return hash_file(path, key)
    except (PybuildError, OSError):
        return UNKNOWN
