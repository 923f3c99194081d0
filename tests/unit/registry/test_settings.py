from pathlib import Path

import pytest

from registry.endpoints import HostSettings
from registry.errors import SettingsError
from registry.reference import Reference
from registry.settings import load, places


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    return tmp_path / "etc"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def test_nothing_anywhere(etc: Path, environ: dict[str, str]) -> None:
    found = load(places(environ, etc))
    assert (found.hosts, found.mirrors, found.rules) == ({}, {}, ())


def test_the_first_config_counts(etc: Path, environ: dict[str, str], tmp_path: Path) -> None:
    write(etc / "pybuild/config.toml", '[registry."a"]\nhttp = true')
    assert load(places(environ, etc)).settings("a").http
    write(tmp_path / "home/.config/pybuild/config.toml", '[registry."b"]\nhttp = true')
    found = load(places(environ, etc))
    assert (found.settings("a").http, found.settings("b").http) == (False, True)
    environ["PYBUILD_CONFIG"] = write(tmp_path / "named.toml", '[registry."c"]\nca = ["x.pem", "/abs.pem"]')
    assert load(places(environ, etc)).hosts == {"c": HostSettings(ca=(str(tmp_path / "x.pem"), "/abs.pem"))}


def test_certs_d_of_docker_and_podman(etc: Path, environ: dict[str, str], tmp_path: Path) -> None:
    docker = write(etc / "docker/certs.d/r.example:5000/ca.crt")
    podman = write(etc / "containers/certs.d/r.example:5000/other.crt")
    own = write(tmp_path / "home/.config/containers/certs.d/r.example:5000/client.cert")
    key = write(tmp_path / "home/.config/containers/certs.d/r.example:5000/client.key")
    write(etc / "docker/certs.d/README")
    write(tmp_path / "home/.config/pybuild/config.toml", '[registry."r.example:5000"]\nca = ["/first.pem"]')
    found = load(places(environ, etc)).settings("r.example:5000")
    assert found == HostSettings(ca=("/first.pem", podman, docker), client=(own, key))


@pytest.mark.parametrize("name", ["client.cert", "client.key"])
def test_half_a_client_certificate(etc: Path, environ: dict[str, str], name: str) -> None:
    write(etc / "docker/certs.d/r.example" / name)
    with pytest.raises(SettingsError, match=r"has no client\.(key|cert) beside it"):
        load(places(environ, etc))


def test_registries_conf_and_its_drop_ins(etc: Path, environ: dict[str, str]) -> None:
    write(etc / "containers/registries.conf", '[[registry]]\nlocation = "a"\nblocked = true')
    write(etc / "containers/registries.conf.d/10.conf", '[[registry]]\nlocation = "a"\ninsecure = true')
    write(etc / "containers/registries.conf.d/20.conf", '[[registry]]\nprefix = "b"\nlocation = "c"')
    write(etc / "containers/registries.conf.d/ignored.txt", "not toml")
    found = load(places(environ, etc))
    assert found.target(Reference.parse("b/x")).repository == "b/x"
    assert [(rule.prefix, rule.blocked) for rule in found.rules] == [("a", False), ("b", False)]
    assert found.settings("a").insecure


def test_registries_conf_named_in_the_environment(etc: Path, environ: dict[str, str], tmp_path: Path) -> None:
    write(etc / "containers/registries.conf.d/10.conf", "not toml")
    environ["CONTAINERS_REGISTRIES_CONF"] = write(tmp_path / "r.conf", '[[registry]]\nlocation = "z"')
    assert [rule.prefix for rule in load(places(environ, etc)).rules] == ["z"]


def test_a_file_that_is_no_toml(etc: Path, environ: dict[str, str]) -> None:
    path = write(etc / "pybuild/config.toml", "[[[")
    with pytest.raises(SettingsError, match="cannot read") as caught:
        load(places(environ, etc))
    assert path in caught.value.message


def test_a_home_of_somebody_else(etc: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(SettingsError, match=r"cannot look for .*: Permission denied"):
        load(places(environ, etc))
