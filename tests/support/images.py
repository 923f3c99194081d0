"""Images for tests: layouts and archives made by hand with the standard library, never with the code under test."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

OCI = "application/vnd.oci.image"
FileSpec = bytes | None
"""Contents of a file, or None for a directory."""


class MadeLayer(NamedTuple):
    """A layer as stored; ``tar`` is what it unpacks to."""

    blob: bytes
    tar: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return sha256(self.blob)

    @property
    def diff_id(self) -> str:
        return sha256(self.tar)


class MadeImage(NamedTuple):
    config: bytes
    manifest: bytes
    layers: tuple[MadeLayer, ...]

    @property
    def id(self) -> str:
        return sha256(self.config)

    @property
    def digest(self) -> str:
        return sha256(self.manifest)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_tar(files: dict[str, FileSpec]) -> bytes:
    """Names in the order given; owner 0, date 0."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            if data is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member.size, member.mode = len(data), 0o644
                archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def make_layer(files: dict[str, FileSpec], *, compressed: bool = True) -> MadeLayer:
    tar = make_tar(files)
    if not compressed:
        return MadeLayer(tar, tar, f"{OCI}.layer.v1.tar")
    return MadeLayer(gzip.compress(tar, mtime=0), tar, f"{OCI}.layer.v1.tar+gzip")


def make_image(*layers: MadeLayer, architecture: str = "amd64", **config: Any) -> MadeImage:
    raw = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created_by": f"layer {number}"} for number, _ in enumerate(layers)],
        }
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": descriptor(raw, f"{OCI}.config.v1+json"),
        "layers": [descriptor(layer.blob, layer.media_type) for layer in layers],
    }
    return MadeImage(raw, json.dumps(manifest).encode(), layers)


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def make_index(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": list(entries)}).encode()


def entry(image: MadeImage, **more: Any) -> dict[str, Any]:
    return descriptor(image.manifest, f"{OCI}.manifest.v1+json", **more)


def layout_files(index: bytes, *images: MadeImage, more: tuple[bytes, ...] = ()) -> dict[str, bytes]:
    """The files of an OCI layout by name; ``more`` are further blobs."""
    blobs = [data for image in images for data in (image.config, image.manifest, *(made.blob for made in image.layers))]
    named = {f"blobs/sha256/{sha256(data)[7:]}": data for data in (*blobs, *more)}
    return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **named}


def write_tree(directory: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    path.write_bytes(make_tar(dict(files)))
    return path
