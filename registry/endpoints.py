"""Where a repository is to be found: mirrors first, then the registry itself, each with its settings. Pure.

Rules of buildkitd.toml's ``[registry."host"]`` for ``config.toml``, and of containers-registries.conf(5), version 2.
"""

from collections.abc import Sequence
from typing import Any

from layers.names import DEFAULT_HOST
from layers.tuples import NamedTuple
from registry.errors import SettingsError

HUB = "registry-1.docker.io"
"""The host that answers for ``docker.io``."""


class HostSettings(NamedTuple):
    """How to talk to one host. ``ca``: files of certificates trusted besides the system's; ``client``: files of a
    certificate and its key. ``http``: plain HTTP; ``insecure``: HTTPS unverified, and plain HTTP if that fails.
    ``token_hosts``: foreign hosts whose token service may see this host's credentials. ``unverified``: HTTPS without
    looking at the certificate, and nothing else. ``dial_s``: seconds to connect in, None for the usual ones.
    """

    ca: tuple[str, ...] = ()
    client: tuple[str, str] | None = None
    http: bool = False
    insecure: bool = False
    token_hosts: tuple[str, ...] = ()
    unverified: bool = False
    dial_s: float | None = None


class Endpoint(NamedTuple):
    """One place to ask. ``host`` with its port; ``key`` is the host that credentials and settings are filed under."""

    host: str
    key: str
    repository: str
    settings: HostSettings
    mirror: bool = False


class Mirror(NamedTuple):
    """``location`` is a host, perhaps with a path. ``use``: ``all``, ``digest-only`` or ``tag-only``."""

    location: str
    use: str = "all"


class Rule(NamedTuple):
    """A ``[[registry]]`` of registries.conf: names below ``prefix`` are found below ``location``."""

    prefix: str
    location: str
    mirrors: tuple[Mirror, ...] = ()
    blocked: bool = False

    def rest(self, name: str) -> str | None:
        """What follows the prefix in ``host/repository``; None when the rule does not apply."""
        if self.prefix.startswith("*."):
            host, slash, path = name.partition("/")
            plain = host.partition(":")[0]
            return slash + path if plain.endswith(self.prefix[1:]) else None
        if name == self.prefix or name.startswith(self.prefix + "/"):
            return name[len(self.prefix) :]
        return None


def network_host(host: str) -> str:
    return HUB if host == DEFAULT_HOST else host


def combined(first: HostSettings, second: HostSettings) -> HostSettings:
    """Both: trust of either, and the client certificate of the first that has one."""
    return HostSettings(
        ca=tuple(dict.fromkeys(first.ca + second.ca)),
        client=first.client or second.client,
        http=first.http or second.http,
        insecure=first.insecure or second.insecure,
        token_hosts=first.token_hosts + second.token_hosts,
        unverified=first.unverified or second.unverified,
        dial_s=first.dial_s if second.dial_s is None else second.dial_s,
    )


class Table:
    """A TOML table that is read key by key, with the file's name in what it complains of."""

    def __init__(self, document: Any, path: str, name: str) -> None:
        self._path = path
        self._name = name
        if not isinstance(document, dict):
            raise self.error("is not a table")
        self._document: dict[str, Any] = document

    def error(self, problem: str) -> SettingsError:
        where = f"{self._path}: {self._name}" if self._name else self._path
        return SettingsError(f"{where} {problem}")

    def only(self, known: Sequence[str]) -> None:
        """Raises SettingsError for a key nobody would read."""
        for key in self._document:
            if key not in known:
                raise self.error(f"has the unknown key {key!r}; known are {', '.join(known)}")

    def flag(self, key: str) -> bool:
        value = self._document.get(key, False)
        if not isinstance(value, bool):
            raise self.error(f"says {key!r}, which is neither true nor false")
        return value

    def text(self, key: str) -> str:
        value = self._document.get(key, "")
        if not isinstance(value, str):
            raise self.error(f"says {key!r}, which is not a string")
        return value

    def raw(self, key: str) -> Any:
        """None when it is not there."""
        return self._document.get(key)

    def one_or_more(self, key: str) -> tuple[str, ...]:
        """A string, or a list of them."""
        value = self._document.get(key)
        return (value,) if isinstance(value, str) else self.texts(key)

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.error(f"says {key!r}, which is not a list of strings")
        return tuple(value)

    def tables(self, key: str) -> "tuple[Table, ...]":
        value = self._document.get(key, [])
        if not isinstance(value, list):
            raise self.error(f"says {key!r}, which is not an array of tables")
        return tuple(Table(item, self._path, f"{key}[{number}]") for number, item in enumerate(value))

    def named(self, key: str) -> "tuple[tuple[str, Table], ...]":
        value = self._document.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"says {key!r}, which is not a table")
        return tuple((name, Table(item, self._path, f'{key}."{name}"')) for name, item in value.items())


def parse_config(document: Any, path: str) -> tuple[dict[str, HostSettings], dict[str, tuple[str, ...]]]:
    """``config.toml``: settings and mirrors by host. Raises SettingsError, also for keys it does not know."""
    top = Table(document, path, "")
    top.only(("registry",))
    hosts, mirrors = {}, {}
    for host, table in top.named("registry"):
        table.only(("mirrors", "http", "insecure", "ca", "keypair", "token-hosts"))
        pairs = table.tables("keypair")
        if len(pairs) > 1:
            raise table.error("has more than one keypair")
        for pair in pairs:
            pair.only(("cert", "key"))
            if not (pair.text("cert") and pair.text("key")):
                raise pair.error("needs both 'cert' and 'key'")
        hosts[host] = HostSettings(
            ca=table.texts("ca"),
            client=(pairs[0].text("cert"), pairs[0].text("key")) if pairs else None,
            http=table.flag("http"),
            insecure=table.flag("insecure"),
            token_hosts=table.texts("token-hosts"),
        )
        mirrors[host] = tuple(_location(table, text) for text in table.texts("mirrors"))
    return hosts, mirrors


def _location(table: Table, text: str) -> str:
    if "://" in text or not text.strip("/"):
        raise table.error(f"has {text!r}, which is not a host with an optional path")
    return text.strip("/")


def parse_registries_conf(document: Any, path: str) -> tuple[tuple[Rule, ...], frozenset[str]]:
    """The rules of registries.conf, and the hosts it calls insecure. Short names and aliases are not looked at:
    names mean what they mean to Docker. Raises SettingsError, also for version 1.
    """
    top = Table(document, path, "")
    if isinstance(document.get("registries"), dict):
        raise top.error("is of version 1 ([registries.search]): write it as [[registry]]")
    rules, insecure = [], set()
    for table in top.tables("registry"):
        location = table.text("location").strip("/")
        prefix = table.text("prefix").strip("/") or location
        if not prefix:
            raise table.error("has neither a prefix nor a location")
        if table.flag("insecure"):
            insecure.add((location or prefix).partition("/")[0])
        digests = table.flag("mirror-by-digest-only")
        mirrors = []
        for mirror in table.tables("mirror"):
            place = _location(mirror, mirror.text("location"))
            use = mirror.text("pull-from-mirror") or ("digest-only" if digests else "all")
            if use not in {"all", "digest-only", "tag-only"}:
                raise mirror.error(f"says pull-from-mirror = {use!r}; it is all, digest-only or tag-only")
            if mirror.flag("insecure"):
                insecure.add(place.partition("/")[0])
            mirrors.append(Mirror(place, use))
        rules.append(Rule(prefix, location, tuple(mirrors), table.flag("blocked")))
    return tuple(rules), frozenset(insecure)
