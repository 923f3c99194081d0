"""Layouts and Docker archives written from blobs of a store; read back with the standard library."""

import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layers import media
from layers.atomic import replacing
from layers.blobs import Blobs
from layers.digest import BlobDigest, Digest
from layers.dockerarchive import parse_saved, write_docker_archive
from layers.errors import IntegrityError, InvalidImage
from layers.image import Descriptor, ImageConfig, Platform, encode
from layers.manifest import describe, encode_manifest
from layers.ocilayout import OutputImage, write_archive, write_directory
from layers.store import Store
from tests.support.images import MadeLayer, make_layer
from tests.support.validate import files_of, validate

LAYERS = (make_layer({"a": b"one"}), make_layer({"b": b"two" * 100_000}, compressed=False))
CREATED = "1970-01-01T00:01:00Z"


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[Blobs]:
    with Store.open(str(tmp_path / "store")) as store:
        for layer in LAYERS:
            store.blobs.put_bytes(layer.blob)
        yield store.blobs


def output(*names: str, layers: tuple[MadeLayer, ...] = LAYERS, user: str = "") -> OutputImage:
    diff_ids = [layer.diff_id for layer in layers]
    raw = json.loads(encode(ImageConfig(Platform("linux", "amd64"), user=user)))
    raw["rootfs"]["diff_ids"] = diff_ids or None
    raw["history"] = [{"created_by": "x"} for _ in layers] or None
    config = json.dumps(raw, separators=(",", ":")).encode()
    described = [
        Descriptor(layer.media_type, BlobDigest(Digest.parse(layer.digest)), len(layer.blob)) for layer in layers
    ]
    manifest = encode_manifest(describe(config, media.OCI_CONFIG), described)
    return OutputImage(config, manifest, Platform("linux", "amd64"), names, CREATED)


def write(path: Path, call: Callable[[Callable[[bytes | memoryview], object]], None]) -> Path:
    with replacing(str(path)) as out:
        call(out)
    return path


def test_an_archive_holds_a_valid_image(blobs: Blobs, tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", lambda out: write_archive(output("docker.io/me/app:1"), blobs, out))
    checked = validate(path)
    assert checked.names == ("docker.io/me/app:1",)
    assert checked.layers == tuple(layer.tar for layer in LAYERS)


def test_the_index_names_the_image_as_containerd_does(blobs: Blobs, tmp_path: Path) -> None:
    image = output("docker.io/me/app:1", "localhost:5000/app:2")
    path = write(tmp_path / "image.tar", lambda out: write_archive(image, blobs, out))
    index = files_of(path)["index.json"]
    descriptor = image.manifest.descriptor
    entries = [
        f'{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{descriptor.digest}",'
        f'"size":{descriptor.size},"annotations":{{"io.containerd.image.name":"{name}",'
        f'"org.opencontainers.image.created":"{CREATED}","org.opencontainers.image.ref.name":"{tag}"}},'
        f'"platform":{{"architecture":"amd64","os":"linux"}}}}'
        for name, tag in (("docker.io/me/app:1", "1"), ("localhost:5000/app:2", "2"))
    ]
    assert index.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        + ",".join(entries)
        + "]}"
    )


def test_members_are_sorted_dateless_and_roots(blobs: Blobs, tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", lambda out: write_docker_archive(output(), ["app:1"], blobs, out))
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    names = [member.name for member in members]
    assert names == sorted(names)
    assert names[:2] == ["blobs", "blobs/sha256"]
    assert names[-3:] == ["index.json", "manifest.json", "oci-layout"]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}
    assert {member.mode for member in members if member.name.startswith("blobs/sha256/")} == {0o444}
    assert {member.mode for member in members if member.isdir()} == {0o755}


def test_equal_images_give_equal_bytes(blobs: Blobs, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / name, lambda out: write_archive(output("docker.io/me/app:1"), blobs, out)) for name in "ab"
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_docker_archive(blobs: Blobs, tmp_path: Path) -> None:
    image = output("docker.io/library/app:1")
    path = write(tmp_path / "image.tar", lambda out: write_docker_archive(image, ["app:1"], blobs, out))
    validate(path)
    raw = files_of(path)["manifest.json"]
    config = image.manifest.config.digest.hex
    layers = ",".join(f'"blobs/sha256/{layer.digest[7:]}"' for layer in LAYERS)
    assert raw.decode() == f'[{{"Config":"blobs/sha256/{config}","RepoTags":["app:1"],"Layers":[{layers}]}}]'
    (saved,) = parse_saved(raw)
    assert saved.config_digest == image.manifest.config.digest
    assert [str(digest) for digest in saved.layer_digests] == [layer.digest for layer in LAYERS]


def test_an_image_of_nothing(blobs: Blobs, tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", lambda out: write_docker_archive(output(layers=()), [], blobs, out))
    assert validate(path).layers == ()
    assert json.loads(files_of(path)["manifest.json"])[0]["Layers"] is None


def test_a_layer_that_comes_twice_is_stored_once(blobs: Blobs, tmp_path: Path) -> None:
    image = output(layers=(LAYERS[0], LAYERS[0]))
    path = write(tmp_path / "image.tar", lambda out: write_archive(image, blobs, out))
    assert len(validate(path).layers) == 2


def damage(root: Path, layer: MadeLayer) -> None:
    path = root / "store/blobs/sha256" / layer.digest[7:]
    path.chmod(0o600)
    path.write_bytes(layer.blob[:-1] + b"?")


@pytest.mark.parametrize("directory", [True, False])
def test_a_damaged_blob_is_found_and_nothing_is_left(blobs: Blobs, tmp_path: Path, directory: bool) -> None:
    damage(tmp_path, LAYERS[1])
    before = sorted(os.listdir(tmp_path))  # noqa: PTH208 - names are wanted
    with pytest.raises(IntegrityError):
        if directory:
            write_directory(output(), blobs, str(tmp_path / "out"))
        else:
            write(tmp_path / "out", lambda out: write_archive(output(), blobs, out))
    assert sorted(os.listdir(tmp_path)) == before  # noqa: PTH208 - names are wanted


def test_a_directory(blobs: Blobs, tmp_path: Path) -> None:
    write_directory(output("docker.io/me/app:1"), blobs, str(tmp_path / "out"))
    assert validate(tmp_path / "out").layers == tuple(layer.tar for layer in LAYERS)


def test_without_a_name_a_directorys_image_is_called_latest(blobs: Blobs, tmp_path: Path) -> None:
    write_directory(output(), blobs, str(tmp_path / "out"))
    (entry,) = json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == "latest"
    assert "io.containerd.image.name" not in entry["annotations"]


def test_another_image_joins_a_directory_and_the_same_name_is_replaced(blobs: Blobs, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    first, second, third = output("docker.io/a:1"), output("docker.io/b:1", user="2"), output("docker.io/a:1", user="3")
    for image in (first, second, third):
        write_directory(image, blobs, out)
    entries = json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]
    assert [entry["digest"] for entry in entries] == [
        str(image.manifest.descriptor.digest) for image in (second, third)
    ]


def test_a_directory_that_another_makes_meanwhile_is_joined(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def make_first(source: str, target: str) -> None:
        monkeypatch.undo()
        write_directory(output("docker.io/b:1", layers=LAYERS[:1]), blobs, str(tmp_path / "out"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", make_first)
    write_directory(output("docker.io/a:1"), blobs, str(tmp_path / "out"))
    assert len(json.loads((tmp_path / "out/index.json").read_bytes())["manifests"]) == 2
    assert [path.name for path in tmp_path.iterdir()].count("out") == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".pybuild")]


def test_after_an_error_a_directory_is_as_before(blobs: Blobs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_directory(output("docker.io/a:1", layers=LAYERS[:1]), blobs, str(out))
    before = files_of(out)
    damage(tmp_path, LAYERS[1])
    with pytest.raises(IntegrityError):
        write_directory(output("docker.io/b:1"), blobs, str(out))
    assert files_of(out) == before


def test_an_empty_directory_is_taken(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_directory(output(), blobs, str(tmp_path / "out"))
    validate(tmp_path / "out")


def test_a_directory_of_other_things_is_refused(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").touch()
    with pytest.raises(InvalidImage, match="not empty and not an OCI layout"):
        write_directory(output(), blobs, str(tmp_path / "out"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
