"""OCI image layouts (image-spec image-layout.md) as containerd and BuildKit write them: a directory or a tar."""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from layers import atomic
from layers.blobs import CHUNK, BlobReader
from layers.digest import BlobDigest
from layers.entry import BytesSource, Entry, Kind, StreamSource
from layers.errors import InvalidImage
from layers.gojson import dumps
from layers.image import Descriptor, Platform
from layers.manifest import Manifest, encode_index, parse_index
from layers.tarwrite import write_tar
from layers.tuples import NamedTuple

IMAGE_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
CREATED = "org.opencontainers.image.created"
LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
_LAYOUT = dumps({"imageLayoutVersion": "1.0.0"})
_READ_ONLY = 0o444
_FILE = 0o644
_DIRECTORY = 0o755

Write = Callable[[bytes | memoryview], object]


class BlobSource(Protocol):
    """As ``layers.blobs.Blobs``: readers verify what they read at its end."""

    def open(self, digest: BlobDigest, size: int | None = None) -> BlobReader: ...


class OutputImage(NamedTuple):
    """One image, to be written. ``names`` are full names with a tag; ``created`` is RFC 3339 text for the index, as
    ``annotations`` are."""

    config: bytes
    manifest: Manifest
    platform: Platform
    names: tuple[str, ...]
    created: str
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's, as it stands in an index, but for a name."""
        return self.manifest.descriptor._replace(
            platform=self.platform, annotations=((CREATED, self.created), *self.annotations)
        )

    def named(self) -> tuple[Descriptor, ...]:
        """One descriptor per name, as containerd annotates them; one without a name when there are none."""
        return tuple(_annotated(self.descriptor, name) for name in self.names) or (self.descriptor,)

    def documents(self) -> Mapping[BlobDigest, bytes]:
        return {self.manifest.config.digest: self.config, self.manifest.descriptor.digest: self.manifest.raw}


def _annotated(descriptor: Descriptor, name: str) -> Descriptor:
    tag = name.rpartition("/")[2].partition(":")[2]
    return descriptor._replace(annotations=(*descriptor.annotations, (IMAGE_NAME, name), (REF_NAME, tag or name)))


def blob_path(digest: BlobDigest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def write_archive(image: OutputImage, blobs: BlobSource, write: Write, more: Mapping[str, bytes] | None = None) -> None:
    """The layout as a tar, its members sorted by name, every date 0: equal images give equal bytes.

    ``more`` are further files of the top level. Raises IntegrityError when a blob is not what it should be.
    """
    top = {
        LAYOUT_FILE: (_READ_ONLY, _LAYOUT),
        INDEX_FILE: (_FILE, encode_index(image.named(), indent=None).raw),
        **{name: (_FILE, data) for name, data in (more or {}).items()},
    }
    write_tar(_members(image, blobs, top), write)


def _members(image: OutputImage, blobs: BlobSource, top: Mapping[str, tuple[int, bytes]]) -> Iterator[Entry]:
    documents = image.documents()
    layers = {layer.digest: layer.size for layer in image.manifest.layers}
    yield Entry(b"blobs", Kind.DIRECTORY, mode=_DIRECTORY)
    algorithm = ""
    for digest in sorted({*documents, *layers}):
        if digest.algorithm != algorithm:
            algorithm = digest.algorithm
            yield Entry(f"blobs/{algorithm}".encode(), Kind.DIRECTORY, mode=_DIRECTORY)
        path = blob_path(digest).encode()
        if digest in documents:
            yield _file(path, _READ_ONLY, documents[digest])
            continue
        with blobs.open(digest, layers[digest]) as reader:
            source = StreamSource(_verified(reader, layers[digest]))
            yield Entry(path, Kind.FILE, mode=_READ_ONLY, size=layers[digest], source=source)
    for name in sorted(top):
        yield _file(name.encode(), *top[name])


def _file(path: bytes, mode: int, data: bytes) -> Entry:
    return Entry(path, Kind.FILE, mode=mode, size=len(data), source=BytesSource(data))


def _verified(reader: BlobReader, size: int) -> Callable[[int], bytes]:
    """Reads ``size`` bytes; the last are handed out only once the reader has found its end and checked all of it."""
    left = size

    def read(count: int) -> bytes:
        nonlocal left
        data = reader.read(min(count, left)) if left else b""
        left -= len(data)
        if not left or (count and not data):
            reader.drain()
        return data

    return read


def write_directory(image: OutputImage, blobs: BlobSource, directory: str) -> None:
    """Puts the image into layout ``directory``; images there under other names stay.

    A missing directory appears whole. In one that is there the index is replaced last, so readers see the old layout
    or the new one, and after an error what was added is gone. An image without a name is called ``latest``, as buildx
    does. Raises InvalidImage when the directory holds something that is not a layout.
    """
    if not os.path.lexists(directory) and _written_new(image, blobs, directory):
        return
    with atomic.locked_directory(directory):
        _merge(image, blobs, directory)


def _written_new(image: OutputImage, blobs: BlobSource, directory: str) -> bool:
    """False when somebody else has made ``directory`` meanwhile."""
    parent = os.path.dirname(os.path.abspath(directory))
    atomic.sweep(parent)
    with atomic.staging(parent) as stage:
        _merge(image, blobs, stage)
        try:
            os.rename(stage, directory)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
    return True


def _merge(image: OutputImage, blobs: BlobSource, directory: str) -> None:
    index = os.path.join(directory, INDEX_FILE)
    if not os.path.exists(index) and not {"blobs", LAYOUT_FILE}.issuperset(os.listdir(directory)):
        raise InvalidImage(
            f"{directory} is not empty and not an OCI layout", hint="give a new directory, or one with an index.json"
        )
    with contextlib.ExitStack() as undo:
        kept = parse_index(_read(index)).manifests if os.path.exists(index) else ()
        for digest, data in image.documents().items():
            _put(os.path.join(directory, blob_path(digest)), data, undo)
        for layer in image.manifest.layers:
            _copy(blobs, layer, os.path.join(directory, blob_path(layer.digest)), undo)
        _put(os.path.join(directory, LAYOUT_FILE), _LAYOUT, undo)
        added = image.named() if image.names else (_latest(image.descriptor),)
        names = {_name(descriptor) for descriptor in added}
        merged = (*(descriptor for descriptor in kept if _name(descriptor) not in names), *added)
        with atomic.replacing(index) as write:
            write(encode_index(merged, indent=None).raw)
        undo.pop_all()


def _latest(descriptor: Descriptor) -> Descriptor:
    return descriptor._replace(annotations=(*descriptor.annotations, (REF_NAME, "latest")))


def _name(descriptor: Descriptor) -> tuple[str | None, str | None]:
    annotations = dict(descriptor.annotations)
    return annotations.get(IMAGE_NAME), annotations.get(REF_NAME)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _put(path: str, data: bytes, undo: contextlib.ExitStack) -> None:
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with atomic.replacing(path) as write:
        write(data)
    undo.callback(os.unlink, path)


def _copy(blobs: BlobSource, layer: Descriptor, path: str, undo: contextlib.ExitStack) -> None:
    """Blobs that are there are kept: their names say what they hold, and they appear only whole."""
    if os.path.exists(path) and os.path.getsize(path) == layer.size:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with blobs.open(layer.digest, layer.size) as reader, atomic.replacing(path) as write:
        while data := reader.read(CHUNK):
            write(data)
    undo.callback(os.unlink, path)
