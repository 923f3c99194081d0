"""The store's database: its tables, its connections and its transactions. Queries are in layers.records.

WAL with ``synchronous=NORMAL``: a power cut may lose the last commits (a cache miss), never the order of them.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from layers.errors import StoreBusy, StoreError

VERSION = 5
"""``PRAGMA user_version`` of this layout. Version 1 means: overlay metadata in ``user.overlay.*`` xattrs. Version 2 has
``REGISTRIES`` as well, version 3 ``LAZY``, version 4 ``WEB``, version 5 ``DIRECTORIES``."""

BUSY_SECONDS = 30.0

TABLES = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One layer on one place: ids are never used again. below: layer ids, lowest first, separated by spaces.
-- imported: the diff id an image said it has; verified: that it was seen to be true.
-- snapshot, indexed: NULL for none; the boot it was made in while it may not have reached the disk; '' once it has.
CREATE TABLE layers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    below TEXT NOT NULL,
    imported TEXT,
    verified INTEGER NOT NULL DEFAULT 0,
    snapshot TEXT,
    indexed TEXT
);
CREATE UNIQUE INDEX layers_imported ON layers (imported, below) WHERE imported IS NOT NULL;
CREATE INDEX layers_unsynced ON layers (id) WHERE snapshot > '' OR indexed > '';

-- clamp: latest mtime in seconds since the epoch, as text; '' for none.
CREATE TABLE packings (
    layer INTEGER NOT NULL REFERENCES layers (id) ON DELETE CASCADE,
    clamp TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (layer, clamp)
) WITHOUT ROWID;
CREATE INDEX packings_diff_id ON packings (diff_id);

-- Every digest here is a file in blobs/. writer '' is somebody else's compressor (a blob that came with an image).
CREATE TABLE blobs (
    diff_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    level INTEGER NOT NULL,
    writer TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (diff_id, kind, level, writer)
) WITHOUT ROWID;

CREATE TABLE steps (
    key TEXT PRIMARY KEY,
    effective TEXT NOT NULL,
    rootfs TEXT NOT NULL,
    layer INTEGER,
    finished REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE images (
    id TEXT PRIMARY KEY,
    config BLOB NOT NULL,
    rootfs TEXT NOT NULL,
    clamps TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE names (
    name TEXT PRIMARY KEY,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX names_image ON names (image);

CREATE TABLE files (
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    PRIMARY KEY (dev, ino)
) WITHOUT ROWID;
"""

REGISTRIES = """
-- What names meant at registries. name: in full, with a tag or a digest. checked: seconds since the epoch.
CREATE TABLE pulls (
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    digest TEXT NOT NULL,
    image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    checked REAL NOT NULL,
    PRIMARY KEY (name, platform)
) WITHOUT ROWID;
CREATE INDEX pulls_image ON pulls (image);

-- Which repositories of which registries have a blob.
CREATE TABLE origins (
    number INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    host TEXT NOT NULL,
    repository TEXT NOT NULL,
    UNIQUE (digest, host, repository)
);
"""


LAZY = """
-- Which blob an image said a layer is: what it has, where none is in the blobs table, is to be fetched from an origin.
-- verified: the blob was read and is what the diff id says.
CREATE TABLE claims (
    diff_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    verified INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (diff_id, digest)
) WITHOUT ROWID;
CREATE INDEX claims_digest ON claims (digest);

-- The manifest that an image was pulled with.
CREATE TABLE manifests (
    image TEXT PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    media_type TEXT NOT NULL,
    raw BLOB NOT NULL
) WITHOUT ROWID;
"""

WEB = """
-- What addresses gave over HTTP. mtime, used: seconds since the epoch; etag, modified: as in the answer's headers.
CREATE TABLE webfiles (
    url TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified TEXT NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
"""

DIRECTORIES = """
-- Directories of the host as they were last seen (layers.directories). Short columns first: long ones lie elsewhere.
CREATE TABLE directories (
    dev INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    view BLOB NOT NULL,
    signature BLOB NOT NULL,
    rows BLOB NOT NULL,
    stats BLOB NOT NULL,
    extras BLOB NOT NULL,
    digests BLOB NOT NULL,
    UNIQUE (view, dev, ino)
);
"""

MIGRATIONS = (TABLES, REGISTRIES, LAZY, WEB, DIRECTORIES)
"""What each version has more than the one before."""


class Database:
    """One connection per thread; none survives a fork. Errors of SQLite come out as StoreError."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._process = os.getpid()
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: list[sqlite3.Connection] = []

    def connection(self) -> sqlite3.Connection:
        if os.getpid() != self._process:
            raise RuntimeError("a store must not be used in a forked process: open it there")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            with self.errors():
                connection = sqlite3.connect(
                    self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def version(self) -> int:
        with self.errors():
            return int(self.connection().execute("PRAGMA user_version").fetchone()[0])

    def create(self) -> None:
        """Makes the tables that are missing. One process at a time: the caller holds the gate."""
        connection = self.connection()
        with self.errors():
            connection.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            version = self.version()
            if version >= VERSION:
                return
            for statement in "".join(MIGRATIONS[version:]).split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction of this thread. For short things: others wait."""
        connection = self.connection()
        with self.errors():
            connection.execute("BEGIN IMMEDIATE")
        try:
            with self.errors():
                yield connection
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def one(self, query: str, values: Sequence[object] = ()) -> Any:
        """The first row, or None."""
        with self.errors():
            return self.connection().execute(query, values).fetchone()

    def all(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self.errors():
            return self.connection().execute(query, values).fetchall()

    def write(self, query: str, values: Sequence[object] = ()) -> int:
        """Returns the id of the row inserted last. A transaction of its own when the thread is in none."""
        with self.errors():
            return self.connection().execute(query, values).lastrowid or 0

    def write_many(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        """Must be in a transaction to be one."""
        with self.errors():
            self.connection().executemany(query, rows)

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise StoreBusy(
                    f"{self._path}: another process has been writing for {BUSY_SECONDS:.0f} seconds",
                    hint="look for a stopped pybuild process",
                ) from error
            hint = "free some space" if code == sqlite3.SQLITE_FULL else None
            raise StoreError(f"{self._path}: {error}", hint=hint) from error

    def close(self) -> None:
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()
