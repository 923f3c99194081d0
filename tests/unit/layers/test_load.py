"""Loading from layouts and archives made by hand, into a real store."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from layers.errors import IntegrityError, InvalidImage, PybuildError
from layers.image import Platform
from layers.load import LoadedImage, load
from layers.store import Store
from tests.support.images import (
    MadeImage,
    descriptor,
    entry,
    layout_files,
    make_image,
    make_index,
    make_layer,
    make_tar,
    sha256,
    write_archive,
    write_tree,
)

AMD64 = Platform("linux", "amd64")
NAME = "io.containerd.image.name"
REF = "org.opencontainers.image.ref.name"
BASE = make_layer({"etc": None, "etc/passwd": b"root:x:0:0::/:/bin/sh\n"})
PLAIN = make_layer({"top": b"top\n"}, compressed=False)
IMAGE = make_image(BASE, PLAIN, Env=["PATH=/bin"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def layout(path: Path, *images: MadeImage, **annotations: str) -> Path:
    index = make_index(*(entry(image, annotations=annotations) for image in images))
    return write_tree(path, layout_files(index, *images))


def docker_files(image: MadeImage, tags: list[str] | None, *, old: bool = True) -> dict[str, bytes]:
    """As ``docker save`` wrote until version 24, or as BuildKit does."""
    if old:
        names = [f"{number}/layer.tar" for number, _ in enumerate(image.layers)]
        config = f"{image.id[7:]}.json"
    else:
        names = [f"blobs/sha256/{layer.digest[7:]}" for layer in image.layers]
        config = f"blobs/sha256/{image.id[7:]}"
    listed = [{"Config": config, "RepoTags": tags, "Layers": names}]
    blobs = {name: layer.blob for name, layer in zip(names, image.layers, strict=True)}
    return {config: image.config, **blobs, "manifest.json": json.dumps(listed).encode()}


def check(store: Store, loaded: LoadedImage, image: MadeImage) -> None:
    """The store holds the image, its layers' digests and its files."""
    assert str(loaded.id) == image.id
    assert loaded.platform == AMD64
    stored = store.image(str(loaded.id))
    assert stored is not None
    assert stored.config == image.config
    assert stored.names == loaded.names
    assert stored.clamps == (None,) * len(image.layers)
    assert [str(store.diff_id(layer, None)) for layer in stored.rootfs] == [layer.diff_id for layer in image.layers]
    for layer, made in zip(stored.rootfs, image.layers, strict=True):
        with store.layer_tar(layer, None) as tar:
            assert b"".join(iter(lambda: tar.read(1 << 16), b"")) == made.tar
    assert store.check() == []


@pytest.mark.parametrize("form", ["directory", "tar", "tar.gz"])
def test_an_oci_layout(store: Store, tmp_path: Path, form: str) -> None:
    files = layout_files(make_index(entry(IMAGE, annotations={REF: "latest"})), IMAGE)
    path = tmp_path / "image"
    if form == "directory":
        write_tree(path, files)
    else:
        write_archive(path, files)
        if form == "tar.gz":
            path.write_bytes(gzip.compress(path.read_bytes()))
    (loaded,) = load(store, str(path), platform=AMD64)
    assert loaded.names == ()
    check(store, loaded, IMAGE)


def test_standard_input(store: Store, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "image.tar", docker_files(IMAGE, ["app"]))
    before = os.dup(0)
    with path.open("rb") as file:
        os.dup2(file.fileno(), 0)
    try:
        (loaded,) = load(store, "-", platform=AMD64)
    finally:
        os.dup2(before, 0)
        os.close(before)
    assert loaded.names == ("docker.io/library/app:latest",)


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({NAME: "docker.io/me/app:1", REF: "1"}, ("docker.io/me/app:1",)),
        ({NAME: "app"}, ("docker.io/library/app:latest",)),
        ({REF: "host.example/app:2"}, ("host.example/app:2",)),
        ({REF: "2"}, ()),
        ({}, ()),
    ],
)
def test_names_of_a_layout(store: Store, tmp_path: Path, annotations: dict[str, str], names: tuple[str, ...]) -> None:
    path = layout(tmp_path / "image", IMAGE, **annotations)
    (loaded,) = load(store, str(path), platform=AMD64)
    assert loaded.names == names
    for name in names:
        found = store.image(name)
        assert found is not None
        assert found.id == loaded.id


def test_names_can_be_left_where_they_point(store: Store, tmp_path: Path) -> None:
    """A build context must not retag local images."""
    path = layout(tmp_path / "image", IMAGE, **{NAME: "app"})
    (loaded,) = load(store, str(path), platform=AMD64, named=False)
    assert loaded.names == ()
    assert store.image("docker.io/library/app:latest") is None
    assert store.image(str(loaded.id)) is not None


def test_one_image_under_two_names_is_loaded_once(store: Store, tmp_path: Path) -> None:
    index = make_index(*(entry(IMAGE, annotations={NAME: f"docker.io/me/{name}:1"}) for name in "ab"))
    path = write_tree(tmp_path / "image", layout_files(index, IMAGE))
    (loaded,) = load(store, str(path), platform=AMD64)
    assert loaded.names == ("docker.io/me/a:1", "docker.io/me/b:1")
    check(store, loaded, IMAGE)


OTHER = make_image(PLAIN, User="1")


@pytest.mark.parametrize("reference", ["two", "docker.io/me/app:two", "me/app:two", OTHER.digest])
def test_a_reference_picks_one(store: Store, tmp_path: Path, reference: str) -> None:
    index = make_index(
        entry(IMAGE, annotations={NAME: "docker.io/me/app:one", REF: "one"}),
        entry(OTHER, annotations={NAME: "docker.io/me/app:two", REF: "two"}),
    )
    path = write_tree(tmp_path / "image", layout_files(index, IMAGE, OTHER))
    (loaded,) = load(store, str(path), reference=reference, platform=AMD64)
    check(store, loaded, OTHER)
    assert len(load(store, str(path), platform=AMD64)) == 2
    with pytest.raises(InvalidImage, match="holds no image called three for linux/amd64"):
        load(store, str(path), reference="three", platform=AMD64)


def test_the_platform_picks_from_an_index(store: Store, tmp_path: Path) -> None:
    arm = make_image(PLAIN, architecture="arm64")
    attestation = make_image(PLAIN, architecture="unknown")
    inner = make_index(
        entry(arm, platform={"os": "linux", "architecture": "arm64"}),
        entry(IMAGE, platform={"os": "linux", "architecture": "amd64"}),
        entry(attestation, platform={"os": "unknown", "architecture": "unknown"}),
    )
    outer = make_index(descriptor(inner, "application/vnd.oci.image.index.v1+json", annotations={NAME: "app"}))
    path = write_tree(tmp_path / "image", layout_files(outer, arm, IMAGE, attestation, more=(inner,)))
    (loaded,) = load(store, str(path), platform=AMD64)
    check(store, loaded, IMAGE)
    with pytest.raises(InvalidImage, match="no image for linux/s390x") as raised:
        load(store, str(path), platform=Platform("linux", "s390x"))
    assert raised.value.hint == "it has: linux/amd64, linux/arm64, unknown/unknown"


def test_attestations_beside_an_image_are_left(store: Store, tmp_path: Path) -> None:
    attestation = entry(OTHER, annotations={"vnd.docker.reference.type": "attestation-manifest"})
    path = write_tree(tmp_path / "image", layout_files(make_index(entry(IMAGE), attestation), IMAGE, OTHER))
    assert [str(loaded.id) for loaded in load(store, str(path), platform=AMD64)] == [IMAGE.id]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("tags", [["app:1", "host:5000/b"], None])
def test_what_docker_saves(store: Store, tmp_path: Path, old: bool, tags: list[str] | None) -> None:
    path = write_archive(tmp_path / "image.tar", docker_files(IMAGE, tags, old=old))
    (loaded,) = load(store, str(path), platform=AMD64)
    assert loaded.names == (("docker.io/library/app:1", "host:5000/b:latest") if tags else ())
    check(store, loaded, IMAGE)


def test_links_between_layers_of_an_old_archive(store: Store, tmp_path: Path) -> None:
    """Docker stored a layer that comes twice as a symbolic link."""
    twice = make_image(PLAIN, PLAIN)
    files = docker_files(twice, ["app"])
    del files["1/layer.tar"]
    path = tmp_path / "image.tar"
    buffer = io.BytesIO(make_tar(dict(files)))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        link = tarfile.TarInfo("1/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../0/layer.tar"
        archive.addfile(link)
    path.write_bytes(buffer.getvalue())
    (loaded,) = load(store, str(path), platform=AMD64)
    check(store, loaded, twice)


def test_several_saved_images(store: Store, tmp_path: Path) -> None:
    files = docker_files(IMAGE, ["a:1"], old=False)
    more = docker_files(OTHER, ["b:1"], old=False)
    listed = json.loads(files["manifest.json"]) + json.loads(more["manifest.json"])
    path = write_archive(tmp_path / "image.tar", {**files, **more, "manifest.json": json.dumps(listed).encode()})
    assert len(load(store, str(path), platform=AMD64)) == 2
    (one,) = load(store, str(path), reference="b:1", platform=AMD64)
    assert str(one.id) == OTHER.id


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: value for key, value in files.items() if key != name}


def blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def changed(data: bytes) -> bytes:
    """Of the same length, with the middle byte another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


GOOD = layout_files(make_index(entry(IMAGE)), IMAGE)
SAVED = docker_files(IMAGE, ["app"])


class Bad(NamedTuple):
    files: dict[str, bytes]
    error: type[PybuildError]
    problem: str


BAD = [
    Bad({}, InvalidImage, "neither an OCI layout nor"),
    Bad({"x": b""}, InvalidImage, "neither an OCI layout nor"),
    Bad({**GOOD, "index.json": b"{}"}, InvalidImage, "schemaVersion"),
    Bad({**GOOD, "index.json": make_index()}, InvalidImage, "holds no image"),
    Bad(without(GOOD, blob(IMAGE.digest)), InvalidImage, "has no file blobs/sha256"),
    Bad(without(GOOD, blob(IMAGE.id)), InvalidImage, "has no file blobs/sha256"),
    Bad(without(GOOD, blob(BASE.digest)), InvalidImage, "is missing"),
    Bad({**GOOD, blob(IMAGE.digest): changed(IMAGE.manifest)}, IntegrityError, "not those its name says"),
    Bad({**GOOD, blob(IMAGE.digest): IMAGE.manifest + b" "}, IntegrityError, "not those its name says"),
    Bad({**GOOD, blob(IMAGE.id): changed(IMAGE.config)}, IntegrityError, "not those its name says"),
    Bad({**GOOD, blob(BASE.digest): changed(BASE.blob)}, IntegrityError, "have the digest"),
    Bad({**GOOD, blob(BASE.digest): BASE.blob[:-1]}, IntegrityError, "bytes, not"),
    Bad({**SAVED, "manifest.json": b"{}"}, InvalidImage, "'images' is not a list"),
    Bad({**SAVED, "manifest.json": b"[{}]"}, InvalidImage, "names no config"),
    Bad({**SAVED, "manifest.json": b"nonsense"}, InvalidImage, "is not JSON"),
    Bad({**SAVED, f"{IMAGE.id[7:]}.json": changed(IMAGE.config)}, IntegrityError, "not those its name says"),
    Bad({**SAVED, "1/layer.tar": changed(PLAIN.blob)}, IntegrityError, "have the digest"),
    Bad({**SAVED, "0/layer.tar": gzip.compress(b"other")}, IntegrityError, "unpacks to other bytes"),
    Bad({**SAVED, "0/layer.tar": BASE.blob[:-10]}, IntegrityError, "layer 0/layer.tar: the gzip stream is truncated"),
    Bad(docker_files(IMAGE, ["../x"]), InvalidImage, "the archive calls one so"),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{number}-{bad.problem}" for number, bad in enumerate(BAD)])
@pytest.mark.parametrize("write", [write_tree, write_archive])
def test_bad_archives_leave_no_image(
    store: Store, tmp_path: Path, bad: Bad, write: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    path = tmp_path / "image"
    if write is write_tree:
        path.mkdir()
    with pytest.raises(bad.error, match=bad.problem):
        load(store, str(write(path, bad.files)), platform=AMD64)
    assert store.images() == []
    assert store.check() == []


def test_a_layer_count_that_differs_from_the_configs(store: Store, tmp_path: Path) -> None:
    manifest = json.loads(IMAGE.manifest)
    manifest["layers"].pop()
    short = IMAGE._replace(manifest=json.dumps(manifest).encode())
    with pytest.raises(InvalidImage, match="an image with 1 layers has a config that lists 2"):
        load(store, str(layout(tmp_path / "image", short)), platform=AMD64)


def test_a_kind_of_layer_that_is_unknown(store: Store, tmp_path: Path) -> None:
    strange = make_image(BASE._replace(media_type="application/x-strange"))
    with pytest.raises(InvalidImage, match="application/x-strange is not a kind of layer"):
        load(store, str(layout(tmp_path / "image", strange)), platform=AMD64)


def test_what_is_not_an_archive(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"just some text, longer than nothing\n" * 100)
    with pytest.raises(InvalidImage, match="neither an image layout nor an archive"):
        load(store, str(path), platform=AMD64)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_archive(store: Store, tmp_path: Path, keep: float) -> None:
    path = write_archive(tmp_path / "image.tar", GOOD)
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises((InvalidImage, IntegrityError)):
        load(store, str(path), platform=AMD64)
    assert store.images() == []


def test_a_truncated_compressed_archive(store: Store, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "image.tar", GOOD)
    path.write_bytes(gzip.compress(path.read_bytes())[:-20])
    with pytest.raises(IntegrityError, match=r"image\.tar: the gzip stream is truncated"):
        load(store, str(path), platform=AMD64)


def test_a_pipe_in_a_layout_does_not_hang(store: Store, tmp_path: Path) -> None:
    path = layout(tmp_path / "image", IMAGE)
    (path / blob(BASE.digest)).unlink()
    os.mkfifo(path / blob(BASE.digest))
    with pytest.raises(InvalidImage, match="is missing"):
        load(store, str(path), platform=AMD64)


def test_a_lying_diff_id_is_found_when_the_layer_is_read(store: Store, tmp_path: Path) -> None:
    lying = make_image(BASE._replace(tar=b"something else"))
    with pytest.raises(IntegrityError):
        load(store, str(layout(tmp_path / "image", lying)), platform=AMD64)
    assert list(store.images()) == []


def test_layers_are_indexed_when_they_are_loaded(store: Store, tmp_path: Path) -> None:
    (loaded,) = load(store, str(layout(tmp_path / "image", IMAGE)), platform=AMD64)
    stored = store.image(str(loaded.id))
    assert stored is not None
    for blob in Path(store.root, "blobs").rglob("*"):
        if blob.is_file():
            blob.write_bytes(b"")
    assert store.tree(stored.rootfs, contents=False).lookup(b"etc") is not None


def test_indexes_inside_indexes_have_an_end(store: Store, tmp_path: Path) -> None:
    inner = make_index(entry(IMAGE))
    blobs = [inner]
    for _ in range(10):
        inner = make_index(descriptor(inner, "application/vnd.oci.image.index.v1+json"))
        blobs.append(inner)
    path = write_tree(tmp_path / "image", layout_files(inner, IMAGE, more=tuple(blobs)))
    with pytest.raises(InvalidImage, match="inside too many others"):
        load(store, str(path), platform=AMD64)


def test_sha256_is_what_the_helpers_say() -> None:
    assert sha256(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
