"""What pybuild writes, taken by other tools: skopeo, umoci, and the Docker Engine."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.request import OutputSpec
from layers.image import Platform
from layers.load import load
from layers.store import Store
from tests.conftest import REPOSITORY
from tests.support import stored
from tests.support.peers import Docker, dockerd, run
from tests.support.stored import FLAT
from tests.support.validate import validate

NAME = "docker.io/me/app:1"
pytestmark = pytest.mark.needs_root


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    with dockerd(tmp_path_factory.mktemp("docker")) as running:
        yield running


def exported(store: Store, path: Path, *, kind: str = "oci", compression: str = "gzip", tar: bool = True) -> str:
    """Writes the image and gives its id."""
    built = stored.build(store)
    stored.export(store, built, stored.request(OutputSpec(kind, str(path), compression, tar=tar), tags=(NAME,)))
    return str(built.stored.id)


@pytest.mark.needs_tool("skopeo", "umoci")
@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("tar", [True, False])
def test_skopeo_copies_and_umoci_unpacks(store: Store, tmp_path: Path, compression: str, tar: bool) -> None:
    image_id = exported(store, tmp_path / "image", compression=compression, tar=tar)
    source = f"oci-archive:{tmp_path / 'image'}:1" if tar else f"oci:{tmp_path / 'image'}:1"
    seen = json.loads(run("skopeo", "inspect", "--config", "--raw", source))
    assert seen["rootfs"]["type"] == "layers"
    run("skopeo", "copy", source, f"oci:{tmp_path / 'copy'}:1")
    assert validate_copy(tmp_path / "copy") == image_id
    if compression == "zstd":
        return  # Debian's umoci knows no zstd
    run("umoci", "unpack", "--image", f"{tmp_path / 'copy'}:1", tmp_path / "bundle")
    check_tree(tmp_path / "bundle/rootfs")


def validate_copy(path: Path) -> str:
    """The image id in a layout that another tool wrote."""
    (entry,) = json.loads((path / "index.json").read_bytes())["manifests"]
    manifest = json.loads((path / "blobs" / entry["digest"].replace(":", "/")).read_bytes())
    found: str = manifest["config"]["digest"]
    return found


def check_tree(root: Path) -> None:
    assert {str(path.relative_to(root)) for path in root.rglob("*")} == set(FLAT)
    for name, (kind, mode, uid, content) in FLAT.items():
        status = (root / name).lstat()
        assert status.st_uid == uid
        assert kind == "symlink" or status.st_mode & 0o7777 == mode
        if kind == "file":
            assert (root / name).read_bytes() == content
    assert (root / "data/twin").samefile(root / "data/kept")


@pytest.mark.needs_tool("umoci")
def test_umoci_unpacks_the_directory_itself(store: Store, tmp_path: Path) -> None:
    exported(store, tmp_path / "image", tar=False)
    run("umoci", "unpack", "--image", f"{tmp_path / 'image'}:1", tmp_path / "bundle")
    check_tree(tmp_path / "bundle/rootfs")


def inspected(docker: Docker, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker.command("image", "inspect", name))
    return found[0]


@pytest.mark.needs_tool("dockerd")
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_docker_loads_the_archive(store: Store, tmp_path: Path, docker: Docker, compression: str) -> None:
    image_id = exported(store, tmp_path / "image.tar", kind="docker", compression=compression)
    assert docker.command("load", "-i", tmp_path / "image.tar") == "Loaded image: me/app:1\n"
    check_loaded(docker, image_id, tmp_path)


@pytest.mark.needs_tool("dockerd")
def test_straight_into_the_engine(store: Store, tmp_path: Path, docker: Docker) -> None:
    built = stored.build(store)
    asked = stored.request(OutputSpec("load", None), tags=(NAME,), docker_host=docker.host)
    stored.export(store, built, asked)
    check_loaded(docker, str(built.stored.id), tmp_path)


def check_loaded(docker: Docker, image_id: str, tmp_path: Path) -> None:
    """The engine has the image, under its name and with its files; it is removed again."""
    found = inspected(docker, "me/app:1")
    assert found["Id"] == image_id
    assert found["RepoTags"] == ["me/app:1"]
    container = docker.command("create", "me/app:1", "none").strip()
    docker.command("export", "-o", tmp_path / "root.tar", container)
    with tarfile.open(tmp_path / "root.tar") as archive:
        names = set(archive.getnames())
    assert set(FLAT) <= names
    assert not names & {"data/deleted", "old/hidden"}
    docker.command("rm", container)
    docker.command("rmi", "me/app:1")


@pytest.mark.needs_tool("dockerd")
def test_what_docker_saves_comes_back(store: Store, tmp_path: Path, docker: Docker) -> None:
    image_id = exported(store, tmp_path / "image.tar", kind="docker")
    docker.command("load", "-i", tmp_path / "image.tar")
    docker.command("save", "-o", tmp_path / "saved.tar", "me/app:1")
    docker.command("rmi", "me/app:1")
    with Store.open(str(tmp_path / "other")) as other:
        (loaded,) = load(other, str(tmp_path / "saved.tar"), platform=Platform("linux", "amd64"))
        assert str(loaded.id) == image_id
        assert loaded.names == (NAME,)
        kept = other.image(NAME)
        assert kept is not None
        assert other.tree(kept.rootfs).lookup(b"data/deleted") is None
        assert other.tree(kept.rootfs).lookup(b"data/kept") is not None


@pytest.mark.needs_tool("skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes_comes_back(store: Store, tmp_path: Path, form: str) -> None:
    image_id = exported(store, tmp_path / "image")
    name = ":me/app:1" if form == "docker-archive" else ":1"
    run("skopeo", "copy", f"oci-archive:{tmp_path / 'image'}:1", f"{form}:{tmp_path / 'copy'}{name}")
    with Store.open(str(tmp_path / "other")) as other:
        (loaded,) = load(other, str(tmp_path / "copy"), platform=Platform("linux", "amd64"))
        assert other.check() == []
    assert str(loaded.id) == image_id


EXPORT = """
import sys
from builder.request import OutputSpec
from layers.store import Store
from tests.support import stored
with Store.open(sys.argv[1]) as store:
    built = stored.build(store)
    print("ready", flush=True)
    while True:
        stored.export(store, built, stored.request(OutputSpec(sys.argv[2], sys.argv[3]), tags=("docker.io/me/app:1",)))
"""


@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
@pytest.mark.parametrize("delay_ms", range(0, 60, 6))
def test_killed_while_writing(tmp_path: Path, kind: str, delay_ms: int) -> None:
    """The file is there whole or not at all, and nothing else is."""
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", EXPORT, str(tmp_path / "store"), kind, str(out / "image.tar")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        process.wait(delay_ms / 1000)
    except subprocess.TimeoutExpired:
        process.kill()
    process.wait()
    process.stdout.close()
    left = [path for path in out.iterdir() if path.name != "image.tar"]
    assert all(path.name.startswith(".pybuild-") for path in left)
    assert len(left) <= 1, "the moment between naming a whole file and renaming it leaves one at most"
    if (out / "image.tar").exists():
        if kind == "tar":
            with tarfile.open(out / "image.tar") as archive:
                assert set(archive.getnames()) == set(FLAT)
        else:
            validate(out / "image.tar")
