"""Three applications by way of a private registry: built on a base that comes from it, pushed to it, taken from it by
skopeo, Podman and Docker Engine, and run by the last.

Their steps take packages from Debian, PyPI and npm, as this machine is set to (fixtures/apps/host_settings.py).
"""

import gzip
import io
import json
import shutil
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import FIXTURES
from tests.support.builds import EPOCH, Bench, Built
from tests.support.certificates import Authority
from tests.support.peers import Docker, Podman, dockerd, run
from tests.support.processes import settle
from tests.support.registries import free_port
from tests.support.sites import Site, private_site
from tests.support.users import UserBench, ordinary_user

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_tool("docker-registry", "dockerd", "skopeo", "podman", "mmdebstrap"),
    pytest.mark.slow,
]

APPS = ("c-static", "flask", "node")
SERVICES = ("flask", "node")
MARK = "seen-in-build-stages-only"
PATIENCE_S = 60
"""How long a service may take until it listens and is healthy."""


class Shop(NamedTuple):
    """The registry, what was pushed to it by name of the application, and the folder the builds were made from."""

    site: Site
    apps: Path
    built: dict[str, Built]

    def image(self, app: str) -> str:
        return f"{self.site.host}/team/{app}:1"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Somebody is logged in, and ``team/debian:bookworm`` is there."""
    directory = tmp_path_factory.mktemp("site")
    with private_site(directory, Authority(tmp_path_factory.mktemp("authority"))) as found:
        assert found.trust().login().returncode == 0
        pusher = Bench(directory / "store")
        pusher.load("debian", base_of(found))
        pusher.pybuild("push", base_of(found), env=found.env)
        settle(pusher.store)
        yield found
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def shop(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All three are built, two at a time, in a store that had nothing."""
    directory = tmp_path_factory.mktemp("shop")
    apps = copy_of_apps(directory)
    bench = Bench(directory / "store")
    yield Shop(site, apps, build_all(bench, site, apps, "1"))
    settle(bench.store)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def archives(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """What skopeo takes from the registry, by name of the application."""
    directory = tmp_path_factory.mktemp("archives")
    found = {app: directory / f"{app}.tar" for app in APPS}
    known = ("--src-cert-dir", shop.site.certificates, "--src-authfile", shop.site.credentials)
    for app, archive in found.items():
        run("skopeo", "copy", *known, f"docker://{shop.image(app)}", f"oci-archive:{archive}")
    yield found
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    directory = tmp_path_factory.mktemp("docker")
    with dockerd(directory, on_the_network=True) as running:
        yield running
    shutil.rmtree(directory)


def base_of(site: Site) -> str:
    return f"{site.host}/team/debian:bookworm"


def copy_of_apps(directory: Path) -> Path:
    """fixtures/apps with this machine's settings, each file of which has a mark in it."""
    apps = directory / "apps"
    shutil.copytree(FIXTURES / "apps", apps, ignore=shutil.ignore_patterns(".host"))
    run(sys.executable, apps / "host_settings.py")
    for app in SERVICES:
        for file in (apps / app / ".host").iterdir():
            with file.open("a") as settings:
                settings.write(f"# {MARK} {directory}\n")
    return apps


def build_all(bench: Bench, site: Site, apps: Path, tag: str) -> dict[str, Built]:
    env = {**site.env, "SOURCE_DATE_EPOCH": EPOCH}

    def build(app: str) -> Built:
        name = f"{site.host}/team/{app}:{tag}"
        return bench.build("--build-arg", f"BASE={base_of(site)}", "--push", "-t", name, apps / app, env=env)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(APPS, pool.map(build, APPS), strict=True))


def test_the_base_comes_from_the_registry(shop: Shop) -> None:
    for built in shop.built.values():
        bases = {title for title in built.titles().values() if title.startswith("FROM ")} - {"FROM scratch"}
        assert {base.partition("@")[0] for base in bases} == {f"FROM {base_of(shop.site)}"}


@pytest.mark.needs_tool("newuidmap", "newgidmap", "useradd")
def test_an_ordinary_user_builds_and_pushes_the_same(shop: Shop) -> None:
    """With other settings in the build stages, and nothing of the first builds."""
    with ordinary_user(subordinate=True) as user:
        site = shop.site._replace(home=user.home).trust()
        shutil.copyfile(shop.site.credentials, site.credentials)
        apps = copy_of_apps(user.home)
        run("chown", "-R", f"{user.name}:", user.home)
        bench = UserBench(user, user.home / "store")
        built = build_all(bench, site, apps, "by-user")
        settle(bench.store)
        run(*bench.command("prune", "--all"), env=bench.environment())
    assert {app: one.executed() for app, one in built.items()} == {
        app: one.executed() for app, one in shop.built.items()
    }
    assert {app: one.digest for app, one in built.items()} == {app: one.digest for app, one in shop.built.items()}


@pytest.mark.parametrize("app", APPS)
def test_skopeo_takes_it(app: str, shop: Shop, archives: dict[str, Path]) -> None:
    inspected = run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{archives[app]}")
    assert inspected.strip() == shop.built[app].digest


@pytest.mark.parametrize("app", APPS)
def test_podman_takes_it(app: str, shop: Shop, tmp_path: Path) -> None:
    podman, name = Podman(tmp_path), shop.image(app)
    known = ("--cert-dir", shop.site.certificates, "--authfile", shop.site.credentials)
    image_id = podman.command("pull", "-q", *known, name).strip()
    assert f"sha256:{image_id}" == shop.built[app].image_id
    assert podman.command("image", "inspect", "--format", "{{.Digest}}", name).strip() == shop.built[app].digest
    shutil.rmtree(tmp_path)


def test_c_program_runs_under_docker(shop: Shop, docker: Docker) -> None:
    with pulled(docker, shop, "c-static") as name:
        assert docker.command("run", "--rm", name) == "Hello, world, from a static C program.\n"


def test_flask_runs_under_docker(shop: Shop, docker: Docker) -> None:
    with pulled(docker, shop, "flask") as name, running(docker, name) as (container, address):
        code, page = ask(f"{address}/")
        assert (code, "<h1>Guest book</h1>" in page) == (200, True)
        assert ask(f"{address}/", b"name=%3Cme%3E")[0] == 200
        assert "&lt;me&gt;" in ask(f"{address}/")[1]
        assert json.loads(ask(f"{address}/entries")[1]) == {"entries": ["<me>"], "user": 10001}
        await_health(docker, container)


def test_node_runs_under_docker(shop: Shop, docker: Docker) -> None:
    with pulled(docker, shop, "node") as name, running(docker, name) as (_, address):
        code, page = ask(f"{address}/")
        assert (code, "<h1>Notes</h1>" in page) == (200, True)
        assert ask(f"{address}/notes", b"first") == (201, '{"count":1}\n')
        assert json.loads(ask(f"{address}/notes")[1]) == {"notes": ["first"], "user": 10001}


@pytest.mark.parametrize("app", SERVICES)
def test_nothing_of_the_host_is_in_the_image(app: str, archives: dict[str, Path]) -> None:
    config, layers = image(archives[app])
    assert "SOURCE_DATE_EPOCH" in config
    assert not [word for word in (MARK, "/host", ".host", "PIP_", "NPM_") if word in config]
    names: set[str] = set()
    for layer in layers:
        assert MARK.encode() not in layer
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            names |= set(tar.getnames())
    assert "srv/service.py" in names or "srv/server.js" in names
    assert not [name for name in names if ".host" in name or name.partition("/")[0] == "host"]


def image(archive: Path) -> tuple[str, Iterator[bytes]]:
    """Config and layers of an OCI archive with one image, layers decompressed."""

    def blob(descriptor: dict[str, Any]) -> bytes:
        file = tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/"))
        assert file is not None
        return file.read()

    with tarfile.open(archive) as tar:
        index = tar.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]))
        layers = [blob(layer) for layer in manifest["layers"]]
        return blob(manifest["config"]).decode(), map(gzip.decompress, layers)


@contextmanager
def pulled(docker: Docker, shop: Shop, app: str) -> Iterator[str]:
    """Docker takes registries on loopback as they are; the password is that of ``pybuild login``."""
    name, digest = shop.image(app), shop.built[app].digest
    assert f"Digest: {digest}\n" in docker.command("--config", shop.site.home, "pull", name)
    (inspected,) = json.loads(docker.command("image", "inspect", name))
    assert inspected["Id"] == shop.built[app].image_id
    assert inspected["RepoDigests"] == [f"{name.rpartition(':')[0]}@{digest}"]
    yield name
    docker.command("rmi", name)


@contextmanager
def running(docker: Docker, image: str) -> Iterator[tuple[str, str]]:
    """A container, and the address where it listens: it has done so once by now."""
    port = free_port()
    container = docker.command("run", "-d", "--network", "host", "-e", f"PORT={port}", image).strip()
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(OSError):
                ask(f"http://127.0.0.1:{port}/")
                break
            assert time.monotonic() < deadline, docker.command("logs", container)
            time.sleep(0.05)
        yield container, f"http://127.0.0.1:{port}"
    finally:
        docker.command("rm", "-f", container)


def ask(url: str, data: bytes | None = None) -> tuple[int, str]:
    """The status and text of an answer; OSError when there is none, or an error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data, timeout=10) as answer:
        return answer.status, answer.read().decode()


def await_health(docker: Docker, container: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        (inspected,) = json.loads(docker.command("inspect", container))
        health = inspected["State"]["Health"]
        if health["Status"] == "healthy":
            return
        assert health["Status"] == "starting" and time.monotonic() < deadline, health
        time.sleep(0.2)
