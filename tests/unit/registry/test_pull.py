"""Pulls that go on where they broke off, mirrors, platforms, and what moves at all."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layers.digest import Digest
from layers.errors import IntegrityError
from layers.image import Platform
from registry.errors import RegistryError, Stopped, UnknownName
from registry.pull import Puller
from registry.reference import Reference
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.support.images import MadeImage, entry, make_image, make_index, make_layer
from tests.support.registries import AMD64, left_over, make_blobs, session

INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = make_layer({"a": bytes(range(256)) * 2000}, compressed=False)
IMAGE = make_image(LAYER, make_layer({"b": b"b"}))
BLOB = f"GET /v2/x/blobs/{LAYER.digest}"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as made:
        made.put_image("x", IMAGE, "1")
        yield made


@pytest.fixture
def mirror() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as made:
        yield made


def fetch(fake: FakeRegistry, directory: Path) -> list[int]:
    """Pulls all; returns what progress was told."""
    moved: list[int] = []
    blobs = make_blobs(directory)
    with session() as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        puller.fetch(image, image.manifest.layers, blobs, moved.append)
    for layer in image.manifest.layers:
        with blobs.open(layer.digest, layer.size) as reader:
            reader.drain()
    assert not left_over(directory)
    return moved


def ranges(fake: FakeRegistry) -> list[str]:
    return [one.headers.get("Range", "") for one in fake.requests(BLOB)]


def test_goes_on_where_it_broke_off(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.fault(BLOB, faults.cut(300_000), times=1)
    assert sum(fetch(fake, tmp_path)) == sum(len(layer.blob) for layer in IMAGE.layers)
    first, second = ranges(fake)
    assert first == ""
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 300_000


def test_a_registry_without_ranges_sends_all_again(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.ranges = False
    fake.fault(BLOB, faults.cut(300_000), times=1)
    assert sum(fetch(fake, tmp_path)) == sum(len(layer.blob) for layer in IMAGE.layers)
    assert [one.sent for one in fake.requests(BLOB)][1] == len(LAYER.blob)


def test_breaking_off_often_is_no_failure_while_it_moves(fake: FakeRegistry, tmp_path: Path) -> None:
    """Seven breaks are more than the attempts at one thing; each brought something."""
    fake.fault(BLOB, faults.cut(70_000), times=7)
    fetch(fake, tmp_path)
    assert len(ranges(fake)) == 8


def test_a_byte_at_a_time_is_a_failure(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.fault(BLOB, faults.cut(1))
    with pytest.raises(RegistryError):
        fetch(fake, tmp_path)
    assert len(ranges(fake)) == 3


def test_bytes_in_vain_are_taken_back(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.fault(BLOB, faults.changed(faults.damaged))
    moved: list[int] = []
    with session() as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        with pytest.raises(IntegrityError):
            puller.fetch(image, image.manifest.layers[:1], make_blobs(tmp_path), moved.append)
    assert sum(moved) == 0
    assert any(moved)


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
def test_trouble_that_passes(fake: FakeRegistry, tmp_path: Path, code: int) -> None:
    fake.fault("/manifests/", faults.status(code), times=2)
    fake.fault(BLOB, faults.status(code), times=2)
    fetch(fake, tmp_path)


def test_resets_that_pass(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.fault("GET ", faults.reset, times=2)
    fetch(fake, tmp_path)


def test_manifest_and_config_alone_move_no_layer(fake: FakeRegistry) -> None:
    with session() as ours:
        Puller(ours).resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
    blobs = [one.path.rpartition("/")[2] for one in fake.requests("/blobs/")]
    assert blobs == [IMAGE.id]


def test_what_is_there_is_not_asked_for(fake: FakeRegistry, tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)
    blobs.put_bytes(LAYER.blob)
    with session() as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        puller.fetch(image, image.manifest.layers, blobs)
    assert fake.requests(BLOB) == []


def test_a_layer_that_several_want_is_fetched_once(fake: FakeRegistry, tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)
    with session() as ours, ThreadPoolExecutor(4) as pool:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        for done in [pool.submit(puller.fetch, image, image.manifest.layers, blobs) for _ in range(4)]:
            done.result()
    assert len(fake.requests(BLOB)) == 1


def test_a_lookup_is_one_head(fake: FakeRegistry) -> None:
    with session() as ours:
        found = Puller(ours).lookup(Reference.parse(f"{fake.host}/x:1"))
    assert found == Digest.parse(IMAGE.digest)
    assert [one.method for one in fake.requests("/manifests/")] == ["HEAD"]


def test_a_head_without_a_digest(fake: FakeRegistry) -> None:
    fake.fault("HEAD .*/manifests/", faults.status(200))
    with session() as ours:
        assert Puller(ours).lookup(Reference.parse(f"{fake.host}/x:1")) == Digest.parse(IMAGE.digest)


def test_a_digest_needs_no_lookup(fake: FakeRegistry) -> None:
    with session() as ours:
        Puller(ours).lookup(Reference.parse(f"{fake.host}/x@{IMAGE.digest}"))
    assert fake.log == []


def test_stopping(fake: FakeRegistry, tmp_path: Path) -> None:
    stop = threading.Event()
    blobs = make_blobs(tmp_path)
    with session() as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        with pytest.raises(Stopped):
            puller.fetch(image, image.manifest.layers[:1], blobs, lambda _: stop.set(), stop)
    assert not left_over(tmp_path)
    assert list(blobs) == []


def test_mirrors_come_first(fake: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> None:
    mirror.put_image("cache/x", IMAGE, "1")
    with session(mirrors={fake.host: (f"{mirror.host}/cache",)}) as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        puller.fetch(image, image.manifest.layers, make_blobs(tmp_path))
    assert fake.log == []


def test_a_mirror_that_has_only_some(fake: FakeRegistry, mirror: FakeRegistry, tmp_path: Path) -> None:
    """The manifest and one layer from the mirror; a damaged and a missing layer from the registry itself."""
    mirror.put_image("x", IMAGE, "1")
    del mirror.blobs["x", IMAGE.layers[1].digest]
    mirror.fault(BLOB, faults.changed(faults.damaged))
    blobs = make_blobs(tmp_path)
    with session(mirrors={fake.host: (mirror.host,)}) as ours:
        puller = Puller(ours)
        image = puller.resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
        puller.fetch(image, image.manifest.layers, blobs)
    assert len(list(blobs)) == 2
    assert fake.requests("/manifests/") == []


def test_what_mirrors_said_is_told(fake: FakeRegistry, mirror: FakeRegistry) -> None:
    mirror.fault("/manifests/", faults.status(500))
    with session(mirrors={fake.host: (mirror.host,)}) as ours, pytest.raises(UnknownName) as caught:
        Puller(ours).resolve(Reference.parse(f"{fake.host}/x:nope"), AMD64)
    assert f"mirror {mirror.host}: {mirror.host} answered 500" in (caught.value.hint or "")


def test_platforms(fake: FakeRegistry) -> None:
    arm = make_image(LAYER, architecture="arm64")
    index = make_index(
        entry(IMAGE, platform={"os": "linux", "architecture": "amd64"}),
        entry(arm, platform={"os": "linux", "architecture": "arm64"}),
        {**entry(arm), "digest": f"sha256:{'0' * 64}", "platform": {"os": "unknown", "architecture": "unknown"}},
    )
    _put(fake, arm, index)
    with session() as ours:
        puller, name = Puller(ours), Reference.parse(f"{fake.host}/x:many")
        assert puller.resolve(name, Platform("linux", "arm64")).config == arm.config
        assert puller.resolve(name, AMD64).config == IMAGE.config
        with pytest.raises(UnknownName, match="has no image for linux/s390x") as caught:
            puller.resolve(name, Platform("linux", "s390x"))
    assert caught.value.hint == "it has linux/amd64, linux/arm64: choose one with --platform"


def _put(fake: FakeRegistry, image: MadeImage, index: bytes) -> None:
    fake.put_image("x", image)
    fake.put_manifest("x", index, INDEX, "many")


def test_an_index_without_images(fake: FakeRegistry) -> None:
    fake.put_manifest("x", make_index(), INDEX, "none")
    with session() as ours, pytest.raises(UnknownName) as caught:
        Puller(ours).resolve(Reference.parse(f"{fake.host}/x:none"), AMD64)
    assert caught.value.hint == "it has no images at all"


def test_docker_schema_2(fake: FakeRegistry, tmp_path: Path) -> None:
    raw = IMAGE.manifest
    for ours, theirs in (
        (b"oci.image.manifest.v1+json", b"docker.distribution.manifest.v2+json"),
        (b"oci.image.config.v1+json", b"docker.container.image.v1+json"),
        (b"oci.image.layer.v1.tar+gzip", b"docker.image.rootfs.diff.tar.gzip"),
        (b"oci.image.layer.v1.tar", b"docker.image.rootfs.diff.tar"),
    ):
        raw = raw.replace(ours, theirs)
    fake.put_manifest("x", raw, "application/vnd.docker.distribution.manifest.v2+json", "1")
    fetch(fake, tmp_path)
