"""What is remembered of directories: whoever finds one unchanged need not ask for each file in it."""

from collections.abc import Iterable, Sequence

from layers.filedigests import signed
from layers.records import BATCH
from layers.schema import Database
from layers.tuples import NamedTuple


class DirectoryKey(NamedTuple):
    """``view``: what was looked at of the directory (names may be left out), as at most 8 bytes."""

    device: int
    inode: int
    view: bytes


class Known(NamedTuple):
    """``signature``: a digest of all that the stats of a directory's names say; b"" when one of them was too young to
    be believed. ``rows``: a digest of what these names are; b"" when not all of it was asked for."""

    signature: bytes
    rows: bytes


class Details(NamedTuple):
    """Packed by who looked: ``stats`` and ``extras`` of the names, and the raw SHA-256 of those that are files, 32 zero
    bytes for what is not known."""

    stats: bytes
    extras: bytes
    digests: bytes


Remembered = tuple[DirectoryKey, Known, Details]


class Directories:
    """Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def any(self) -> bool:
        return self._database.one("SELECT 1 FROM directories LIMIT 1") is not None

    def get_many(self, keys: Iterable[DirectoryKey]) -> dict[DirectoryKey, Known]:
        """Those that are known. Reads no details."""
        wanted: dict[tuple[int, bytes], list[int]] = {}
        for key in keys:
            wanted.setdefault((key.device, key.view), []).append(key.inode)
        found = {}
        for (device, view), inodes in wanted.items():
            for start in range(0, len(inodes), BATCH):
                part = {signed(inode): inode for inode in inodes[start : start + BATCH]}
                marks = ",".join("?" * len(part))
                for inode, signature, rows in self._database.all(
                    f"SELECT ino, signature, rows FROM directories WHERE view = ? AND dev = ? AND ino IN ({marks})",  # noqa: S608 - question marks only
                    (view, signed(device), *part),
                ):
                    found[DirectoryKey(device, part[inode], view)] = Known(signature, rows)
        return found

    def details(self, key: DirectoryKey, known: Known | None = None) -> Details | None:
        """``known``: only if that is still what is known of it."""
        row = self._database.one(
            "SELECT signature, rows, stats, extras, digests FROM directories WHERE view = ? AND dev = ? AND ino = ?",
            (key.view, signed(key.device), signed(key.inode)),
        )
        if row is None or (known is not None and known != Known(*row[:2])):
            return None
        return Details(*row[2:])

    def put_many(self, found: Sequence[Remembered]) -> None:
        rows = [(signed(key.device), signed(key.inode), key.view, *known, *details) for key, known, details in found]
        with self._database.transaction():
            self._database.write_many(
                "INSERT OR REPLACE INTO directories (dev, ino, view, signature, rows, stats, extras, digests)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def clear(self) -> None:
        self._database.write("DELETE FROM directories")
