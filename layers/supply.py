"""Layers whose bytes were left where they came from: their blobs are fetched when somebody needs them.

The store knows digests, sizes and origins, and nothing of networks: who opens it says how a blob is fetched
(``connect``). What images claim of their layers is believed as far as digests go, which every transfer verifies; that
a blob is the layer it is said to be is seen when it is read, before that when images contradict each other.
"""

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from layers.blobs import Blobs
from layers.digest import BlobDigest, DiffId
from layers.errors import GivenUp, IntegrityError, NotInStore
from layers.pullrecords import Claim, ClaimTable, Origin, OriginTable
from layers.records import BlobRecord, LayerRecords
from layers.schema import Database

if TYPE_CHECKING:
    from layers.downloads import Download, Downloads, Fetch, Listener
    from layers.image import Descriptor


class Supply:
    """Of one open store. Thread-safe."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._layers = LayerRecords(database)
        self._blobs = blobs
        self.claims = ClaimTable(database)
        self.origins = OriginTable(database)
        self.stop = threading.Event()
        """Set to end transfers, and loops over the bytes of layers; there are none after that."""
        self.given_up: Callable[[], bool] = lambda: False
        """Whoever opened the store may have other reasons to end them."""
        self._fetch: Fetch | None = None
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._downloads: Downloads | None = None

    def check(self) -> None:
        """Called in loops over bytes, at least every few megabytes. Raises GivenUp when they are to end."""
        if self.stop.is_set() or self.given_up():
            raise GivenUp("the work on layers was given up")

    def connect(self, fetch: "Fetch") -> None:
        """Says how blobs are fetched that somebody needs and the store lacks."""
        self._fetch = fetch
        self._blobs.fetch_with(self._fetch_one)

    # Blobs

    def begin(self, digest: BlobDigest, size: int, listener: "Listener | None" = None) -> "Download | None":
        """Starts the transfer of a blob, or joins it; None when it is there. Raises NotInStore when nobody knows where
        it is to be had."""
        if self._blobs.has(digest):
            return None
        origins = self.origins.of(digest)
        if not origins:
            raise NotInStore(f"blob {digest} is not in the store", hint="load or build the image again")
        return self._open().begin(digest, size, origins, listener)

    def fetch(self, blobs: "Iterable[Descriptor]", listener: "Listener | None" = None) -> None:
        """Returns when all of these are in the store; fetches several at once. Raises NotInStore for one of which
        nobody knows where it is to be had, and what fetching fails with."""
        for download in [self.begin(blob.digest, blob.size, listener) for blob in blobs]:
            self._wait(download)

    def can_have(self, blob: "Descriptor") -> bool:
        """Whether a blob is here, or it is known where it is to be had."""
        return self._blobs.has(blob.digest) or bool(self.origins.of(blob.digest))

    def _fetch_one(self, digest: BlobDigest, size: int) -> None:
        self._wait(self.begin(digest, size))

    def _wait(self, download: "Download | None") -> None:
        if download is not None:
            self._open().wait(download)

    def _open(self) -> "Downloads":
        with self._lock:
            if self._downloads is None:
                if self._fetch is None:
                    raise NotInStore(
                        "the bytes of a layer are not in the store, and there is nobody to fetch them",
                        hint="'pybuild pull' fetches whole images",
                    )
                from layers.downloads import Downloads

                self._downloads = Downloads(self._fetch, self._settle, self._blobs.has, self.stop)
            return self._downloads

    def _settle(self, digest: BlobDigest) -> None:
        """A blob came: it is the blob of the layers it is said to be, unless another one is said to be that, too."""
        for diff_id in self.claims.layers(digest):
            with self._settling:
                if not self._rivals(diff_id, digest):
                    try:
                        kind = kind_of(self._blobs, diff_id, digest)
                    except IntegrityError:
                        continue  # told of when the layer is read
                    self._layers.add_blob(diff_id, BlobRecord(kind, 0, "", digest, self._blobs.size(digest)))

    def _rivals(self, diff_id: DiffId, digest: BlobDigest) -> bool:
        """Whether the blob has to be read before it is believed to be the layer."""
        claims = self.claims.of(diff_id)
        own = [claim for claim in claims if claim.digest == digest]
        if own and own[0].verified:
            return False
        return len(claims) > len(own) or any(blob.digest != digest for blob in self._layers.blobs(diff_id))

    # Layers

    def claim(self, diff_id: DiffId, blob: "Descriptor", origins: Iterable[Origin]) -> None:
        """An image's word of which blob a layer is, and where that is to be had. Does not make the layer."""
        self.doubt_rivals(diff_id, blob.digest)
        with self._database.transaction():
            self.note(diff_id, blob, origins)

    def note(self, diff_id: DiffId, blob: "Descriptor", origins: Iterable[Origin]) -> None:
        """As ``claim``, of what is known not to be contradicted; in a transaction of the caller."""
        self.claims.add(diff_id, blob.digest, blob.size, blob.media_type)
        for origin in origins:
            self.origins.remember(origin.host, origin.repository, blob.digest)

    def doubt_rivals(self, diff_id: DiffId, digest: BlobDigest) -> None:
        """Another image brought another blob for this layer, which nobody has read yet: if it is not the layer, it must
        not be used for an image that says so."""
        if self._blobs.has(digest) or self._layers.is_verified(diff_id):
            return
        for record in self._layers.blobs(diff_id):
            foreign = not record.writer and record.digest != digest and self._blobs.has(record.digest)
            if foreign and not self._is_true(diff_id, record):
                self._layers.forget_foreign_blobs(diff_id)
                self.claims.delete(diff_id, record.digest)

    def stored(self, diff_id: DiffId) -> BlobRecord | None:
        """The blob of a layer that is cheapest to read, of those that are here."""
        return next((blob for blob in self._layers.blobs(diff_id) if self._blobs.has(blob.digest)), None)

    def claimed(self, diff_id: DiffId) -> Claim | None:
        """What is known of the blob of a layer without having it: what its image says, if all images say the same."""
        claims = self.claims.of(diff_id)
        return claims[0] if claims and (claims[0].verified or len(claims) == 1) else None

    def begin_layers(self, diff_ids: Iterable[DiffId], listener: "Listener | None" = None) -> None:
        """Starts fetching what is not here, so that it comes while something else is done. Raises nothing: ``blob``
        does."""
        for diff_id in diff_ids:
            claims = self.claims.of(diff_id) if self.stored(diff_id) is None else ()
            if claims:
                try:
                    self.begin(claims[0].digest, claims[0].size, listener)
                except NotInStore:
                    continue

    def blob(self, diff_id: DiffId, listener: "Listener | None" = None) -> BlobRecord:
        """The blob of a layer, fetched if it is not here. Raises NotInStore and IntegrityError, and what fetching fails
        with."""
        found = self.stored(diff_id)
        problem: IntegrityError | None = None
        for claim in self.claims.of(diff_id) if found is None else ():
            digest = claim.digest
            self._wait(self.begin(digest, claim.size, listener))
            try:
                found = self._believed(claim)
                break
            except IntegrityError as error:
                problem = error
        if found is None:
            raise problem or NotInStore(
                f"the bytes of layer {diff_id} are not in the store", hint="load or build the image again"
            )
        return found

    def _believed(self, claim: Claim) -> BlobRecord:
        """The blob of a claim, which is here, read if others contradict. Raises IntegrityError for a false claim, which
        is then forgotten."""
        diff_id, digest = claim.diff_id, claim.digest
        with self._settling:
            stored = self.stored(diff_id)
            if stored is not None:
                return stored
            try:
                rivals = self._rivals(diff_id, digest)
                kind = kind_of(self._blobs, diff_id, digest)
                record = BlobRecord(kind, 0, "", digest, claim.size)
                if rivals:
                    self._read(diff_id, record)
            except IntegrityError:
                self.claims.delete(diff_id, digest)
                raise
            with self._database.transaction():
                if rivals:
                    self.claims.verify(diff_id, digest)
                self._layers.add_blob(diff_id, record)
            return record

    def _is_true(self, diff_id: DiffId, record: BlobRecord) -> bool:
        """Whether a stored blob is the layer it is recorded as."""
        try:
            self._read(diff_id, record)
        except IntegrityError:
            return False
        return True

    def _read(self, diff_id: DiffId, record: BlobRecord) -> None:
        from layers.tarstream import TarStream

        # Without a size it is not fetched: whoever waits here may hold what the end of a transfer needs.
        with TarStream(self._blobs.open(record.digest), record, diff_id) as stream:
            stream.drain()

    def close(self) -> None:
        self.stop.set()
        with self._lock:
            downloads, self._downloads = self._downloads, None
        if downloads is not None:
            downloads.close()


def kind_of(blobs: Blobs, diff_id: DiffId, digest: BlobDigest) -> str:
    """How a blob is compressed, by its bytes: media types have been seen to lie. An archive is uncompressed only if its
    digest says so. Raises IntegrityError for what cannot be the layer."""
    if str(digest) == str(diff_id):
        return "none"
    from layers.compress import MAGIC_LENGTH, detect

    with blobs.open(digest) as reader:
        kind = detect(reader.read(MAGIC_LENGTH))
    if kind == "none":
        raise IntegrityError(f"layer {diff_id} is not in blob {digest}, which is not compressed")
    return kind
