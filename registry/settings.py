"""Reads the settings of registries: pybuild's config.toml, certs.d of Docker, Podman and containerd, registries.conf.

Sources: docs.docker.com "Verify repository client with certificates", containers-certs.d(5),
containers-registries.conf(5), containers-registries.conf.d(5), containerd's docs/hosts.md.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layers.tuples import NamedTuple
from registry.endpoints import HostSettings, Rule, combined, parse_config, parse_registries_conf
from registry.errors import SettingsError
from registry.hoststoml import Namespace, parse_hosts_toml
from registry.registries import Registries

_PORT = re.compile(r"_(\d+)_\Z")


class Places(NamedTuple):
    """The files and directories to look at, the most telling first; what does not exist is passed over.

    ``config``: the first that exists counts. ``certs``: all count. ``registries``: the first that exists counts,
    then all of ``drop_ins`` (directories) in order of their names.
    """

    config: tuple[Path, ...]
    certs: tuple[Path, ...]
    registries: tuple[Path, ...]
    drop_ins: tuple[Path, ...]


def places(environ: Mapping[str, str], etc: Path = Path("/etc")) -> Places:
    """From PYBUILD_CONFIG, CONTAINERS_REGISTRIES_CONF, XDG_CONFIG_HOME and HOME."""
    home = Path(environ.get("HOME") or "/")
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = environ.get("PYBUILD_CONFIG")
    conf = environ.get("CONTAINERS_REGISTRIES_CONF")
    return Places(
        config=(Path(named),) if named else (user / "pybuild/config.toml", etc / "pybuild/config.toml"),
        certs=tuple(
            top / f"{owner}/certs.d" for top in (user, etc) for owner in ("containers", "docker", "containerd")
        ),
        registries=(Path(conf),) if conf else (user / "containers/registries.conf", etc / "containers/registries.conf"),
        drop_ins=() if conf else (etc / "containers/registries.conf.d", user / "containers/registries.conf.d"),
    )


def load(where: Places) -> Registries:
    """Raises SettingsError for a file that cannot be read or understood."""
    hosts: dict[str, HostSettings] = {}
    mirrors: dict[str, tuple[str, ...]] = {}
    config = _first(where.config)
    if config is not None:
        hosts, mirrors = parse_config(_toml(config), str(config))
        hosts = {host: _absolute(settings, config.parent) for host, settings in hosts.items()}
    rules, insecure = _rules(where)
    for host, settings in _certificates(where.certs).items():
        hosts[host] = combined(hosts.get(host, HostSettings()), settings)
    for host in insecure:
        hosts[host] = hosts.get(host, HostSettings())._replace(insecure=True)
    return Registries(hosts, mirrors, rules, _namespaces(where.certs))


def _first(paths: tuple[Path, ...]) -> Path | None:
    for path in paths:
        try:
            if path.exists():
                return path
        except OSError as error:
            raise SettingsError(
                f"cannot look for {path}: {error.strerror}",
                hint="set HOME and XDG_CONFIG_HOME to directories of your own",
            ) from error
    return None


def _toml(path: Path) -> dict[str, Any]:
    import tomllib  # most hosts have no such file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read {path}: {error}", hint="correct the file, or move it away") from error


def _absolute(settings: HostSettings, base: Path) -> HostSettings:
    """Files named in config.toml are relative to it."""
    client = settings.client
    return settings._replace(
        ca=tuple(str(base / name) for name in settings.ca),
        client=None if client is None else (str(base / client[0]), str(base / client[1])),
    )


def _rules(where: Places) -> tuple[tuple[Rule, ...], frozenset[str]]:
    main = _first(where.registries)
    paths = [] if main is None else [main]
    for directory in where.drop_ins:
        paths += sorted(directory.glob("*.conf"))
    rules: dict[str, Rule] = {}
    insecure: frozenset[str] = frozenset()
    for path in paths:
        found, unsafe = parse_registries_conf(_toml(path), str(path))
        # A later file takes the place of what an earlier one says of the same prefix.
        rules |= {rule.prefix: rule for rule in found}
        insecure |= unsafe
    return tuple(rules.values()), insecure


def _certificates(directories: tuple[Path, ...]) -> dict[str, HostSettings]:
    found: dict[str, HostSettings] = {}
    for directory in directories:
        try:
            hosts = sorted(path for path in directory.iterdir() if path.is_dir())
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            # What this user may not look at was not put there for this user.
            continue
        for host in hosts:
            found[host.name] = combined(found.get(host.name, HostSettings()), _host_directory(host))
    return found


def _namespaces(directories: tuple[Path, ...]) -> dict[str, Namespace]:
    """Of several files for one registry the first counts. A port may be written as in ``host_5000_``."""
    found: dict[str, Namespace] = {}
    for directory in directories:
        try:
            files = sorted(path for path in directory.glob("*/hosts.toml") if path.is_file())
        except PermissionError:
            continue
        for path in files:
            name = _PORT.sub(r":\1", path.parent.name)
            found.setdefault(name, parse_hosts_toml(_toml(path), str(path), str(path.parent)))
    return found


def _host_directory(directory: Path) -> HostSettings:
    """``*.crt`` are authorities; ``x.cert`` and ``x.key`` are a client's certificate and key."""
    try:
        files = sorted(directory.iterdir())
    except PermissionError:
        return HostSettings()
    client = None
    for path in files:
        if path.suffix not in {".cert", ".key"}:
            continue
        pair = path.with_suffix(".cert"), path.with_suffix(".key")
        missing = next((part for part in pair if part not in files), None)
        if missing is not None:
            raise SettingsError(
                f"{path} has no {missing.name} beside it",
                hint="a client certificate is a pair NAME.cert and NAME.key; authorities end in .crt",
            )
        client = client or (str(pair[0]), str(pair[1]))
    return HostSettings(ca=tuple(str(path) for path in files if path.suffix == ".crt"), client=client)
