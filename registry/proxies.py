"""Which proxy a host is reached through: HTTP_PROXY, HTTPS_PROXY, NO_PROXY, or Docker's config.json. Pure.

Rules of Go's httpproxy package, which Docker and Podman follow: lower-case names count too, loopback is never
proxied, and NO_PROXY lists hosts, domains, addresses, networks and ports.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

_LOOPBACK = re.compile(r"localhost\Z|127(\.\d{1,3}){3}\Z|::1\Z|.*\.localhost\Z")


def is_loopback(host: str) -> bool:
    """``host`` without a port."""
    return bool(_LOOPBACK.match(host.strip("[]").lower()))


class Proxies(NamedTuple):
    """URLs of proxies, "" for none. They may hold a password: ``repr`` hides them."""

    http: str = ""
    https: str = ""
    exceptions: tuple[str, ...] = ()

    @classmethod
    def of(cls, environ: Mapping[str, str], docker_config: Mapping[str, Any] | None = None) -> Self:
        """From the environment, and for what it does not say from ``proxies.default`` of Docker's config.json."""
        default = (docker_config or {}).get("proxies")
        default = default.get("default") if isinstance(default, dict) else None
        values = default if isinstance(default, dict) else {}

        def one(name: str, key: str) -> str:
            value = environ.get(name.lower()) or environ.get(name.upper()) or values.get(key)
            return value if isinstance(value, str) else ""

        words = re.split(r"[,\s]+", one("no_proxy", "noProxy"))
        return cls(
            _url(one("http_proxy", "httpProxy")),
            _url(one("https_proxy", "httpsProxy")),
            tuple(word.lower() for word in words if word),
        )

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
