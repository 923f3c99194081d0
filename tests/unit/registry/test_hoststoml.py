"""containerd's hosts.toml: what is read, in which order it is asked, and what is refused."""

import tomllib
from pathlib import Path

import pytest

from registry.endpoints import HostSettings
from registry.errors import SettingsError
from registry.hoststoml import Namespace, parse_hosts_toml
from registry.reference import Reference
from registry.registries import Registries
from registry.settings import load, places

FULL = """
server = "https://r.example"
ca = "server.pem"

[host."https://one.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = ["a.pem", "/b.pem"]
  client = [["c.cert", "c.key"]]
  dial_timeout = "1m1.5s"

[host."http://two.example/v2/cache/hub"]
  capabilities = ["pull"]
  override_path = true
  skip_verify = true

[host."three.example"]
  capabilities = ["push"]
  client = "both.pem"
"""


def parsed(text: str) -> Namespace:
    return parse_hosts_toml(tomllib.loads(text), "hosts.toml", "/dir")


def registries(text: str, name: str = "r.example") -> Registries:
    return Registries({"r.example": HostSettings(insecure=True)}, {}, (), {name: parsed(text)})


def test_everything() -> None:
    found = parsed(FULL)
    assert found.server is not None
    assert found.server.settings == HostSettings(ca=("/dir/server.pem",))
    one, two, three = found.hosts
    assert one.location == "one.example:5000"
    assert one.settings == HostSettings(ca=("/dir/a.pem", "/b.pem"), client=("/dir/c.cert", "/dir/c.key"), dial_s=61.5)
    assert two.location == "two.example/cache/hub"
    assert two.settings == HostSettings(http=True, unverified=True)
    assert three.settings.client == ("/dir/both.pem", "/dir/both.pem")


def places_of(name: str) -> list[tuple[str, str, bool]]:
    found = registries(FULL).sources(Reference.parse(name).tagged())
    return [(endpoint.host, endpoint.repository, endpoint.mirror) for endpoint in found]


def test_tags_ask_who_resolves_and_digests_who_pulls() -> None:
    origin = ("r.example", "team/app", False)
    one = ("one.example:5000", "team/app", True)
    assert places_of("r.example/team/app:1") == [one, origin]
    by_digest = places_of("r.example/team/app@sha256:" + "0" * 64)
    assert by_digest == [one, ("two.example", "cache/hub/team/app", True), origin]


def test_pushes_go_to_who_is_capable_of_it() -> None:
    name = Reference.parse("r.example/team/app:1")
    assert registries(FULL).target(name).host == "three.example"
    only = registries('[host."https://m.example"]\ncapabilities = ["pull"]')
    assert only.target(name).host == "r.example"


def test_the_server_keeps_the_name_its_credentials_are_filed_under() -> None:
    found = registries('server = "http://inner.example:80"').sources(Reference.parse("r.example/app:1"))
    (origin,) = found
    assert (origin.host, origin.key, origin.repository) == ("inner.example:80", "r.example", "app")
    assert origin.settings == HostSettings(http=True, insecure=True)


def test_the_default_is_for_the_others() -> None:
    found = registries('[host."https://m.example"]', "_default")
    assert [endpoint.host for endpoint in found.sources(Reference.parse("x.example/app:1"))] == [
        "m.example",
        "x.example",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[host."https://m"]\nheader = {x = "y"}', "unknown key 'header'"),
        ('ca = "x"', "names none"),
        ('[host."ftp://m"]', "no address of a registry"),
        ('[host."https://a@m"]', "no address of a registry"),
        ('[host."https://m/path"]', "address with a path"),
        ('[host."https://m/v2/path"]', "address with a path"),
        ('[host."https://m"]\ncapabilities = ["fly"]', "unknown capability 'fly'"),
        ('[host."https://m"]\nclient = [["a", "b"], ["c", "d"]]', "'client'"),
        ('[host."https://m"]\ndial_timeout = "soon"', "no duration"),
        ('[host."https://m"]\nskip_verify = "yes"', "neither true nor false"),
    ],
)
def test_refused(text: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        parsed(text)


def test_where_the_files_are(tmp_path: Path) -> None:
    for owner, name, mirror in (
        ("containerd", "r.example:5000", "a.example"),
        ("docker", "r.example_5000_", "b.example"),
        ("containerd", "_default", "c.example"),
    ):
        directory = tmp_path / owner / "certs.d" / name
        directory.mkdir(parents=True)
        (directory / "hosts.toml").write_text(f'[host."https://{mirror}"]')
    found = load(places({"HOME": "/nowhere"}, tmp_path))
    assert sorted(found.namespaces) == ["_default", "r.example:5000"]
    assert found.sources(Reference.parse("r.example:5000/app"))[0].host == "b.example"
    assert found.sources(Reference.parse("x.example/app"))[0].host == "c.example"
