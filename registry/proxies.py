"""Which proxy a host is reached through: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, or Docker's config.json. Pure.

Rules of Go's httpproxy package, which Docker and Podman follow: lower-case names count too, loopback is never
proxied, and NO_PROXY lists hosts, domains, addresses, networks and ports.
"""

import re
from collections.abc import Mapping
from typing import Any, Self

from layers.tuples import NamedTuple

DOCKER_HOST = "unix:///var/run/docker.sock"
_LOOPBACK = r"localhost\Z|127(\.\d{1,3}){3}\Z|::1\Z|.*\.localhost\Z"


NAMES = {
    "HTTP_PROXY": "httpProxy",
    "HTTPS_PROXY": "httpsProxy",
    "FTP_PROXY": "ftpProxy",
    "NO_PROXY": "noProxy",
    "ALL_PROXY": "allProxy",
}
"""Variables, which have lower-case twins, and what Docker's config.json calls them."""


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """By upper-case name; of two that differ the lower-case one counts. Empty ones are none."""
    found = {name: environ.get(name.lower()) or environ.get(name) or "" for name in NAMES}
    return {name: value for name, value in found.items() if value}


def from_docker_config(config: Mapping[str, Any], docker_host: str) -> dict[str, str]:
    """``proxies`` of Docker's config.json, by upper-case name: those of the daemon's address ("" is the usual one)
    instead of the default ones, as the docker command line chooses them."""
    proxies = config.get("proxies")
    if not isinstance(proxies, dict):
        return {}
    chosen = proxies.get(docker_host or DOCKER_HOST, proxies.get("default"))
    if not isinstance(chosen, dict):
        return {}
    found = {name: chosen.get(key) for name, key in NAMES.items()}
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def is_loopback(host: str) -> bool:
    """``host`` without a port."""
    return bool(re.match(_LOOPBACK, host.strip("[]").lower()))


class Proxies(NamedTuple):
    """URLs of proxies, "" for none. They may hold a password: ``repr`` hides them."""

    http: str = ""
    https: str = ""
    exceptions: tuple[str, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str], docker_config: Mapping[str, Any] | None = None) -> Self:
        """From the environment, and for what it does not say from Docker's config.json."""
        given = from_environment(environ)
        values = from_docker_config(docker_config or {}, environ.get("DOCKER_HOST") or "")

        def one(name: str) -> str:
            return given.get(name) or values.get(name, "")

        words = re.split(r"[,\s]+", one("NO_PROXY"))
        return cls(_url(one("HTTP_PROXY")), _url(one("HTTPS_PROXY")), tuple(word.lower() for word in words if word))

    def __repr__(self) -> str:
        return f"Proxies(http={bool(self.http)}, https={bool(self.https)}, exceptions={self.exceptions})"

    def choose(self, scheme: str, host: str, port: int) -> str:
        """The proxy for a request, "" for none."""
        proxy = self.https if scheme == "https" else self.http
        if not proxy or is_loopback(host) or any(_matches(word, host, port) for word in self.exceptions):
            return ""
        return proxy


def _url(text: str) -> str:
    return text if not text or "://" in text else f"http://{text}"


def _matches(word: str, host: str, port: int) -> bool:
    host = host.strip("[]").lower()
    if word == "*":
        return True
    name, colon, wanted = word.rpartition(":")
    if colon and wanted.isdigit() and ":" not in name.strip("[]"):
        if int(wanted) != port:
            return False
        word = name
    word = word.strip("[]")
    if "/" in word:
        return _in_network(host, word)
    if word.startswith("*."):
        word = word[1:]
    if word.startswith("."):
        return host.endswith(word)
    return host == word or host.endswith("." + word)


def _in_network(host: str, network: str) -> bool:
    """IPv4 in CIDR notation."""
    base, _, bits = network.partition("/")
    address, start = _number(host), _number(base)
    if address is None or start is None or not bits.isdigit() or int(bits) > 32:
        return False
    shift = 32 - int(bits)
    return address >> shift == start >> shift


def _number(text: str) -> int | None:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        return None
    return int.from_bytes(bytes(int(part) for part in parts), "big")
