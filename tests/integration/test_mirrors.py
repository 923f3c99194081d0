"""Bases that come through mirrors, as each of the three files of settings names them; and mirrors that are down."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.faults import reset
from tests.fakes.registry import FakeRegistry
from tests.support.builds import Bench, write_tree
from tests.support.images import make_image, make_layer
from tests.support.registries import free_port

pytestmark = [pytest.mark.needs_root]

IMAGE = make_image(make_layer({"file": b"of the base"}))
Configure = Callable[[Path, str, str], dict[str, str]]
"""Writes the settings of a registry with a mirror; gives the environment that finds them."""


def config_toml(home: Path, origin: str, mirror: str) -> dict[str, str]:
    text = f'[registry."{origin}"]\nmirrors = ["{mirror}"]\n'
    write_tree(home, {".config/pybuild/config.toml": text})
    return {}


def registries_conf(home: Path, origin: str, mirror: str) -> dict[str, str]:
    text = f'[[registry]]\nlocation = "{origin}"\n[[registry.mirror]]\nlocation = "{mirror}"\n'
    write_tree(home, {"registries.conf": text})
    return {"CONTAINERS_REGISTRIES_CONF": str(home / "registries.conf")}


def hosts_toml(home: Path, origin: str, mirror: str) -> dict[str, str]:
    text = f'[host."http://{mirror}"]\ncapabilities = ["pull", "resolve"]\n'
    write_tree(home, {f".config/containerd/certs.d/{origin}/hosts.toml": text})
    return {}


WAYS = pytest.mark.parametrize("configure", [config_toml, registries_conf, hosts_toml])


@pytest.fixture
def origin() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        registry.put_image("team/base", IMAGE, "1")
        yield registry


@pytest.fixture
def mirror() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        registry.put_image("team/base", IMAGE, "1")
        yield registry


def build(tmp_path: Path, origin: FakeRegistry, mirror: str, configure: Configure) -> str:
    """What the file of the base says in an image built on it."""
    context = write_tree(tmp_path / "context", {"Dockerfile": f"FROM {origin.host}/team/base:1\nCOPY Dockerfile /\n"})
    env = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": "", **configure(tmp_path / "home", origin.host, mirror)}
    bench = Bench(tmp_path / "store")
    bench.build("-o", f"type=local,dest={tmp_path / 'out'}", context, env=env)
    return (tmp_path / "out/file").read_text()


@WAYS
def test_the_mirror_gives_all(tmp_path: Path, origin: FakeRegistry, mirror: FakeRegistry, configure: Configure) -> None:
    assert build(tmp_path, origin, mirror.host, configure) == "of the base"
    assert mirror.requests("GET .*/blobs/")
    assert not origin.requests(".*/(blobs|manifests)/")


@WAYS
def test_nobody_at_the_mirror(tmp_path: Path, origin: FakeRegistry, configure: Configure) -> None:
    assert build(tmp_path, origin, f"127.0.0.1:{free_port()}", configure) == "of the base"
    assert origin.requests("GET .*/blobs/")


@WAYS
def test_a_mirror_that_breaks_in_the_middle(
    tmp_path: Path, origin: FakeRegistry, mirror: FakeRegistry, configure: Configure
) -> None:
    """It has the manifest, and resets the connection when asked for what the manifest lists."""
    mirror.fault("GET .*/blobs/", reset)
    assert build(tmp_path, origin, mirror.host, configure) == "of the base"
    assert origin.requests("GET .*/blobs/")


@WAYS
def test_a_mirror_without_the_image(tmp_path: Path, origin: FakeRegistry, configure: Configure) -> None:
    with FakeRegistry().running() as empty:
        assert build(tmp_path, origin, empty.host, configure) == "of the base"
        assert empty.requests(".*/manifests/1")
