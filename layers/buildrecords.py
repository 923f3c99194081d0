"""What the store knows of builds: finished steps by key, and images by id and name."""

from collections.abc import Iterable, Sequence

from layers.digest import CacheKey, Digest, LayerId, Rootfs
from layers.errors import StoreError
from layers.records import batches, clamp_text, parse_rootfs, rootfs_text
from layers.schema import Database
from layers.tuples import NamedTuple


class StepRecord(NamedTuple):
    """``layer`` is None for a step that made none; ``finished`` in seconds since the epoch."""

    effective: CacheKey
    layers: str
    """Its root file system, as text: steps that stand on each other have each other's layers too, and a build that
    finds a thousand of them looks at few."""
    layer: LayerId | None
    finished: float

    @property
    def rootfs(self) -> Rootfs:
        return parse_rootfs(self.layers)


class StoredImage(NamedTuple):
    """``id`` is the digest of ``config``; ``clamps`` has one item per layer of ``rootfs``; times in seconds."""

    id: Digest
    config: bytes
    rootfs: Rootfs
    clamps: tuple[int | None, ...]
    names: tuple[str, ...]
    created_at: float


class StepUse(NamedTuple):
    key: CacheKey
    rootfs: Rootfs
    used: float


class StepTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, keys: Sequence[CacheKey]) -> dict[CacheKey, tuple[StepRecord, float]]:
        """Records with the time each was last used. One query for up to ``BATCH`` keys."""
        found = {}
        by_text = {str(key): key for key in keys}
        for marks, part in batches(tuple(by_text)):
            for text, effective, layers, layer, finished, used in self._database.all(
                f"SELECT key, effective, rootfs, layer, finished, used FROM steps WHERE key IN ({marks})",  # noqa: S608 - question marks only
                part,
            ):
                made = None if layer is None else LayerId(layer)
                key = CacheKey(Digest.parse(effective))
                found[by_text[text]] = (StepRecord(key, layers, made, finished), used)
        return found

    def put(self, keys: Iterable[CacheKey], record: StepRecord, used: float) -> None:
        self._database.write_many(
            "INSERT OR REPLACE INTO steps (key, effective, rootfs, layer, finished, used) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (str(key), str(record.effective), record.layers, record.layer, record.finished, used)
                for key in dict.fromkeys(keys)
            ],
        )

    def touch(self, keys: Iterable[CacheKey], used: float) -> None:
        self._database.write_many("UPDATE steps SET used = ? WHERE key = ?", [(used, str(key)) for key in keys])

    def uses(self) -> list[StepUse]:
        return [
            StepUse(CacheKey(Digest.parse(key)), parse_rootfs(rootfs), used)
            for key, rootfs, used in self._database.all("SELECT key, rootfs, used FROM steps")
        ]

    def delete(self, keys: Iterable[CacheKey]) -> None:
        for marks, part in batches([str(key) for key in keys]):
            self._database.write(f"DELETE FROM steps WHERE key IN ({marks})", part)  # noqa: S608 - question marks only


class ImageTable:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, image: StoredImage) -> None:
        """Adds or replaces the image; its names are taken from whichever image had them."""
        values = (
            str(image.id),
            image.config,
            rootfs_text(image.rootfs),
            ",".join(map(clamp_text, image.clamps)),
            image.created_at,
        )
        self._database.write(
            "INSERT INTO images (id, config, rootfs, clamps, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id)"
            " DO UPDATE SET rootfs = excluded.rootfs, clamps = excluded.clamps, created = excluded.created",
            values,
        )
        for name in image.names:
            self.tag(image.id, name)

    def get(self, image: Digest) -> StoredImage | None:
        row = self._database.one("SELECT id, config, rootfs, clamps, created FROM images WHERE id = ?", (str(image),))
        return self._image(row) if row else None

    def named(self, name: str) -> StoredImage | None:
        row = self._database.one("SELECT image FROM names WHERE name = ?", (name,))
        return self.get(Digest.parse(row[0])) if row else None

    def by_prefix(self, hex_prefix: str) -> StoredImage | None:
        """Raises StoreError when several ids begin with it."""
        start = f"sha256:{hex_prefix}"
        rows = self._database.all(
            "SELECT id, config, rootfs, clamps, created FROM images WHERE id >= ? AND id < ? LIMIT 2",
            (start, f"{start}g"),
        )
        if len(rows) > 1:
            raise StoreError(f"several image ids begin with {hex_prefix}", hint="give more digits")
        return self._image(rows[0]) if rows else None

    def all(self) -> list[StoredImage]:
        """Newest first."""
        rows = self._database.all("SELECT id, config, rootfs, clamps, created FROM images ORDER BY created DESC, id")
        return [self._image(row) for row in rows]

    def tag(self, image: Digest, name: str) -> None:
        self._database.write("INSERT OR REPLACE INTO names (name, image) VALUES (?, ?)", (name, str(image)))

    def untag(self, name: str) -> bool:
        return bool(self._database.all("DELETE FROM names WHERE name = ? RETURNING name", (name,)))

    def delete(self, images: Iterable[Digest]) -> None:
        for marks, part in batches([str(image) for image in images]):
            self._database.write(f"DELETE FROM images WHERE id IN ({marks})", part)  # noqa: S608 - question marks only

    def _image(self, row: tuple[str, bytes, str, str, float]) -> StoredImage:
        text, config, rootfs, clamps, created = row
        layers = parse_rootfs(rootfs)
        names = tuple(
            str(name[0]) for name in self._database.all("SELECT name FROM names WHERE image = ? ORDER BY name", (text,))
        )
        parsed = tuple(int(word) if word else None for word in clamps.split(",")) if layers else ()
        return StoredImage(Digest.parse(text), config, layers, parsed, names, created)
