import tomllib

import pytest

from registry.endpoints import Endpoint, HostSettings, parse_config, parse_registries_conf
from registry.errors import SettingsError
from registry.reference import Reference
from registry.registries import Registries


def registries(config: str = "", conf: str = "") -> Registries:
    hosts, mirrors = parse_config(tomllib.loads(config), "config.toml")
    rules, insecure = parse_registries_conf(tomllib.loads(conf), "registries.conf")
    return Registries({**hosts, **{host: HostSettings(insecure=True) for host in insecure}}, mirrors, rules)


def places(found: tuple[Endpoint, ...]) -> list[str]:
    return [f"{one.host}/{one.repository}{' (mirror)' if one.mirror else ''}" for one in found]


def test_the_registry_itself() -> None:
    found = registries().sources(Reference.parse("r.example:5000/team/app:1"))
    assert found == (Endpoint("r.example:5000", "r.example:5000", "team/app", HostSettings()),)


def test_docker_hub() -> None:
    found = registries().sources(Reference.parse("debian"))
    assert found == (Endpoint("registry-1.docker.io", "docker.io", "library/debian", HostSettings()),)


def test_config() -> None:
    found = registries(
        """
        [registry."docker.io"]
        mirrors = ["mirror.example:5000", "cache.example/hub/"]
        [registry."mirror.example:5000"]
        http = true
        [registry."r.example"]
        insecure = true
        ca = ["a.pem", "b.pem"]
        token-hosts = ["auth.example"]
        [[registry."r.example".keypair]]
        key = "k"
        cert = "c"
        """
    )
    hub = found.sources(Reference.parse("debian"))
    assert places(hub) == [
        "mirror.example:5000/library/debian (mirror)",
        "cache.example/hub/library/debian (mirror)",
        "registry-1.docker.io/library/debian",
    ]
    assert hub[0].settings == HostSettings(http=True)
    wanted = HostSettings(("a.pem", "b.pem"), ("c", "k"), False, True, ("auth.example",))
    assert found.target(Reference.parse("r.example/x")).settings == wanted
    assert not found.target(Reference.parse("debian")).mirror


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[registry."a"]\nmirors = []', "has the unknown key 'mirors'; known are mirrors, http"),
        ("[registries]", "has the unknown key 'registries'"),
        ("registry = 5", "says 'registry', which is not a table"),
        ('[registry."a"]\nhttp = "yes"', "says 'http', which is neither true nor false"),
        ('[registry."a"]\nca = "x"', "says 'ca', which is not a list of strings"),
        ('[registry."a"]\nmirrors = ["https://m"]', "is not a host with an optional path"),
        ('[[registry."a".keypair]]\nkey = "k"', "needs both 'cert' and 'key'"),
        ('[registry]\n"a" = 5', "is not a table"),
    ],
)
def test_configs_with_mistakes(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        registries(text)
    assert said in caught.value.message
    assert caught.value.message.startswith("config.toml")


CONF = """
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "r.example/team"
location = "inner.example:5000/t"
[[registry.mirror]]
location = "m1.example/x"
insecure = true
[[registry.mirror]]
location = "m2.example"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "m3.example"
pull-from-mirror = "tag-only"
[[registry]]
location = "blocked.example"
blocked = true
[[registry]]
prefix = "*.wild.example"
[[registry.mirror]]
location = "wild-cache.example"
[[registry]]
prefix = "r.example/team/special"
location = "special.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m4.example"
"""
PINNED = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("r.example/team/app:1",
         ["m1.example/x/app (mirror)", "m3.example/app (mirror)", "inner.example:5000/t/app"]),
        (f"r.example/team/app@{PINNED}",
         ["m1.example/x/app (mirror)", "m2.example/app (mirror)", "inner.example:5000/t/app"]),
        ("r.example/teams/app:1", ["r.example/teams/app"]),
        ("r.example/team/special/a:1", ["special.example/a"]),
        (f"r.example/team/special/a@{PINNED}", ["m4.example/a (mirror)", "special.example/a"]),
        ("a.wild.example:5000/b", ["wild-cache.example/b (mirror)", "a.wild.example:5000/b"]),
        ("wild.example/b", ["wild.example/b"]),
    ],
)  # fmt: skip
def test_registries_conf(name: str, found: list[str]) -> None:
    assert places(registries(conf=CONF).sources(Reference.parse(name))) == found


def test_insecure_and_push() -> None:
    found = registries(conf=CONF)
    assert found.settings("m1.example").insecure
    target = found.target(Reference.parse("r.example/team/app:1"))
    assert (target.host, target.repository) == ("inner.example:5000", "t/app")


def test_blocked() -> None:
    found = registries(conf=CONF)
    for use in (found.sources, found.target):
        with pytest.raises(SettingsError, match=r"is blocked by registries\.conf"):
            use(Reference.parse("blocked.example/x"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[registries.search]\nregistries = []", "is of version 1"),
        ("[[registry]]\nblocked = true", "has neither a prefix nor a location"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "x"',
         "it is all, digest-only or tag-only"),
        ('[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true', "is not a host"),
        ("registry = 5", "is not an array of tables"),
        ("registry = [5]", "is not a table"),
    ],
)  # fmt: skip
def test_confs_with_mistakes(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        registries(conf=text)
    assert said in caught.value.message
