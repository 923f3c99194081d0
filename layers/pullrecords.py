"""What the store knows of registries: what names meant there when they were last looked up, and who has which blob."""

from collections.abc import Sequence
from typing import NamedTuple

from layers.digest import BlobDigest, Digest
from layers.schema import Database


class PullRecord(NamedTuple):
    """``digest`` is what a name meant (an index's or a manifest's) ``checked`` seconds after 1970; ``image`` its id."""

    digest: Digest
    image: Digest
    checked: float


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


class OriginTable:
    """Which repositories of which registries have a blob: from there it can be mounted instead of sent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(self, host: str, digest: BlobDigest) -> Sequence[str]:
        rows = self._database.all(
            "SELECT repository FROM origins WHERE digest = ? AND host = ? ORDER BY number", (str(digest), host)
        )
        return tuple(str(row[0]) for row in rows)

    def remember(self, host: str, repository: str, digest: BlobDigest) -> None:
        if repository not in self.repositories(host, digest):
            self._database.write(
                "INSERT OR IGNORE INTO origins (digest, host, repository) VALUES (?, ?, ?)",
                (str(digest), host, repository),
            )

    def forget_lost(self) -> None:
        """What is remembered of blobs of which the store has no record any more."""
        self._database.write("DELETE FROM origins WHERE digest NOT IN (SELECT digest FROM blobs)")
