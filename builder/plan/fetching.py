"""Blobs of layers that were left at their registry: fetched from there when a step or an output needs them.

The network is imported and connected when the first one is.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from builder.errors import Cancelled
from builder.events import Emit, Transfer
from builder.plan.pulling import Registries
from layers.digest import BlobDigest
from layers.errors import PybuildError
from layers.image import Descriptor, ImageConfig
from registry.reference import Reference

if TYPE_CHECKING:
    from layers.blobs import Progress
    from layers.downloads import Listener
    from layers.pullrecords import Origin
    from layers.store import Store


def told(emit: Emit, clock: Callable[[], float], step: int | None) -> "Listener":
    """What a store tells of blobs on their way, as events of the step that waits for them."""

    def tell(digest: BlobDigest, done: int, total: int) -> None:
        emit(Transfer(clock(), step, f"layer {digest.algorithm}:{digest.hex[:12]}", done, total))

    return tell


class _Either:
    """A transfer ends when the build is cancelled, or when the store is told to end all of them."""

    def __init__(self, *events: threading.Event) -> None:
        self._events = events

    def is_set(self) -> bool:
        return any(event.is_set() for event in self._events)


class Fetcher:
    """What a store's supply is connected to. ``registries`` None: nobody may be asked."""

    def __init__(self, store: "Store", registries: Registries | None) -> None:
        self._store = store
        self._registries = registries

    def __call__(
        self,
        digest: BlobDigest,
        size: int,
        origins: "Sequence[Origin]",
        progress: "Progress",
        stop: threading.Event,
    ) -> None:
        """Raises PybuildError that names image, layer and origin."""
        if self._registries is None:
            raise PybuildError(
                f"{self._name(digest, origins)} is not in the store, and no registry may be asked for it",
                hint="leave out --pull=never, or fetch the whole image before: pybuild pull NAME",
                code="not-in-store",
            )
        problem: PybuildError | None = None
        for origin in origins:
            try:
                self._fetch(self._registries, origin, (digest, size), progress, stop)
            except Cancelled:
                raise
            except PybuildError as error:
                problem = problem or error
            else:
                return
        if problem is not None:
            raise PybuildError(
                f"{self._name(digest, origins)} is not in the store, and cannot be fetched: {problem.message}",
                hint="; ".join(filter(None, (problem.hint, "or 'pybuild load' the image from a file"))),
                code=problem.code,
            ) from problem

    def _fetch(
        self,
        registries: Registries,
        origin: "Origin",
        blob: tuple[BlobDigest, int],
        progress: "Progress",
        stop: threading.Event,
    ) -> None:
        from layers.media import OCI_LAYER
        from registry.errors import Stopped
        from registry.pull import Puller

        session = registries.session()
        reference = Reference(origin.host, origin.repository, digest=blob[0])
        try:
            Puller(session).bring(
                session.sources(reference),
                Descriptor(OCI_LAYER, *blob),
                self._store.blobs,
                progress,
                _Either(stop, registries.cancelled),
            )
        except Stopped as error:
            raise Cancelled("the build was cancelled") from error

    def _name(self, digest: BlobDigest, origins: "Sequence[Origin]") -> str:
        """The layer, with the image it is of: the name of one of the store, else the repository it comes from."""
        layers = set(self._store.supply.claims.layers(digest))
        images = [one for one in self._store.images() if layers.intersection(ImageConfig.parse(one.config).diff_ids)]
        names = [name for image in images for name in image.names]
        places = [Reference(origin.host, origin.repository).familiar for origin in origins]
        image = next((Reference.parse(name).familiar for name in names), places[0])
        where = "" if places[0] == image else f" (from {places[0]})"
        return f"layer {digest.algorithm}:{digest.hex[:12]} of {image}{where}"
