"""Every invariant of an image, checked on the bytes of a layout or archive with the standard library alone."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

_NULLS = ("created", "history")


class CheckedImage(NamedTuple):
    names: tuple[str | None, ...]
    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: tuple[bytes, ...]
    """Uncompressed tars."""
    image_id: str


def files_of(path: Path) -> dict[str, bytes]:
    """The regular files of a layout directory or an archive by name."""
    if path.is_dir():
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}
    with tarfile.open(path) as archive:
        names = archive.getnames()
        assert len(names) == len(set(names)), "a member comes twice"
        return {member.name: file.read() for member in archive if (file := archive.extractfile(member)) is not None}


def validate(path: Path) -> CheckedImage:
    """The one image of a layout or archive. Asserts that every digest, size, type and count is right."""
    files = files_of(path)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    _check_blobs(files)
    index = json.loads(files["index.json"])
    assert index["schemaVersion"] == 2
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    entries = index["manifests"]
    assert len({entry["digest"] for entry in entries}) == 1, "more than one image"
    manifest = json.loads(_blob(files, entries[0]))
    assert manifest["mediaType"] == entries[0]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    config = json.loads(_blob(files, manifest["config"]))
    layers = tuple(_unpacked(_blob(files, layer), layer["mediaType"]) for layer in manifest["layers"] or ())
    _check_config(config, layers)
    platform = entries[0]["platform"]
    assert (platform["os"], platform["architecture"]) == (config["os"], config["architecture"])
    if "manifest.json" in files:
        _check_docker_manifest(files, manifest)
    names = tuple(entry.get("annotations", {}).get("io.containerd.image.name") for entry in entries)
    return CheckedImage(names, manifest, config, layers, manifest["config"]["digest"])


def _check_blobs(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]


def _blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = files["blobs/" + descriptor["digest"].replace(":", "/")]
    assert len(data) == descriptor["size"]
    return data


def _unpacked(blob: bytes, media_type: str) -> bytes:
    if media_type.endswith("+gzip"):
        return gzip.decompress(blob)
    if media_type.endswith("+zstd"):
        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(blob)).read()
    assert media_type == "application/vnd.oci.image.layer.v1.tar"
    return blob


def _check_config(config: dict[str, Any], layers: tuple[bytes, ...]) -> None:
    assert config["rootfs"]["type"] == "layers"
    diff_ids = config["rootfs"]["diff_ids"] or []
    assert diff_ids == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    filled = [entry for entry in config["history"] or [] if not entry.get("empty_layer")]
    assert len(filled) == len(layers)
    assert set(_NULLS) <= set(config)
    assert list(config) == sorted(config)


def _check_docker_manifest(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    (listed,) = json.loads(files["manifest.json"])
    assert listed["Config"] == "blobs/" + manifest["config"]["digest"].replace(":", "/")
    expected = ["blobs/" + layer["digest"].replace(":", "/") for layer in manifest["layers"] or ()]
    assert (listed["Layers"] or []) == expected
