"""Images from registries: looked up as the pull policy says, and kept in the store under their names. A look-up brings
manifest and config; layers stay where they are until somebody needs them (``fetching``).

The network is imported and connected when it is first needed: a build whose images are in the store never does.
"""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from builder.events import Emit, Phase, Transfer, Warned
from layers.digest import BlobDigest, Digest, Rootfs
from layers.errors import PybuildError
from layers.image import ImageConfig, Platform
from layers.pullrecords import Origin, PullRecord
from layers.tuples import NamedTuple
from registry.reference import Reference

if TYPE_CHECKING:
    from types import TracebackType

    from layers.store import Store, StoredImage
    from registry.pull import PulledImage, Puller
    from registry.session import Session

Connect = Callable[[], "Session"]
_REPORT_EVERY = 1 << 20


class Registries:
    """The registries of one build or command: one session, opened when it is first needed. Thread-safe.

    Setting ``cancelled`` ends transfers.
    """

    def __init__(self, connect: Connect, cancelled: threading.Event) -> None:
        self.cancelled = cancelled
        self._connect = connect
        self._lock = threading.Lock()
        self._session: Session | None = None

    def session(self) -> "Session":
        """Raises SettingsError and CredentialError."""
        with self._lock:
            if self._session is None:
                self._session = self._connect()
            return self._session

    def close(self) -> None:
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: "TracebackType | None"
    ) -> None:
        self.close()


class Bytes:
    """Adds up the bytes of a transfer, told from several threads, and reports every megabyte."""

    def __init__(self, what: str, total: int | None, emit: Emit, clock: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._emit = emit
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._reported = 0
        self._blobs: dict[BlobDigest, int] = {}

    def moved(self, count: int) -> None:
        """Negative for bytes that were in vain."""
        with self._lock:
            self._done += count
            if abs(self._done - self._reported) >= _REPORT_EVERY or self._done == self._total:
                self._reported = self._done
                self._emit(Transfer(self._clock(), None, self._what, self._done, self._total))

    def of_blob(self, digest: BlobDigest, done: int, total: int) -> None:
        """A listener of ``Supply.fetch``: of each blob, how much of it is there."""
        with self._lock:
            count = done - self._blobs.get(digest, 0)
            self._blobs[digest] = done
        if count:
            self.moved(count)

    def end(self) -> None:
        """All of it is where it should be, some of it perhaps without having been moved."""
        with self._lock:
            if self._total is not None:
                self._done = self._total
            self._emit(Transfer(self._clock(), None, self._what, self._done, self._total))


class Reports(NamedTuple):
    """Where progress goes, and the clock it is dated with."""

    emit: Emit
    clock: Callable[[], float]


class Known(NamedTuple):
    """An image of the store. ``digest`` is what its name meant at the registry ``looked_up`` seconds after 1970."""

    image: "StoredImage"
    digest: Digest | None = None
    looked_up: float | None = None


class Images:
    """Images by reference, from the store or a registry. ``registries`` None: the store alone.

    ``own`` is the platform whose images get names in the store; others are known by what their names meant.
    """

    def __init__(
        self, store: "Store", registries: Registries | None, own: Platform, reports: Reports, policy: str = "missing"
    ) -> None:
        self._store = store
        self._registries = registries if policy != "never" else None
        self._own = own
        self._reports = reports
        self._policy = policy
        self._puller: Puller | None = None

    def asks(self, reference: Reference, platform: Platform) -> bool:
        """Whether ``find`` will ask a registry."""
        return self._registries is not None and (
            self._policy != "missing" or self._at_hand(reference.tagged(), platform) is None
        )

    def find(self, reference: Reference, platform: Platform) -> Known | None:
        """None when the store has none and no registry may be asked. Raises RegistryError, IntegrityError..."""
        reference = reference.tagged()
        known = self._at_hand(reference, platform)
        if self._registries is None or (known is not None and self._policy == "missing"):
            return known
        if known is None:
            return self.pull(reference, platform)
        return self._newest(reference, platform, known)

    def pull(self, reference: Reference, platform: Platform) -> Known:
        """From the registry, whatever the store has: manifest and config."""
        reference = reference.tagged()
        pulled = self._get_puller().resolve(reference, platform)
        origins = _origins(reference, pulled)
        image = self._store.image(str(Digest.of(pulled.config)))
        layers = zip(pulled.parsed.diff_ids, pulled.manifest.layers, strict=True)
        if image is None:
            rootfs: Rootfs = ()
            for diff_id, layer in layers:
                rootfs += (self._store.import_layer(diff_id, layer, rootfs, origins),)
            image = self._store.put_image(pulled.config, rootfs, (None,) * len(rootfs), ())
        else:
            for diff_id, layer in layers:
                self._store.supply.claim(diff_id, layer, origins)
        self._store.pulls.keep_manifest(image.id, pulled.manifest.media_type, pulled.manifest.raw)
        if platform == self._own:
            self._store.tag(image.id, store_name(reference))
        return self._remembered(reference, platform, image, pulled.digest)

    def complete(self, reference: Reference, known: Known) -> None:
        """Fetches what the store lacks of an image."""
        from layers.manifest import parse_manifest

        kept = self._store.pulls.manifest(known.image.id)
        layers = parse_manifest(kept[1], kept[0]).layers if kept is not None else ()
        missing = {layer.digest: layer.size for layer in layers if not self._store.blobs.has(layer.digest)}
        if not missing:
            return
        reports = self._reports
        name = reference.tagged().familiar
        reports.emit(Phase(reports.clock(), None, "pull", True, name))
        moving = Bytes(f"pull {name}", sum(missing.values()), reports.emit, reports.clock)
        self._store.supply.fetch(layers, moving.of_blob)
        moving.end()
        reports.emit(Phase(reports.clock(), None, "pull", False, name))

    def _newest(self, reference: Reference, platform: Platform, known: Known) -> Known:
        """A lookup, which costs no transfer when the name means what it meant."""
        from registry.errors import RegistryError

        try:
            digest = self._get_puller().lookup(reference)
        except RegistryError as error:
            if self._policy != "newer":
                raise
            message = f"the image {reference.familiar} of the store is used: {error.message}"
            self._reports.emit(Warned(self._reports.clock(), None, message))
            return known
        if digest == known.digest:
            return self._remembered(reference, platform, known.image, digest)
        return self.pull(reference, platform)

    def _at_hand(self, reference: Reference, platform: Platform) -> Known | None:
        known = self._stored(reference, platform)
        if self._registries is not None and known is not None and not self._fits(known, platform):
            return None
        return known

    def _fits(self, known: Known, platform: Platform) -> bool:
        """Of images of other platforms than ours, the name in the store says nothing."""
        if platform == self._own:
            return True
        there = ImageConfig.parse(known.image.config).platform.normalized()
        return (there.os, there.architecture) == (platform.os, platform.architecture)

    def _stored(self, reference: Reference, platform: Platform) -> Known | None:
        record = self._store.pulls.find(store_name(reference), str(platform))
        recorded = self._store.image(str(record.image)) if record is not None else None
        if reference.digest is not None or (platform != self._own and recorded is not None):
            image = recorded
        else:
            image = self._store.image(str(reference))
        if image is None:
            return None
        if record is None or record.image != image.id:
            # Built here or loaded, or the name was given to another image since.
            return Known(image)
        return Known(image, record.digest, record.checked)

    def _remembered(self, reference: Reference, platform: Platform, image: "StoredImage", digest: Digest) -> Known:
        now = self._reports.clock()
        names = dict.fromkeys((store_name(reference), f"{reference.name}@{digest}"))
        self._store.pulls.put(tuple(names), str(platform), PullRecord(digest, image.id, now))
        return Known(image, digest, now)

    def _get_puller(self) -> "Puller":
        if self._puller is None:
            from registry.pull import Puller

            self._puller = Puller(self._online().session())
        return self._puller

    def _online(self) -> Registries:
        if self._registries is None:
            raise PybuildError("no registry may be asked", hint="leave out --pull=never")
        return self._registries


def store_name(reference: Reference) -> str:
    """What an image is called in the store. A digest says it all: a tag beside it is a remark."""
    return str(reference._replace(tag=None) if reference.digest is not None else reference)


def _origins(reference: Reference, pulled: "PulledImage") -> tuple[Origin, ...]:
    """Where layers are to be had: the repository that was asked for, and the mirror that answered, for pushes to it."""
    source = pulled.sources[0]
    found = (Origin(reference.host, reference.repository), Origin(source.client.name, source.repository))
    return tuple(dict.fromkeys(found))
