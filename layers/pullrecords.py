"""What the store knows of registries: what names meant when they were last looked up, which blobs the layers of those
images are, and who has which blob."""

from collections.abc import Sequence

from layers.digest import BlobDigest, DiffId, Digest
from layers.schema import Database
from layers.tuples import NamedTuple


class PullRecord(NamedTuple):
    """``digest`` is what a name meant (an index's or a manifest's) ``checked`` seconds after 1970; ``image`` its id."""

    digest: Digest
    image: Digest
    checked: float


class Origin(NamedTuple):
    """A repository that has a blob; ``host`` as in references."""

    host: str
    repository: str


class Claim(NamedTuple):
    """An image said that the layer ``diff_id`` is this blob. ``verified``: it was read, and it is."""

    diff_id: DiffId
    digest: BlobDigest
    size: int
    media_type: str
    verified: bool


class PullTable:
    """Names in full, each with a tag or a digest. A record goes with its image."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str, platform: str) -> PullRecord | None:
        row = self._database.one(
            "SELECT digest, image, checked FROM pulls WHERE name = ? AND platform = ?", (name, platform)
        )
        return PullRecord(Digest.parse(row[0]), Digest.parse(row[1]), float(row[2])) if row else None

    def put(self, names: Sequence[str], platform: str, record: PullRecord) -> None:
        """The image must be in the store."""
        with self._database.transaction():
            self._database.write_many(
                "INSERT OR REPLACE INTO pulls (name, platform, digest, image, checked) VALUES (?, ?, ?, ?, ?)",
                [(name, platform, str(record.digest), str(record.image), record.checked) for name in names],
            )

    def keep_manifest(self, image: Digest, media_type: str, raw: bytes) -> None:
        """The manifest that an image, which is in the store, came with: it goes with that one again."""
        self._database.write(
            "INSERT OR REPLACE INTO manifests (image, media_type, raw) VALUES (?, ?, ?)", (str(image), media_type, raw)
        )

    def manifest(self, image: Digest) -> tuple[str, bytes] | None:
        """Media type and bytes; None for an image that came without one, or was made here."""
        row = self._database.one("SELECT media_type, raw FROM manifests WHERE image = ?", (str(image),))
        return (str(row[0]), bytes(row[1])) if row else None


class OriginTable:
    """Which repositories of which registries have a blob: from there it can be mounted instead of sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(self, host: str, digest: BlobDigest) -> Sequence[str]:
        rows = self._database.all(
            "SELECT repository FROM origins WHERE digest = ? AND host = ? ORDER BY number", (str(digest), host)
        )
        return tuple(str(row[0]) for row in rows)

    def of(self, digest: BlobDigest) -> tuple[Origin, ...]:
        """In the order they came."""
        rows = self._database.all(
            "SELECT host, repository FROM origins WHERE digest = ? ORDER BY number", (str(digest),)
        )
        return tuple(Origin(host, repository) for host, repository in rows)

    def remember(self, host: str, repository: str, digest: BlobDigest) -> None:
        if repository not in self.repositories(host, digest):
            self._database.write(
                "INSERT OR IGNORE INTO origins (digest, host, repository) VALUES (?, ?, ?)",
                (str(digest), host, repository),
            )

    def forget_lost(self) -> None:
        """What is remembered of blobs that no record of a layer or image needs any more."""
        self._database.write(
            "DELETE FROM origins WHERE digest NOT IN (SELECT digest FROM blobs)"
            " AND digest NOT IN (SELECT digest FROM claims)"
        )


class ClaimTable:
    """Which blobs images said their layers are. Several images may say different things of one layer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, diff_id: DiffId, digest: BlobDigest, size: int, media_type: str) -> None:
        self._database.write(
            "INSERT OR IGNORE INTO claims (diff_id, digest, size, media_type) VALUES (?, ?, ?, ?)",
            (str(diff_id), str(digest), size, media_type),
        )

    def of(self, diff_id: DiffId) -> tuple[Claim, ...]:
        """Verified ones first."""
        rows = self._database.all(
            "SELECT digest, size, media_type, verified FROM claims WHERE diff_id = ? ORDER BY verified DESC, digest",
            (str(diff_id),),
        )
        return tuple(
            Claim(diff_id, BlobDigest(Digest.parse(digest)), size, media_type, bool(verified))
            for digest, size, media_type, verified in rows
        )

    def layers(self, digest: BlobDigest) -> tuple[DiffId, ...]:
        """What layers a blob is said to be."""
        rows = self._database.all("SELECT diff_id FROM claims WHERE digest = ?", (str(digest),))
        return tuple(DiffId(Digest.parse(row[0])) for row in rows)

    def verify(self, diff_id: DiffId, digest: BlobDigest) -> None:
        self._database.write(
            "UPDATE claims SET verified = 1 WHERE diff_id = ? AND digest = ?", (str(diff_id), str(digest))
        )

    def delete(self, diff_id: DiffId, digest: BlobDigest) -> None:
        self._database.write("DELETE FROM claims WHERE diff_id = ? AND digest = ?", (str(diff_id), str(digest)))

    def forget_lost(self) -> None:
        """Claims about layers that are not in the store any more."""
        self._database.write(
            "DELETE FROM claims WHERE diff_id NOT IN (SELECT imported FROM layers WHERE imported IS NOT NULL)"
        )
