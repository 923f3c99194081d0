"""Manifests and indexes: image-spec manifest.md and image-index.md, and Docker's image manifest V2, schema 2. Pure.

Their digest is that of ``raw``, the bytes they were read from or written as; those are never made anew.
"""

from collections.abc import Sequence
from typing import Any, Self

from layers import media
from layers.digest import BlobDigest, Digest
from layers.errors import InvalidImage
from layers.gojson import Reader, dumps, loads
from layers.image import Descriptor, Platform
from layers.tuples import NamedTuple


class Manifest(NamedTuple):
    """``raw`` is the document; everything else is read from it."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    subject: Descriptor | None = None

    @property
    def descriptor(self) -> Descriptor:
        return describe(self.raw, self.media_type)


class Index(NamedTuple):
    """``raw`` is the document; everything else is read from it."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: tuple[tuple[str, str], ...] = ()

    def choose(self, platform: Platform) -> Self:
        """Only the manifests for ``platform``, the best first: its own variant, then older ones, newest first.

        A manifest that names no platform counts as the best.
        """
        ranked = [(_rank(manifest.platform, platform), manifest) for manifest in self.manifests]
        fitting = sorted((pair for pair in ranked if pair[0] is not None), key=lambda pair: pair[0] or 0)
        return self._replace(manifests=tuple(manifest for _, manifest in fitting))


def _rank(offered: Platform | None, wanted: Platform) -> int | None:
    """0 for the same machine, more for variants before it (which it can run), None for what cannot run."""
    if offered is None:
        return 0
    have, want = offered.normalized(), wanted.normalized()
    if (have.os, have.architecture) != (want.os, want.architecture):
        return None
    older = _number(want.variant, want.architecture) - _number(have.variant, want.architecture)
    return older if older >= 0 else None


def _number(variant: str | None, architecture: str) -> int:
    if variant is None:
        return 8 if architecture == "arm64" else 1
    digits = variant.removeprefix("v").partition(".")[0]
    return int(digits) if digits.isdecimal() else 0


def describe(raw: bytes, media_type: str) -> Descriptor:
    """The descriptor of these very bytes."""
    return Descriptor(media_type, BlobDigest(Digest.of(raw)), len(raw))


def parse(raw: bytes, declared: str = "") -> Manifest | Index:
    """A manifest or an index, told apart by ``mediaType``, else by ``declared`` (where it was found), else by content.

    Raises InvalidImage for anything that is neither, for schema 1 and for a type that is not the declared one.
    """
    document = Reader(loads(raw, "manifest"), "manifest")
    media_type = document.text("mediaType")
    if declared and media_type and declared != media_type:
        raise document.error(f"it says it is {media_type}, but is referred to as {declared}")
    media_type = media_type or declared or _guess(document)
    if document.integer("schemaVersion") != 2:
        raise document.error("schemaVersion is not 2; images of schema 1 cannot be used")
    if media.is_index(media_type):
        return Index(raw, media_type, _descriptors(document, "manifests"), document.pairs("annotations"))
    if media_type not in {media.OCI_MANIFEST, media.DOCKER_MANIFEST}:
        raise document.error(f"{media_type!r} is not the media type of an image")
    config = document.child("config")
    if config is None:
        raise document.error("it has no config")
    subject = document.child("subject")
    return Manifest(
        raw=raw,
        media_type=media_type,
        config=parse_descriptor(config),
        layers=_descriptors(document, "layers"),
        annotations=document.pairs("annotations"),
        subject=None if subject is None else parse_descriptor(subject),
    )


def parse_manifest(raw: bytes, declared: str = "") -> Manifest:
    """As ``parse``, for where only a manifest will do."""
    found = parse(raw, declared)
    if isinstance(found, Index):
        raise InvalidImage("an index of images stands where the manifest of one image is needed")
    return found


def parse_index(raw: bytes, declared: str = "") -> Index:
    """As ``parse``, for where only an index will do."""
    found = parse(raw, declared)
    if isinstance(found, Manifest):
        raise InvalidImage("the manifest of one image stands where an index is needed")
    return found


def _guess(document: Reader) -> str:
    return media.OCI_INDEX if document.children("manifests") else media.OCI_MANIFEST


def _descriptors(document: Reader, key: str) -> tuple[Descriptor, ...]:
    return tuple(parse_descriptor(item) for item in document.children(key))


def parse_descriptor(document: Reader) -> Descriptor:
    try:
        digest = Digest.parse(document.text("digest"))
    except ValueError as error:
        raise document.error(str(error)) from error
    if document.integer("size") < 0:
        raise document.error("its size is negative")
    platform = document.child("platform")
    return Descriptor(
        media_type=document.text("mediaType"),
        digest=BlobDigest(digest),
        size=document.integer("size"),
        platform=None if platform is None else _platform(platform),
        annotations=document.pairs("annotations"),
    )


def _platform(document: Reader) -> Platform:
    return Platform(document.text("os"), document.text("architecture"), document.text("variant") or None)


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """As JSON values, in the order of image-spec's Go type; annotations sorted, as Go writes maps."""
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.annotations:
        document["annotations"] = dict(sorted(descriptor.annotations))
    if descriptor.platform is not None:
        platform = descriptor.platform
        document["platform"] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            document["platform"]["variant"] = platform.variant
    return document


def encode_manifest(
    config: Descriptor, layers: Sequence[Descriptor], annotations: Sequence[tuple[str, str]] = ()
) -> Manifest:
    """An OCI manifest as BuildKit writes it: indented by two blanks, ``layers`` null when there are none.

    Layers get OCI's media types, also those that came with Docker's.
    """
    blobs = tuple(
        layer._replace(media_type=media.oci_layer(media.compression_of(layer.media_type)), platform=None)
        for layer in layers
    )
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": descriptor_document(config),
        "layers": [descriptor_document(blob) for blob in blobs] or None,
    }
    if annotations:
        document["annotations"] = dict(sorted(annotations))
    raw = dumps(document, indent=2)
    return Manifest(raw, media.OCI_MANIFEST, config, blobs, tuple(annotations))


def encode_index(manifests: Sequence[Descriptor], *, indent: int | None = 2) -> Index:
    """An OCI index: indented as BuildKit's blobs are, or compact (None) as containerd writes ``index.json``."""
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_INDEX,
        "manifests": [descriptor_document(manifest) for manifest in manifests] or None,
    }
    return Index(dumps(document, indent=indent), media.OCI_INDEX, tuple(manifests))
