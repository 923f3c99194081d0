"""What the store knows of layers: how they stand on each other, what they pack to, where their bytes are.

One typed method per query. Methods join the transaction their thread is in (``Database.transaction``).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from layers.digest import BlobDigest, DiffId, Digest, LayerId, Rootfs
from layers.schema import Database
from layers.tuples import NamedTuple

T = TypeVar("T")

BATCH = 500
"""Values in one query: below SQLite's limit on variables, whatever it was built with."""


class LayerRecord(NamedTuple):
    id: LayerId
    place: str
    """What it stands on, as text: it is asked for far more often than looked at."""
    imported: DiffId | None
    """The diff id an image gave it; None for layers made here."""
    verified: bool
    """Its bytes were seen to have that diff id."""
    snapshot: bool
    indexed: bool

    @property
    def below(self) -> Rootfs:
        return parse_rootfs(self.place)


class Packing(NamedTuple):
    """``size``: of the tar stream, in bytes."""

    diff_id: DiffId
    size: int


class BlobRecord(NamedTuple):
    """``writer`` is empty for a blob that came with an image; then ``level`` is 0."""

    kind: str
    level: int
    writer: str
    digest: BlobDigest
    size: int


def rootfs_text(rootfs: Rootfs) -> str:
    return " ".join(map(str, rootfs))


def parse_rootfs(text: str) -> Rootfs:
    return tuple(LayerId(int(word)) for word in text.split())


def layers_of(rootfs: Iterable[str]) -> set[LayerId]:
    """The layers of all these root file systems, given as texts. One that another begins with is not read: what the
    steps of a stage stand on would be read to the square of their number."""
    found: set[LayerId] = set()
    above = ""
    # In this order, the one before begins with a text if any of those before does.
    for text in sorted((f"{each} " for each in rootfs), reverse=True):
        if not above.startswith(text):
            found.update(parse_rootfs(text))
        above = text
    return found


def clamp_text(clamp: int | None) -> str:
    return "" if clamp is None else str(clamp)


def batches(values: Sequence[T]) -> Iterator[tuple[str, Sequence[T]]]:
    """(placeholders, values) for ``IN (...)``, of at most BATCH values."""
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        yield ",".join("?" * len(part)), part


class LayerRecords:
    def __init__(self, database: Database) -> None:
        self._database = database

    # Settings

    def setting(self, name: str) -> str | None:
        row = self._database.one("SELECT value FROM settings WHERE name = ?", (name,))
        return str(row[0]) if row else None

    def set_setting(self, name: str, value: str) -> None:
        self._database.write("INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", (name, value))

    # Layers

    def add(
        self, below: Rootfs, *, imported: DiffId | None = None, snapshot: str | None = None, indexed: str | None = None
    ) -> LayerId:
        return LayerId(
            self._database.write(
                "INSERT INTO layers (below, imported, snapshot, indexed) VALUES (?, ?, ?, ?)",
                (rootfs_text(below), str(imported) if imported else None, snapshot, indexed),
            )
        )

    def get(self, layer: LayerId) -> LayerRecord | None:
        row = self._database.one(
            "SELECT below, imported, verified, snapshot IS NOT NULL, indexed IS NOT NULL FROM layers WHERE id = ?",
            (layer,),
        )
        if row is None:
            return None
        below, imported, verified, snapshot, indexed = row
        diff_id = DiffId(Digest.parse(imported)) if imported else None
        return LayerRecord(layer, below, diff_id, bool(verified), bool(snapshot), bool(indexed))

    def existing(self, layers: Iterable[LayerId]) -> set[LayerId]:
        found: set[LayerId] = set()
        for marks, part in batches(tuple(layers)):
            rows = self._database.all(f"SELECT id FROM layers WHERE id IN ({marks})", part)  # noqa: S608 - question marks only
            found.update(LayerId(row[0]) for row in rows)
        return found

    def imported(self, diff_id: DiffId, below: Rootfs) -> LayerId | None:
        row = self._database.one(
            "SELECT id FROM layers WHERE imported = ? AND below = ?", (str(diff_id), rootfs_text(below))
        )
        return LayerId(row[0]) if row else None

    def diff_ids(self) -> dict[LayerId, DiffId]:
        """Of all imported layers."""
        rows = self._database.all("SELECT id, imported FROM layers WHERE imported IS NOT NULL")
        return {LayerId(row[0]): DiffId(Digest.parse(row[1])) for row in rows}

    def chain(self, rootfs: Rootfs) -> tuple[str | None, ...]:
        """The diff ids, as texts, that layers were imported with; None for those that were made here."""
        known: dict[LayerId, str | None] = {}
        for marks, part in batches(rootfs):
            rows = self._database.all(f"SELECT id, imported FROM layers WHERE id IN ({marks})", part)  # noqa: S608 - question marks only
            known.update((LayerId(row[0]), row[1]) for row in rows)
        return tuple(known.get(layer) for layer in rootfs)

    def same_content(self, diff_id: DiffId, below: Rootfs) -> LayerId | None:
        """A layer in the same place whose unclamped bytes are known to be these."""
        row = self._database.one(
            "SELECT id FROM layers JOIN packings ON layer = id WHERE diff_id = ? AND clamp = '' AND below = ?"
            " AND (imported IS NULL OR verified) ORDER BY id LIMIT 1",
            (str(diff_id), rootfs_text(below)),
        )
        return LayerId(row[0]) if row else None

    def places(self) -> dict[LayerId, Rootfs]:
        """Every layer, with what is below it."""
        return {LayerId(row[0]): parse_rootfs(row[1]) for row in self._database.all("SELECT id, below FROM layers")}

    def set_verified(self, layer: LayerId) -> None:
        self._database.write("UPDATE layers SET verified = 1 WHERE id = ?", (layer,))

    def is_verified(self, diff_id: DiffId) -> bool:
        """Whether the blob of an imported layer was read, wherever the layer stands."""
        query = "SELECT 1 FROM layers WHERE imported = ? AND verified LIMIT 1"
        return self._database.one(query, (str(diff_id),)) is not None

    def set_snapshot(self, layer: LayerId, boot: str) -> None:
        self._database.write("UPDATE layers SET snapshot = ? WHERE id = ?", (boot, layer))

    def set_indexed(self, layer: LayerId, boot: str) -> None:
        self._database.write("UPDATE layers SET indexed = ? WHERE id = ?", (boot, layer))

    def with_snapshot(self) -> set[LayerId]:
        return {LayerId(row[0]) for row in self._database.all("SELECT id FROM layers WHERE snapshot IS NOT NULL")}

    def with_index(self) -> set[LayerId]:
        return {LayerId(row[0]) for row in self._database.all("SELECT id FROM layers WHERE indexed IS NOT NULL")}

    def delete(self, layers: Iterable[LayerId]) -> None:
        for marks, part in batches(tuple(layers)):
            self._database.write(f"DELETE FROM layers WHERE id IN ({marks})", part)  # noqa: S608 - question marks only

    # Durability

    def unsynced(self, boot: str) -> tuple[LayerId, ...]:
        """Layers with something made in this boot that may not be on the disk yet."""
        rows = self._database.all(
            "SELECT id FROM layers WHERE (snapshot > '' OR indexed > '') AND (snapshot = ? OR indexed = ?)",
            (boot, boot),
        )
        return tuple(LayerId(row[0]) for row in rows)

    def set_synced(self, layers: Iterable[LayerId], boot: str) -> None:
        for marks, part in batches(tuple(layers)):
            for column in ("snapshot", "indexed"):
                self._database.write(
                    f"UPDATE layers SET {column} = '' WHERE {column} = ? AND id IN ({marks})",  # noqa: S608 - no input
                    (boot, *part),
                )

    def forget_unsynced(self, boot: str) -> None:
        """After a power cut: snapshots and indexes of other boots that were never seen to reach the disk."""
        for column in ("snapshot", "indexed"):
            self._database.write(
                f"UPDATE layers SET {column} = NULL WHERE {column} > '' AND {column} != ?",  # noqa: S608 - no input
                (boot,),
            )

    def out_of_reach(self) -> set[LayerId]:
        """Imported layers that have no bytes here and of which nobody knows where they are to be had."""
        rows = self._database.all(
            "SELECT id FROM layers WHERE imported IS NOT NULL AND snapshot IS NULL"
            " AND imported NOT IN (SELECT diff_id FROM blobs) AND imported NOT IN ("
            " SELECT diff_id FROM claims WHERE digest IN (SELECT digest FROM origins))"
        )
        return {LayerId(row[0]) for row in rows}

    def forget_snapshots(self) -> None:
        self._database.write("UPDATE layers SET snapshot = NULL WHERE snapshot IS NOT NULL")

    def without_bytes(self) -> set[LayerId]:
        """Layers made here that have neither a snapshot nor a blob of their unclamped packing."""
        rows = self._database.all(
            "SELECT id FROM layers WHERE imported IS NULL AND snapshot IS NULL AND NOT EXISTS ("
            " SELECT 1 FROM packings JOIN blobs USING (diff_id) WHERE layer = layers.id AND clamp = '')"
        )
        return {LayerId(row[0]) for row in rows}

    # Packings and blobs

    def packing(self, layer: LayerId, clamp: int | None) -> Packing | None:
        row = self._database.one(
            "SELECT diff_id, size FROM packings WHERE layer = ? AND clamp = ?", (layer, clamp_text(clamp))
        )
        return Packing(DiffId(Digest.parse(row[0])), int(row[1])) if row else None

    def diff_ids_packed(self, layers: Sequence[LayerId]) -> dict[tuple[LayerId, str], DiffId]:
        """Of all packings of these layers, by layer and clamp as text."""
        found: dict[tuple[LayerId, str], DiffId] = {}
        for marks, part in batches(layers):
            rows = self._database.all(f"SELECT layer, clamp, diff_id FROM packings WHERE layer IN ({marks})", part)  # noqa: S608 - question marks only
            found.update(((LayerId(layer), clamp), DiffId(Digest.parse(text))) for layer, clamp, text in rows)
        return found

    def add_packing(self, layer: LayerId, clamp: int | None, packing: Packing) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO packings (layer, clamp, diff_id, size) VALUES (?, ?, ?, ?)",
            (layer, clamp_text(clamp), str(packing.diff_id), packing.size),
        )

    def blobs(self, diff_id: DiffId) -> tuple[BlobRecord, ...]:
        """Uncompressed ones first, then smaller ones."""
        rows = self._database.all(
            "SELECT kind, level, writer, digest, size FROM blobs WHERE diff_id = ? ORDER BY kind != 'none', size",
            (str(diff_id),),
        )
        return tuple(
            BlobRecord(kind, level, writer, BlobDigest(Digest.parse(digest)), size)
            for kind, level, writer, digest, size in rows
        )

    def add_blob(self, diff_id: DiffId, blob: BlobRecord) -> None:
        self._database.write(
            "INSERT OR REPLACE INTO blobs (diff_id, kind, level, writer, digest, size) VALUES (?, ?, ?, ?, ?, ?)",
            (str(diff_id), blob.kind, blob.level, blob.writer, str(blob.digest), blob.size),
        )

    def forget_foreign_blobs(self, diff_id: DiffId) -> None:
        """Those that came with images."""
        self._database.write("DELETE FROM blobs WHERE diff_id = ? AND writer = ''", (str(diff_id),))

    def blob_digests(self) -> set[BlobDigest]:
        rows = self._database.all("SELECT DISTINCT digest FROM blobs")
        return {BlobDigest(Digest.parse(row[0])) for row in rows}

    def forget_blobs_of_nobody(self) -> None:
        """Blob records whose diff id no layer packs to any more."""
        self._database.write(
            "DELETE FROM blobs WHERE diff_id NOT IN (SELECT diff_id FROM packings)"
            " AND diff_id NOT IN (SELECT imported FROM layers WHERE imported IS NOT NULL)"
        )
