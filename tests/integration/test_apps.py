"""Applications built from start to end on real bases, run under Docker, taken by other tools, and built twice alike.

The bases are made out of Debian's packages by fixtures/images/make.py and kept below fixtures/images/out; the steps of
fixtures/apps install packages with apt-get, so these tests need the archive they come from.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FIXTURES
from tests.support.builds import EPOCH, Bench
from tests.support.peers import Docker, dockerd, run
from tests.support.processes import settle

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

GREETING = "Hello, world, from a static C program.\n"
AGREEMENT = "gcc and python3 agree on 42\n"
C_STATIC, APT = FIXTURES / "apps" / "c-static", FIXTURES / "apps" / "apt"
PARITY = FIXTURES / "parity"
CASES = sorted(
    path.name for path in PARITY.iterdir() if (path / "Dockerfile").exists() and not path.name.startswith("refused-")
)
REPRODUCIBLE = {"SOURCE_DATE_EPOCH": EPOCH}


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    scratch = tmp_path_factory.mktemp("apps")
    bench = Bench(scratch / "store")
    bench.load("debian", "debian:bookworm")
    yield bench
    settle(bench.store)
    shutil.rmtree(scratch)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """What the cases of fixtures/parity are built on."""
    scratch = tmp_path_factory.mktemp("twice")
    bench = Bench(scratch / "store")
    bench.load("busybox", "base")
    yield bench
    settle(bench.store)
    shutil.rmtree(scratch)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    directory = tmp_path_factory.mktemp("docker")
    with dockerd(directory) as running:
        yield running
    shutil.rmtree(directory)


def build_twice(bench: Bench, scratch: Path, context: Path, *flags: str) -> tuple[str, Path]:
    """The manifest digest of two builds without cache, in different seconds, and the second one's archive."""
    digests = []
    archive = scratch / "image.tar"
    for _ in range(2):
        built = bench.build("--no-cache", *flags, "-o", f"type=oci,dest={archive}", context, env=REPRODUCIBLE)
        assert set(built.outcomes().values()) <= {"run"}
        digests.append(built.digest)
        wait_for_next_second()
    assert digests[0] == digests[1]
    assert skopeo_digest(archive) == digests[0]
    return digests[0], archive


def wait_for_next_second() -> None:
    """Times in layers are whole seconds: builds within one would be equal by chance."""
    now = time.time()  # noqa: TID251 - the clock that the builds read
    time.sleep(1 - now % 1 + 0.01)


def skopeo_digest(archive: Path) -> str:
    return run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{archive}").strip()


@pytest.mark.needs_tool("dockerd", "skopeo", "umoci", "mmdebstrap")
def test_c_program_ships_static(debian: Bench, docker: Docker, tmp_path: Path) -> None:
    _, archive = build_twice(debian, tmp_path, C_STATIC)
    loaded = debian.build("--load", "-t", "hello:1", C_STATIC, env={**REPRODUCIBLE, "DOCKER_HOST": docker.host})
    assert not loaded.executed()
    assert docker.command("run", "--rm", "hello:1") == GREETING
    assert docker.command("run", "--rm", "hello:1", "you") == GREETING.replace("world", "you")
    docker.command("rmi", "hello:1")

    debian.build("-o", f"type=docker,dest={tmp_path / 'docker.tar'}", "-t", "hello:2", C_STATIC, env=REPRODUCIBLE)
    assert docker.command("load", "-i", tmp_path / "docker.tar") == "Loaded image: hello:2\n"
    assert docker.command("run", "--rm", "hello:2") == GREETING
    (inspected,) = json.loads(docker.command("image", "inspect", "hello:2"))
    assert inspected["Id"] == loaded.image_id
    assert len(inspected["RootFS"]["Layers"]) == 1

    run("skopeo", "copy", f"oci-archive:{archive}", f"oci:{tmp_path / 'layout'}:1")
    run("umoci", "unpack", "--image", f"{tmp_path / 'layout'}:1", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert [path.name for path in root.iterdir()] == ["hello"]
    assert run(root / "hello", "unpacked") == GREETING.replace("world", "unpacked")


@pytest.mark.needs_tool("umoci", "skopeo", "mmdebstrap")
def test_other_tools_take_a_layout_directory(debian: Bench, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    built = debian.build("-o", f"type=oci,tar=false,dest={layout}", "-t", "hello:3", C_STATIC, env=REPRODUCIBLE)
    run("umoci", "unpack", "--image", f"{layout}:3", tmp_path / "bundle")
    assert run(tmp_path / "bundle" / "rootfs" / "hello", "you") == GREETING.replace("world", "you")
    run("skopeo", "copy", f"oci:{layout}:3", f"docker-archive:{tmp_path / 'copy.tar'}:hello:3")
    debian.pybuild("load", "-i", tmp_path / "copy.tar")
    assert run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{layout}:3").strip() == built.digest


@pytest.mark.needs_tool("dockerd", "skopeo", "mmdebstrap")
def test_packages_of_the_archive(debian: Bench, docker: Docker, tmp_path: Path) -> None:
    build_twice(debian, tmp_path, APT)
    loaded = debian.build("--load", "-t", "tools:1", APT, env={**REPRODUCIBLE, "DOCKER_HOST": docker.host})
    assert not loaded.executed()
    assert docker.command("run", "--rm", "tools:1") == AGREEMENT
    assert "bookworm" in docker.command("run", "--rm", "tools:1", "cat", "/etc/os-release")
    docker.command("rmi", "tools:1")


@pytest.mark.needs_tool("busybox", "skopeo", "setfattr", "setcap", "zstd", "xz", "bzip2")
@pytest.mark.parametrize("case", CASES)
def test_two_builds_are_equal(case: str, bases: Bench, tmp_path: Path) -> None:
    context, flags = parity_context(case, tmp_path / "context")
    build_twice(bases, tmp_path, context, *flags)


def parity_context(case: str, to: Path) -> tuple[Path, list[str]]:
    """A copy of the case's folder without what steers its test, and the flags of its build (test_parity.py)."""
    shutil.copytree(PARITY / case, to)
    steering = {}
    for name in ("setup.sh", "arguments", "message"):
        steering[name] = (to / name).read_text() if (to / name).exists() else ""
        (to / name).unlink(missing_ok=True)
    subprocess.run(["bash", "-ec", "umask 022\n" + steering["setup.sh"]], cwd=to, check=True)
    return to, steering["arguments"].split()
