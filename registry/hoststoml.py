"""``hosts.toml``: where a registry is found, as containerd is told. Pure.

Source: containerd, docs/hosts.md. Every ``[host."URL"]`` is tried in the order of the file, then ``server``. Of what a
host is capable of, tags need both ``pull`` and ``resolve``, digests ``pull`` alone.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from layers.tuples import NamedTuple
from registry.endpoints import HostSettings, Table

DEFAULT = "_default"
"""The directory for registries that have none of their own."""

_KEYS = ("capabilities", "ca", "client", "skip_verify", "override_path", "dial_timeout")
_CAPABILITIES = ("pull", "resolve", "push")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class TomlHost(NamedTuple):
    """``location`` is a host, perhaps with a path that goes before names of repositories."""

    location: str
    can: frozenset[str]
    settings: HostSettings


class Namespace(NamedTuple):
    """What one ``hosts.toml`` says; ``server`` None: the registry itself."""

    hosts: tuple[TomlHost, ...]
    server: TomlHost | None


def parse_hosts_toml(document: Any, path: str, base: str) -> Namespace:
    """Files named in it are relative to ``base``. Raises SettingsError, also for what is not supported."""
    top = Table(document, path, "")
    top.only(("server", "host", *_KEYS))
    hosts = tuple(_host(url, table, base) for url, table in top.named("host"))
    server = top.text("server")
    if server:
        return Namespace(hosts, _host(server, top, base))
    if any(key in document for key in _KEYS):
        raise top.error('says how to reach a server, but names none: add server = "https://..."')
    return Namespace(hosts, None)


def _host(url: str, table: Table, base: str) -> TomlHost:
    table.only(("server", "host", *_KEYS))
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or parts.query:
        raise table.error(f"is no address of a registry: {url!r}")
    capabilities = table.texts("capabilities") or _CAPABILITIES
    unknown = next((word for word in capabilities if word not in _CAPABILITIES), None)
    if unknown is not None:
        raise table.error(f"has the unknown capability {unknown!r}; known are {', '.join(_CAPABILITIES)}")
    settings = HostSettings(
        ca=tuple(_file(base, name) for name in table.one_or_more("ca")),
        client=_client(table, base),
        http=parts.scheme == "http",
        unverified=table.flag("skip_verify"),
        dial_s=_seconds(table, table.text("dial_timeout")),
    )
    location = parts.netloc + _prefix(table, parts.path.rstrip("/"))
    return TomlHost(location, frozenset(capabilities), settings)


def _prefix(table: Table, path: str) -> str:
    """The path of an address is that of the API; what comes after /v2 in it belongs to names of repositories."""
    if path in {"", "/v2"}:
        return ""
    if table.flag("override_path") and path.startswith("/v2/"):
        return path.removeprefix("/v2")
    raise table.error("has an address with a path: only /v2/... with override_path = true is supported")


def _file(base: str, name: str) -> str:
    return name if name.startswith("/") else f"{base}/{name}"


def _client(table: Table, base: str) -> tuple[str, str] | None:
    """A file that holds both, or a pair of certificate and key, or a list with one of these."""
    given = table.raw("client")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    match given:
        case None:
            return None
        case str(name):
            return _file(base, name), _file(base, name)
        case [str(certificate), str(key)]:
            return _file(base, certificate), _file(base, key)
        case _:
            raise table.error("says 'client', which is neither a file nor a pair [certificate, key]")


def _seconds(table: Table, text: str) -> float | None:
    if not text:
        return None
    found = _DURATION.findall(text)
    if "".join(number + unit for number, unit in found) != text:
        raise table.error(f"says dial_timeout = {text!r}, which is no duration like 200ms or 3s")
    return sum(float(number) * _UNITS[unit] for number, unit in found)
