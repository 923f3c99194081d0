"""Images out of layouts and archives into the store: OCI layouts (directory or tar) and what ``docker save`` writes.

Everything is verified before a record of it is made: digests and sizes of what has them, the diff id of layers that
come without a digest. What an image lacks is found before its first blob is stored.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from layers import media
from layers.compress import detect, open_reader
from layers.digest import BlobDigest, DiffId, Digest, Rootfs
from layers.dockerarchive import MANIFEST_FILE, SavedImage, parse_saved
from layers.errors import IntegrityError, InvalidImage
from layers.image import Descriptor, ImageConfig, Platform
from layers.imagefiles import ImageFiles, open_image_files, read_document
from layers.manifest import Index, Manifest, parse, parse_index
from layers.names import full_name
from layers.ocilayout import IMAGE_NAME, INDEX_FILE, REF_NAME, blob_path
from layers.store import Store
from layers.tuples import NamedTuple

_REFERENCE_TYPE = "vnd.docker.reference.type"
"""Annotation of manifests that are not images but attestations of one (BuildKit)."""
_DEPTH = 4
"""Indexes inside indexes that are followed."""
_SNIFF = 512
_CHUNK = 1 << 20


class LoadedImage(NamedTuple):
    """``names`` are full names with tags; ``platform`` is the image's own."""

    id: Digest
    names: tuple[str, ...]
    platform: Platform


class _Blob(NamedTuple):
    """A layer in the archive: its file, what its bytes must be (a Docker archive may not say) and its media type."""

    name: str
    digest: BlobDigest | None
    size: int
    media_type: str | None


class _Found(NamedTuple):
    raw_config: bytes
    layers: tuple[_Blob, ...]
    names: tuple[str, ...]

    @property
    def config(self) -> ImageConfig:
        return ImageConfig.parse(self.raw_config)


def load(
    store: Store, path: str, *, reference: str | None = None, platform: Platform, named: bool = True
) -> list[LoadedImage]:
    """Stores the images in ``path`` (a directory, a tar file, "-" for standard input) and gives them their names.

    ``reference`` picks one: a tag, a full name or a manifest's digest; ``platform`` picks from images of several.
    Without ``named`` the names in the archive are left where they point.
    Raises InvalidImage, IntegrityError, and OSError for what cannot be read.
    """
    with open_image_files(path) as files:
        found = _find(files, path, reference, platform)
        if not found:
            wanted = f" called {reference}" if reference else ""
            raise InvalidImage(f"{path} holds no image{wanted} for {platform}")
        for image in found:
            _check_layers(files, image)
        return [_store(store, files, image if named else image._replace(names=())) for image in found]


def _find(files: ImageFiles, path: str, reference: str | None, platform: Platform) -> list[_Found]:
    if files.size(INDEX_FILE) is not None:
        return list(_from_layout(files, reference, platform))
    if files.size(MANIFEST_FILE) is not None:
        saved = parse_saved(read_document(files, MANIFEST_FILE))
        return [_from_saved(files, image) for image in saved if _called(image, reference)]
    raise InvalidImage(
        f"{path} is neither an OCI layout nor an archive of 'docker save'",
        hint=f"a layout has {INDEX_FILE}, an archive {MANIFEST_FILE}",
    )


# OCI layouts


def _from_layout(files: ImageFiles, reference: str | None, platform: Platform) -> Iterator[_Found]:
    """Entries for one manifest under several names are one image."""
    index = parse_index(read_document(files, INDEX_FILE), media.OCI_INDEX)
    chosen: dict[BlobDigest, _Found] = {}
    for entry in index.manifests:
        annotations = dict(entry.annotations)
        if _REFERENCE_TYPE in annotations or (reference is not None and not _referred(entry, annotations, reference)):
            continue
        manifest = _manifest(files, entry, platform, _DEPTH)
        digest = manifest.descriptor.digest
        found = chosen.get(digest) or _from_manifest(files, manifest)
        chosen[digest] = found._replace(names=(*found.names, *_names(annotations)))
    inner = _by_digest(files, reference) if reference is not None and not chosen else None
    if inner is not None:
        yield _from_manifest(files, _manifest(files, inner, platform, _DEPTH))
    yield from chosen.values()


def _by_digest(files: ImageFiles, reference: str) -> Descriptor | None:
    """What the index of the layout does not list itself: the image for one platform, below another index."""
    try:
        digest = BlobDigest(Digest.parse(reference))
    except ValueError:
        return None
    size = files.size(blob_path(digest))
    return None if size is None else Descriptor("", digest, size)


def _referred(entry: Descriptor, annotations: Mapping[str, str], reference: str) -> bool:
    given = {annotations.get(IMAGE_NAME), annotations.get(REF_NAME)} - {None}
    return reference in {str(entry.digest), *given} or _same(reference, given)


def _same(reference: str, names: Iterable[str | None]) -> bool:
    """Whether one of the names is the one meant: ``debian`` for ``docker.io/library/debian:latest``."""
    try:
        wanted = full_name(reference)
    except ValueError:
        return False
    return wanted in (_full(name) for name in names if name is not None)


def _full(name: str) -> str:
    try:
        return full_name(name)
    except ValueError as error:
        raise InvalidImage(f"{error} (the archive calls one so)") from error


def _names(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """containerd's annotation holds a name; the OCI one may, or only a tag, which names nothing by itself."""
    name = annotations.get(IMAGE_NAME) or annotations.get(REF_NAME, "")
    return (_full(name),) if "/" in name or ":" in name or IMAGE_NAME in annotations else ()


def _manifest(files: ImageFiles, entry: Descriptor, platform: Platform, depth: int) -> Manifest:
    document = parse(_verified_document(files, entry), entry.media_type)
    if not isinstance(document, Index):
        return document
    fitting = document.choose(platform).manifests
    if not fitting:
        offered = ", ".join(sorted({str(item.platform) for item in document.manifests}))
        raise InvalidImage(f"no image for {platform} in index {entry.digest}", hint=f"it has: {offered}")
    if not depth:
        raise InvalidImage(f"index {entry.digest} stands inside too many others")
    return _manifest(files, fitting[0], platform, depth - 1)


def _verified_document(files: ImageFiles, descriptor: Descriptor) -> bytes:
    raw = read_document(files, blob_path(descriptor.digest))
    digest = hashlib.new(descriptor.digest.algorithm, raw, usedforsecurity=True).hexdigest()
    if len(raw) != descriptor.size or digest != descriptor.digest.hex:
        raise IntegrityError(f"the bytes of {descriptor.digest} are not those its name says")
    return raw


def _from_manifest(files: ImageFiles, manifest: Manifest) -> _Found:
    for layer in manifest.layers:
        if not media.is_layer(layer.media_type):
            raise InvalidImage(f"{layer.media_type} is not a kind of layer pybuild can use")
    return _Found(
        raw_config=_verified_document(files, manifest.config),
        layers=tuple(
            _Blob(blob_path(layer.digest), layer.digest, layer.size, layer.media_type) for layer in manifest.layers
        ),
        names=(),
    )


# docker save


def _called(image: SavedImage, reference: str | None) -> bool:
    return reference is None or _same(reference, image.tags)


def _from_saved(files: ImageFiles, image: SavedImage) -> _Found:
    raw = read_document(files, image.config)
    if image.config_digest is not None and Digest.of(raw) != image.config_digest:
        raise IntegrityError(f"the bytes of {image.config} are not those its name says")
    layers = tuple(
        _Blob(name, digest, files.size(name) or 0, None)
        for name, digest in zip(image.layers, image.layer_digests, strict=True)
    )
    return _Found(raw, layers, tuple(_full(tag) for tag in image.tags))


# into the store


def _check_layers(files: ImageFiles, image: _Found) -> None:
    expected = len(image.config.diff_ids)
    if len(image.layers) != expected:
        raise InvalidImage(f"an image with {len(image.layers)} layers has a config that lists {expected}")
    for layer in image.layers:
        size = files.size(layer.name)
        if size is None:
            raise InvalidImage(f"layer {layer.name} is missing")
        if size != layer.size:
            raise IntegrityError(f"layer {layer.name} has {size} bytes, not {layer.size}")


def _store(store: Store, files: ImageFiles, image: _Found) -> LoadedImage:
    """Blobs first, records last: an error in between leaves blobs nobody refers to, which pruning removes."""
    config = image.config
    blobs = [_put(store, files, layer, diff_id) for layer, diff_id in zip(image.layers, config.diff_ids, strict=True)]
    rootfs: Rootfs = ()
    for diff_id, blob in zip(config.diff_ids, blobs, strict=True):
        rootfs += (store.import_layer(diff_id, blob, rootfs),)
    store.tree(rootfs, contents=False)  # read once: a damaged layer is found here, and no build has to index it
    stored = store.put_image(image.raw_config, rootfs, (None,) * len(rootfs), image.names)
    return LoadedImage(stored.id, image.names, config.platform)


def _put(store: Store, files: ImageFiles, layer: _Blob, diff_id: DiffId) -> Descriptor:
    if layer.digest is not None and layer.media_type is not None:
        if not store.blobs.has(layer.digest):
            with files.open(layer.name) as file:
                store.blobs.put(file.read, layer.digest, size=layer.size)
        return Descriptor(layer.media_type, layer.digest, layer.size)
    with files.open(layer.name) as file:
        kind = detect(file.read(_SNIFF))
    expected = BlobDigest(diff_id) if kind == "none" else layer.digest
    if kind != "none":
        _check_diff_id(files, layer, diff_id)
    with files.open(layer.name) as file:
        digest, size = store.blobs.put(file.read, expected, size=layer.size)
    return Descriptor(media.oci_layer(kind), digest, size)


def _check_diff_id(files: ImageFiles, layer: _Blob, diff_id: DiffId) -> None:
    content = hashlib.new(diff_id.algorithm, usedforsecurity=True)
    try:
        with files.open(layer.name) as file:
            read = open_reader(file.read)
            while data := read(_CHUNK):
                content.update(data)
    except IntegrityError as error:
        raise IntegrityError(f"layer {layer.name}: {error.message}") from error
    if content.hexdigest() != diff_id.hex:
        raise IntegrityError(f"layer {layer.name} unpacks to other bytes than the config's {diff_id}")
