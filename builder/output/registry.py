"""``--push``: whether it is allowed is asked before the build, and layers go as they are packed."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from builder.errors import Cancelled
from builder.output.archive import output_image
from builder.output.target import Finished, Progress
from builder.plan.pulling import Registries
from layers.compress import Compression
from layers.errors import PybuildError
from layers.image import Descriptor
from layers.ocilayout import OutputImage
from layers.store import Store
from layers.tuples import NamedTuple
from registry.push import Document, Origins, Push, bytes_blob
from registry.reference import Reference
from registry.session import CONNECTIONS
from registry.upload import Blob

_LISTEN_S = 0.2
"""How often a push looks whether it is cancelled."""
_PATIENCE_S = 5.0
"""How long uploads that are given up may take to notice."""


class _Place(NamedTuple):
    """A repository, and what of the request goes there."""

    references: tuple[Reference, ...]
    push: Push


class RegistryPush:
    """To ``names`` (full ones), several repositories and registries at once. A Target and a Receiver."""

    def __init__(
        self, names: Sequence[str], registries: Registries, origins: Origins, compression: Compression
    ) -> None:
        self.compression = compression
        self._registries = registries
        self._origins = origins
        self._references = tuple(Reference.parse(name) for name in names)
        self._places: dict[str, list[_Place]] = {}
        self._pool = ThreadPoolExecutor(CONNECTIONS, "pybuild-push")
        self._begun: list[Future[None]] = []
        self._lock = threading.Lock()
        self._aborted = False
        self._sealed: list[Reference] = []
        """What is there, manifest and all."""

    def check(self) -> None:
        """Raises LoginNeeded, WrongCredential, Denied, and whatever else keeps the registries from being asked."""
        session = self._registries.session()
        groups: dict[tuple[str, str], list[Reference]] = {}
        for reference in self._references:
            groups.setdefault((reference.host, reference.repository), []).append(reference)
        for (host, _), references in groups.items():
            push = Push(session.target(references[0]), self._origins, session.pace)
            push.check()
            self._places.setdefault(host, []).append(_Place(tuple(references), push))

    def receive(self, blob: Descriptor, store: Store) -> None:
        """To one repository of each registry: into the others it is mounted from there."""
        with self._lock:
            if not self._aborted:
                first = [places[0].push for places in self._places.values()]
                self._begun += [self._pool.submit(push.send, _stored(blob, store)) for push in first]

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor:
        made = output_image(image, store, self.compression)
        self.send(made, store, progress)
        return made.descriptor

    def send(self, image: OutputImage, store: Store, progress: Progress) -> None:
        """Every registry is tried; then the first failure is raised, whose hint names the others and what was pushed.
        Nothing gets a name before all of it is there."""
        with ThreadPoolExecutor(max(1, len(self._places)), "push-registry") as pool:
            made = [pool.submit(self._to_registry, places, image, store, progress) for places in self._places.values()]
            try:
                while wait(made, _LISTEN_S).not_done:
                    if self._registries.cancelled.is_set():
                        raise Cancelled("the push was cancelled")
            except BaseException:
                self.abort()
                raise
        self._pool.shutdown()
        problems = [problem for future in made if (problem := future.exception()) is not None]
        if problems:
            raise _first(problems, self._sealed)

    def abort(self) -> None:
        with self._lock:
            self._aborted = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        for _ in range(2):
            # Once to stop what is under way, once more for the sessions it opened meanwhile.
            for place in self._all():
                place.push.abort()
            wait([future for future in self._begun if not future.cancelled()], _PATIENCE_S)

    def _all(self) -> Iterator[_Place]:
        for places in self._places.values():
            yield from places

    def _to_registry(self, places: list[_Place], image: OutputImage, store: Store, progress: Progress) -> None:
        """One repository after the other, so that the later ones mount."""
        config = bytes_blob(image.config, image.manifest.config.media_type)
        blobs = [*(_stored(layer, store) for layer in image.manifest.layers), config]
        document = Document(image.manifest.raw, image.manifest.media_type)
        for place in places:
            if self._aborted:
                raise Cancelled("the push was given up")
            total = sum(blob.descriptor.size for blob in blobs)
            moving = progress.part(f"push {place.references[0].familiar}", total)
            try:
                place.push.send_all(blobs, CONNECTIONS, moving.moved)
                place.push.seal([document], [reference.tag for reference in place.references if reference.tag])
                self._sealed += place.references
                moving.end()
            except BaseException:
                place.push.abort()
                raise


def _first(problems: Sequence[BaseException], sealed: Sequence[Reference]) -> BaseException:
    """It may be long until whoever reads one message finds out about the rest."""
    first = problems[0]
    if isinstance(first, PybuildError):
        more = [f"besides: {other.message}" for other in problems[1:] if isinstance(other, PybuildError)]
        more += [f"pushed all the same: {', '.join(name.familiar for name in sealed)}"] if sealed else []
        first.hint = "; ".join(filter(None, (first.hint, *more))) or None
    return first


def _stored(blob: Descriptor, store: Store) -> Blob:
    return Blob(blob, lambda: store.blobs.open(blob.digest, blob.size))
