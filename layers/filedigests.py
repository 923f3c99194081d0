"""Digests of files already read once, remembered by what a stat says of them."""

import os
import threading
from collections.abc import Iterable, Mapping

from layers.records import BATCH, batches
from layers.schema import Database

StatKey = tuple[int, int, int, int, int]
"""(device, inode, size, mtime_ns, ctime_ns)."""

TICK_NS = 20_000_000
"""The kernel stamps files with the time of its last tick (1 to 10 ms ago); twice that is safe."""

COARSE_TICK_NS = 2_000_000_000
"""For stamps that are whole seconds: a file system that cannot tell more (FAT counts in twos)."""


def stat_key(status: os.stat_result) -> StatKey:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class FileDigests:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._pending: dict[StatKey, bytes] = {}

    def get_many(self, keys: Iterable[StatKey]) -> dict[StatKey, bytes]:
        """Raw SHA-256 of those that are known."""
        wanted: dict[int, dict[int, list[StatKey]]] = {}
        found = {}
        for key in keys:
            digest = self._pending.get(key)
            if digest is not None:
                found[key] = digest
            else:
                wanted.setdefault(key[0], {}).setdefault(signed(key[1]), []).append(key)
        for device, by_inode in wanted.items():
            for marks, part in batches(tuple(by_inode)):
                for inode, size, mtime_ns, ctime_ns, digest in self._database.all(
                    f"SELECT ino, size, mtime_ns, ctime_ns, sha256 FROM files WHERE dev = ? AND ino IN ({marks})",  # noqa: S608 - question marks only
                    (signed(device), *part),
                ):
                    for key in by_inode[inode]:
                        if (size, mtime_ns, ctime_ns) == (key[2], signed(key[3]), signed(key[4])):
                            found[key] = digest
        return found

    def put_many(self, found: Mapping[StatKey, bytes], scanned_ns: int) -> None:
        """``scanned_ns``: the time (nanoseconds since the epoch) before the first of them was looked at.

        Files changed in the same tick, or later, are not remembered: a further change might not show in their stat.
        """
        self._write({key: digest for key, digest in found.items() if settled(key, scanned_ns)})

    def remember(self, key: StatKey, digest: bytes, scanned_ns: int) -> None:
        """As ``put_many``, but written with others later: after some hundreds, or by ``flush``."""
        if not settled(key, scanned_ns):
            return
        with self._lock:
            self._pending[key] = digest
            if len(self._pending) < BATCH:
                return
        self.flush()

    def flush(self) -> None:
        with self._lock:
            pending = dict(self._pending)
        self._write(pending)
        with self._lock:
            for key in pending:
                self._pending.pop(key, None)

    def _write(self, found: Mapping[StatKey, bytes]) -> None:
        if not found:
            return
        rows = [
            (signed(key[0]), signed(key[1]), key[2], signed(key[3]), signed(key[4]), digest)
            for key, digest in found.items()
        ]
        with self._database.transaction():
            self._database.write_many(
                "INSERT OR REPLACE INTO files (dev, ino, size, mtime_ns, ctime_ns, sha256) VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def clear(self) -> None:
        self._database.write("DELETE FROM files")


def settled(key: StatKey, scanned_ns: int) -> bool:
    """Whether what was seen since ``scanned_ns`` under this key can be told from whatever comes later."""
    changed = max(key[3], key[4])
    coarse = key[3] % 1_000_000_000 == 0 and key[4] % 1_000_000_000 == 0
    return changed < scanned_ns - (COARSE_TICK_NS if coarse else TICK_NS)


def signed(number: int) -> int:
    """Inodes and far-away times as the 64-bit signed integers SQLite has."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
