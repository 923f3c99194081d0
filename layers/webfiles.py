"""What the store knows of files fetched over HTTP: which blob an address gave, and how to ask whether it changed."""

from collections.abc import Callable

from layers.digest import BlobDigest, Digest
from layers.schema import Database
from layers.tuples import NamedTuple


class WebFile(NamedTuple):
    """``mtime`` in seconds since 1970, 0 when the server said none; ``etag`` and ``modified`` as the headers say."""

    digest: BlobDigest
    size: int
    mtime: int
    etag: str
    modified: str


class WebFileTable:
    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def find(self, url: str) -> WebFile | None:
        row = self._database.one("SELECT digest, size, mtime, etag, modified FROM webfiles WHERE url = ?", (url,))
        return WebFile(BlobDigest(Digest.parse(row[0])), *row[1:]) if row else None

    def put(self, url: str, record: WebFile) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO webfiles (url, digest, size, mtime, etag, modified, used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (url, str(record.digest), *record[1:], self._clock()),
        )

    def digests(self) -> frozenset[BlobDigest]:
        rows = self._database.all("SELECT DISTINCT digest FROM webfiles")
        return frozenset(BlobDigest(Digest.parse(row[0])) for row in rows)

    def forget(self, since: float) -> None:
        """Those not used after ``since``."""
        self._database.write("DELETE FROM webfiles WHERE used <= ?", (since,))
