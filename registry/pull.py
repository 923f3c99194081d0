"""Images from a registry: a name and a platform become manifest and config; layers come when somebody needs them.

Nothing is believed before its digest and size are verified, and nothing is stored before that.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from layers import media
from layers.blobs import Blobs, Progress
from layers.digest import Digest
from layers.errors import IntegrityError, InvalidImage, PybuildError
from layers.gojson import MAX_DOCUMENT
from layers.image import Descriptor, ImageConfig, Platform
from layers.manifest import Index, Manifest, parse
from layers.partial import Partial
from layers.tuples import NamedTuple
from registry.errors import RegistryError, Stopped, UnknownName
from registry.parallel import run_all
from registry.reference import Reference
from registry.repository import Found, Repository
from registry.session import CONNECTIONS, Session

MAX_LAYERS = 1024
MAX_LAYER_SIZE = 256 << 30
"""Bytes; a registry that claims more is not believed."""
_MAX_DEPTH = 3
_PROGRESS_BYTES = 64 << 10
"""An attempt that brought less counts as one that brought nothing: else a byte at a time would do for ever."""
_KNOWN = frozenset({media.OCI_INDEX, media.OCI_MANIFEST, media.DOCKER_LIST, media.DOCKER_MANIFEST})
_CONFIGS = frozenset({media.OCI_CONFIG, media.DOCKER_CONFIG})

T = TypeVar("T")


class Stop(Protocol):
    """Set to end a transfer: an Event, or something like it."""

    def is_set(self) -> bool: ...


class PulledImage(NamedTuple):
    """``digest`` is what the name means: that of an index, if there is one, else the manifest's. ``config`` is the
    document whose digest is the image's id, ``parsed`` what it says. ``sources``: where the layers are to be had.
    """

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: bytes
    parsed: ImageConfig
    sources: tuple[Repository, ...]


class Puller:
    """Safe to use from many threads: a layer that several want is fetched once."""

    def __init__(self, session: Session, *, connections: int = CONNECTIONS) -> None:
        self._session = session
        self._connections = connections

    def lookup(self, reference: Reference) -> Digest:
        """What a tag means now, by a HEAD, which rate limits do not count. Raises UnknownName and other errors."""
        if reference.digest is not None:
            return reference.digest
        tag = reference.tagged().tag or ""

        def look(repository: Repository) -> Digest:
            found = repository.head_manifest(tag)
            if found is None or found.digest is None:
                # The GET says why there is none; and a registry may leave the digest out of a HEAD.
                found = repository.get_manifest(tag)
            assert found.digest is not None
            return found.digest

        return self._anywhere(self._session.sources(reference), look)[0]

    def resolve(self, reference: Reference, platform: Platform) -> PulledImage:
        """Manifest and config for ``platform``. Raises RegistryError, IntegrityError, InvalidImage."""
        sources = self._session.sources(reference)
        tagged = reference.tagged()

        def get(repository: Repository) -> PulledImage:
            found = repository.get_manifest(reference.digest or tagged.tag or "")
            assert found.digest is not None
            manifest = _manifest(repository, reference, found, platform)
            _check(manifest, reference)
            config = repository.get_blob(manifest.config.digest, manifest.config.size, "a config")
            parsed = ImageConfig.parse(config)
            if len(parsed.diff_ids) != len(manifest.layers):
                raise InvalidImage(
                    f"{reference.familiar}: its config has {len(parsed.diff_ids)} layers, "
                    f"its manifest {len(manifest.layers)}"
                )
            return PulledImage(reference, found.digest, manifest, config, parsed, sources)

        image, source = self._anywhere(sources, get)
        others = tuple(other for other in sources if other is not source)
        return image._replace(sources=(source, *others))

    def fetch(
        self,
        image: PulledImage,
        layers: Sequence[Descriptor],
        blobs: Blobs,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Puts ``layers`` of ``image`` into ``blobs``, several at once; those that are there are not asked for.

        ``progress`` is told, from several threads, of bytes as they come, and with a negative number of bytes that
        were in vain. Setting ``stop`` ends it soon, with an exception. Raises RegistryError, IntegrityError.
        """
        stopped = threading.Event() if stop is None else stop
        wanted = list(dict.fromkeys(layer for layer in layers if not blobs.has(layer.digest)))
        tell: Progress = progress or (lambda _: None)
        jobs = [partial(self.bring, image.sources, layer, blobs, tell, stopped) for layer in wanted]
        if jobs:
            run_all(jobs, self._connections, stopped)

    def bring(
        self,
        sources: Sequence[Repository],
        blob: Descriptor,
        blobs: Blobs,
        progress: Progress,
        stop: Stop,
    ) -> None:
        """Puts one blob into ``blobs``, from the first of ``sources`` that has it; what an earlier attempt left is
        taken up. Progress, stopping and errors as with ``fetch``."""
        watched = _Watched(progress, stop)
        self._anywhere(sources, lambda source: self._download(source, blob, blobs, watched))

    def _anywhere(self, sources: Sequence[Repository], use: Callable[[Repository], T]) -> tuple[T, Repository]:
        """From the first source that has it. The error is the last one's, which is the registry's itself."""
        problems: list[str] = []
        for repository in sources[:-1]:
            try:
                return use(repository), repository
            except (RegistryError, IntegrityError, InvalidImage) as error:
                problems.append(f"mirror {repository.client.name}: {error.message}")
        try:
            return use(sources[-1]), sources[-1]
        except PybuildError as error:
            if problems:
                error.hint = "; ".join([*([error.hint] if error.hint else []), *problems])
            raise

    def _download(self, source: Repository, layer: Descriptor, blobs: Blobs, watched: "_Watched") -> None:
        with blobs.partial(layer.digest, watched.check) as part:
            if part is None:
                watched.moved(layer.size)
                return
            if part.size > layer.size:
                part.restart()
            watched.moved(part.size)
            try:
                before = part.size
                self._complete(source, layer, part, watched)
                if before and not part.complete:
                    # What was left of an earlier attempt may be what is wrong: a power cut, another source.
                    _give_up(part, watched)
                    self._complete(source, layer, part, watched)
                if not part.complete:
                    raise IntegrityError(
                        f"the bytes that {source.name} sent for the layer {layer.digest} have the digest {part.found}",
                        hint="the registry, or something before it, damages what it serves: nothing of it was kept",
                    )
                part.commit()
            except IntegrityError:
                _give_up(part, watched)
                raise
            except BaseException:
                watched.moved(-part.size)
                raise

    def _complete(self, source: Repository, layer: Descriptor, part: Partial, watched: "_Watched") -> None:
        """Fetches what is missing; a connection that breaks is taken up again."""
        clock, patience = self._session.pace.clock, self._session.pace.patience
        failures = 0
        while True:
            before = part.size
            problem = _stream(source, layer, part, watched)
            if problem is None:
                return
            failures = 0 if part.size - before >= _PROGRESS_BYTES else failures + 1
            if failures >= patience.attempts:
                raise problem
            watched.check()
            clock.sleep(patience.wait(failures, clock.jitter()))


def _give_up(part: Partial, watched: "_Watched") -> None:
    watched.moved(-part.size)
    part.restart()


class _Watched(NamedTuple):
    """Where the bytes of a transfer are told of, and where it is stopped."""

    moved: Progress
    stop: Stop

    def check(self) -> None:
        if self.stop.is_set():
            raise Stopped


def _stream(
    source: Repository,
    layer: Descriptor,
    part: Partial,
    watched: _Watched,
) -> PybuildError | None:
    """Takes up where ``part`` stands. Returns what broke it off if trying again may help, None at the end."""
    if part.size == layer.size and layer.size:
        return None
    try:
        response, begin = source.open_blob(layer.digest, part.size)
    except RegistryError as error:
        if error.where.status == 416 and part.size:
            raise _cut_short(source, layer, part) from error
        if error.temporary:
            return error
        raise
    skip = part.size - begin
    try:
        for data in response.chunks():
            watched.check()
            new = data[skip:] if skip else data
            skip = max(0, skip - len(data))
            if part.size + len(new) > layer.size:
                raise IntegrityError(
                    f"{source.name} sent more than the {layer.size} bytes of the layer {layer.digest}",
                    hint="the registry is broken or hostile: nothing of it was kept",
                )
            part.write(new)
            watched.moved(len(new))
    except RegistryError as error:
        if not error.temporary:
            raise
        return error
    finally:
        response.close()
    return None if part.size == layer.size else _cut_short(source, layer, part)


def _cut_short(source: Repository, layer: Descriptor, part: Partial) -> IntegrityError:
    return IntegrityError(
        f"{source.name} sent {part.size} of the {layer.size} bytes of the layer {layer.digest}",
        hint="the registry's copy is cut short: push the image again",
    )


def _manifest(repository: Repository, reference: Reference, found: Found, platform: Platform) -> Manifest:
    """Down from an index to the manifest for ``platform``."""
    seen = set()
    for _ in range(_MAX_DEPTH + 1):
        document = _parsed(reference, found)
        if isinstance(document, Manifest):
            return document
        seen.add(found.digest)
        fitting = document.choose(platform).manifests
        if not fitting:
            raise _no_platform(reference, document, platform)
        chosen = fitting[0]
        if chosen.digest in seen:
            raise InvalidImage(f"{reference.familiar}: the index {chosen.digest} contains itself")
        found = repository.get_manifest(chosen.digest)
        if found.size != chosen.size:
            raise IntegrityError(
                f"{repository.name}: the manifest {chosen.digest} has {found.size} bytes, not {chosen.size}"
            )
    raise InvalidImage(f"{reference.familiar}: indexes within indexes, more than {_MAX_DEPTH} deep")


def _parsed(reference: Reference, found: Found) -> Manifest | Index:
    if found.media_type.startswith("application/vnd.docker.distribution.manifest.v1"):
        raise InvalidImage(
            f"{reference.familiar} is an image of schema 1, which Docker gave up in 2019",
            hint="pull and push it with an older tool, which converts it, or use a newer tag",
        )
    return parse(found.raw, found.media_type if found.media_type in _KNOWN else "")


def _no_platform(reference: Reference, index: Index, platform: Platform) -> UnknownName:
    offered = sorted({str(one.platform) for one in index.manifests if one.platform and one.platform.os != "unknown"})
    return UnknownName(
        f"{reference.familiar} has no image for {platform}",
        hint=f"it has {', '.join(offered[:20])}: choose one with --platform" if offered else "it has no images at all",
    )


def _check(manifest: Manifest, reference: Reference) -> None:
    """What can be known before anything else is fetched. Raises InvalidImage."""
    if manifest.config.media_type not in _CONFIGS:
        raise InvalidImage(
            f"{reference.familiar} is no container image: its config is of type {manifest.config.media_type[:100]!r}"
        )
    if manifest.config.size > MAX_DOCUMENT:
        raise InvalidImage(f"{reference.familiar}: a config of {manifest.config.size} bytes is too large")
    if len(manifest.layers) > MAX_LAYERS:
        raise InvalidImage(f"{reference.familiar} has {len(manifest.layers)} layers, more than {MAX_LAYERS}")
    for layer in manifest.layers:
        if not media.is_layer(layer.media_type):
            raise InvalidImage(
                f"{reference.familiar}: layers of type {layer.media_type[:100]!r} cannot be used",
                hint="layers are tar archives: plain, gzip or zstd; foreign ones, of Windows, are not supported",
            )
        if layer.size > MAX_LAYER_SIZE:
            raise InvalidImage(f"{reference.familiar}: a layer of {layer.size} bytes is too large")
