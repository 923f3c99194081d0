"""The archives of ``docker load`` and ``docker save`` (Docker image specification 1.2, "Combined Image JSON").

Written: an OCI layout with Docker's ``manifest.json`` beside, as BuildKit and containerd write it. Read: that, and
what Docker wrote before version 25, whose layers are plain tar files in directories of their own.
"""

import json
import re
from collections.abc import Sequence

from layers.digest import BlobDigest, Digest
from layers.errors import InvalidImage
from layers.gojson import Reader, dumps
from layers.ocilayout import BlobSource, OutputImage, Write, blob_path, write_archive
from layers.tuples import NamedTuple

MANIFEST_FILE = "manifest.json"
_CONFIG = re.compile(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?\Z")
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})\Z")


def write_docker_archive(image: OutputImage, tags: Sequence[str], blobs: BlobSource, write: Write) -> None:
    """``tags`` are the image's names as Docker shows them (``debian:12``). Errors as of ``write_archive``."""
    document = [
        {
            "Config": blob_path(image.manifest.config.digest),
            "RepoTags": list(tags) or None,
            "Layers": [blob_path(layer.digest) for layer in image.manifest.layers] or None,
        }
    ]
    write_archive(image, blobs, write, {MANIFEST_FILE: dumps(document)})


class SavedImage(NamedTuple):
    """One image of an archive: names of files in it, and the digests that those names state, where they do."""

    config: str
    config_digest: Digest | None
    layers: tuple[str, ...]
    layer_digests: tuple[BlobDigest | None, ...]
    tags: tuple[str, ...]


def parse_saved(raw: bytes) -> list[SavedImage]:
    """What ``manifest.json`` lists. Raises InvalidImage."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{MANIFEST_FILE} is not JSON: {error}") from error
    return [_saved(entry) for entry in Reader({"images": document}, MANIFEST_FILE).children("images")]


def _saved(entry: Reader) -> SavedImage:
    config = entry.text("Config")
    if not config:
        raise entry.error("it names no config")
    named = _CONFIG.match(config)
    layers = entry.texts("Layers") or ()
    return SavedImage(
        config=config,
        config_digest=Digest("sha256", named[1]) if named else None,
        layers=layers,
        layer_digests=tuple(_digest(layer) for layer in layers),
        tags=entry.texts("RepoTags") or (),
    )


def _digest(layer: str) -> BlobDigest | None:
    found = _BLOB.match(layer)
    return BlobDigest(Digest("sha256", found[1])) if found else None
