"""Snapshots: directories in overlay format that are layers, looked into one file at a time."""

import hashlib
import os
import stat
from collections.abc import Callable

from layers.entry import Entry, Kind
from layers.filedigests import FileDigests, stat_key
from layers.index import Found, Index
from layers.overlayfmt import entry_of, is_opaque, is_whiteout, read_xattrs

_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)

REMEMBERED = 256
"""Answers one snapshot remembers: enough for the few paths every step asks each layer for, small beside a tree walk."""


class Snapshot:
    """The files of one layer (``layers.view.LayerFiles``). With ``index``, digests come from there.

    ``get`` and ``children`` are asked only for paths whose parents are directories here, so no link is followed.
    """

    def __init__(self, root: str, digests: FileDigests, clock: Callable[[], float], index: Index | None = None) -> None:
        self._root = os.fsencode(root)
        self._digests = digests
        self._clock = clock
        self._index = index
        self._known: dict[bytes, Found | None] = {}

    def get(self, path: bytes) -> Found | None:
        """Snapshots never change, so neither does the answer."""
        if path in self._known:
            return self._known[path]
        found = self._look(path)
        if len(self._known) < REMEMBERED:
            self._known[path] = found
        return found

    def _look(self, path: bytes) -> Found | None:
        host = os.path.join(self._root, path)
        try:
            status = os.lstat(host)
        except _NOTHING_THERE:
            return None
        return _found(path, host, status)

    def children(self, path: bytes) -> list[Found]:
        try:
            names = sorted(os.listdir(os.path.join(self._root, path)))
        except _NOTHING_THERE:
            return []
        found = (self.get(path + b"/" + name if path else name) for name in names)
        return [one for one in found if one is not None]

    def sha256(self, path: bytes) -> bytes:
        """Raw digest of the regular file at ``path``."""
        if self._index is not None and (known := self._index.sha256(path)) is not None:
            return known
        scanned_ns = int(self._clock() * 1e9)
        host = os.path.join(self._root, path)
        key = stat_key(os.lstat(host))
        digest = self._digests.get_many((key,)).get(key)
        if digest is None:
            with open(os.open(host, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb", buffering=0) as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            self._digests.remember(key, digest, scanned_ns)
        return digest


def _found(path: bytes, host: bytes, status: os.stat_result) -> Found:
    if is_whiteout(status) or stat.S_ISSOCK(status.st_mode):
        return Found(Entry(path, Kind.WHITEOUT))  # no layer can hold a socket, but what it replaced is gone
    xattrs = read_xattrs(host)
    opaque = bool(xattrs) and stat.S_ISDIR(status.st_mode) and is_opaque(host)
    return Found(entry_of(path, status, host, xattrs), opaque)
