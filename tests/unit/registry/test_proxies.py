import pytest

from registry.proxies import Proxies, from_docker_config, from_environment, is_loopback


@pytest.mark.parametrize(
    ("exceptions", "host", "port", "direct"),
    [
        ("", "r.example", 443, False),
        ("*", "r.example", 443, True),
        ("r.example", "r.example", 443, True),
        ("example", "r.example", 443, True),
        (".example", "r.example", 443, True),
        (".r.example", "r.example", 443, False),
        ("*.example", "r.example", 443, True),
        ("xample", "r.example", 443, False),
        ("a, r.example:5000 b", "r.example", 5000, True),
        ("r.example:5000", "r.example", 443, False),
        ("R.EXAMPLE", "r.example", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/99", "10.1.2.3", 443, False),
        ("fe80::1", "fe80::1", 443, True),
        ("", "localhost", 443, True),
        ("", "127.3.2.1", 443, True),
        ("", "::1", 443, True),
    ],
)
def test_exceptions(exceptions: str, host: str, port: int, direct: bool) -> None:
    proxies = Proxies.of({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": exceptions})
    assert proxies.choose("https", host, port) == ("" if direct else "http://proxy:3128")


def test_where_they_come_from() -> None:
    config = {"proxies": {"default": {"httpProxy": "http://config:1", "httpsProxy": "http://config:2", "noProxy": "x"}}}
    environ = {"https_proxy": "lower:3", "HTTPS_PROXY": "http://upper:4"}
    proxies = Proxies.of(environ, config)
    assert proxies == Proxies("http://config:1", "http://lower:3", ("x",))
    assert proxies.choose("http", "r.example", 80) == "http://config:1"


@pytest.mark.parametrize("config", [{}, {"proxies": 5}, {"proxies": {"default": {"httpProxy": 5}}}])
def test_configs_that_say_nothing(config: dict[str, object]) -> None:
    assert Proxies.of({}, config) == Proxies()


def test_passwords_are_not_shown() -> None:
    assert "secret" not in repr(Proxies("http://u:secret@p:1", "http://u:secret@p:1"))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("[::1]", True), ("a.localhost", True), ("127.0.0.1.evil.org", False),
     ("localhost.evil.org", False), ("10.0.0.1", False), ("1270.0.0.1", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


CONFIG = {
    "proxies": {
        "default": {"httpProxy": "http://d:1", "noProxy": "x", "allProxy": "", "ftpProxy": 3},
        "tcp://far:2376": {"httpsProxy": "http://f:2"},
    }
}


def test_those_of_a_daemon_take_the_place_of_the_default() -> None:
    assert from_docker_config(CONFIG, "") == {"HTTP_PROXY": "http://d:1", "NO_PROXY": "x"}
    assert from_docker_config(CONFIG, "tcp://far:2376") == {"HTTPS_PROXY": "http://f:2"}
    assert from_docker_config({"proxies": {"unix:///var/run/docker.sock": {"httpProxy": "s"}}}, "") == {
        "HTTP_PROXY": "s"
    }
    assert Proxies.of({"DOCKER_HOST": "tcp://far:2376"}, CONFIG) == Proxies("", "http://f:2")


@pytest.mark.parametrize("config", [{}, {"proxies": []}, {"proxies": {"default": "no"}}, {"proxies": None}])
def test_a_config_without_proxies(config: dict[str, object]) -> None:
    assert from_docker_config(config, "") == {}


def test_those_of_the_environment() -> None:
    assert from_environment({"http_proxy": "low", "HTTP_PROXY": "up", "ALL_PROXY": "a", "no_proxy": ""}) == {
        "HTTP_PROXY": "low",
        "ALL_PROXY": "a",
    }
