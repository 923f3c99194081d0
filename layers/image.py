"""The OCI image model: platforms, descriptors and configs; ``manifest`` has what refers to them. Pure.

Formats: image-spec descriptor.md and config.md, and Docker's image specification 1.2 for what its configs hold
besides. Key order is that of BuildKit, so that equal images have equal digests.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from layers.digest import BlobDigest, DiffId, Digest
from layers.gojson import Reader, dumps, loads
from layers.tuples import NamedTuple

_ARCHITECTURES = {
    "x86_64": ("amd64", None),
    "x86-64": ("amd64", None),
    "aarch64": ("arm64", None),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv8l": ("arm", "v8"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", None),
    "i486": ("386", None),
    "i586": ("386", None),
    "i686": ("386", None),
    "loongarch64": ("loong64", None),
}
"""Other names of architectures: what uname reports, what Debian and containerd's platforms package accept."""

_KNOWN = frozenset(
    {"386", "amd64", "arm", "arm64", "loong64", "mips64", "mips64le", "ppc64", "ppc64le", "riscv64", "s390x"}
)
_DEFAULT_VARIANT = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
"""The variant an architecture without one means."""

_SYSTEM = r"[a-z0-9_-]+(\([a-z0-9_.%-]*(\+[a-z0-9_.%-]+)*\))?"
_COMPONENT = r"[a-z0-9_.-]+"
_NAMED = re.compile(f"(?:{_SYSTEM}|{_COMPONENT})(/{_COMPONENT}){{0,2}}", re.ASCII)
"""What containerd's platforms package takes for a platform's name: a system's own may have its version behind it."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Platform(NamedTuple):
    """``variant`` is as written in the image; ``normalized`` makes two platforms comparable."""

    os: str
    architecture: str
    variant: str | None = None

    @classmethod
    def parse(cls, text: str, own: "Platform | None" = None) -> Self:
        """``linux/arm/v7``, ``linux/amd64`` or ``arm64``, normalized; a system alone has the architecture of ``own``.
        Raises ValueError for what names no platform."""
        parts = text.lower().split("/")
        if _NAMED.fullmatch(text.lower()) is None:
            raise ValueError(f"not a platform: {text!r}")
        if parts == ["linux"] and own is not None:
            parts += [part for part in (own.architecture, own.variant) if part]
        if len(parts) == 1:
            if _spell(parts[0])[0] not in _KNOWN:
                raise ValueError(f"not a platform: {text!r}; write it as os/architecture, like linux/amd64")
            parts.insert(0, "linux")
        return cls(parts[0], parts[1], parts[2] if len(parts) == 3 else None).normalized()

    def normalized(self) -> Self:
        """In Go's names, with a variant exactly where leaving it out would mean another machine, and on every arm."""
        architecture, implied = _spell(self.architecture)
        variant = self.variant or implied or _DEFAULT_VARIANT.get(architecture)
        if variant is not None and variant.isdigit():
            variant = f"v{variant}"
        if architecture in {"amd64", "arm64"} and variant == _DEFAULT_VARIANT[architecture]:
            variant = None
        return type(self)(self.os, architecture, variant)

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def _spell(architecture: str) -> tuple[str, str | None]:
    return _ARCHITECTURES.get(architecture, (architecture, None))


def host_platform(machine: str) -> Platform:
    """The platform of a Linux host whose uname reports ``machine``."""
    return Platform("linux", machine.lower()).normalized()


class Descriptor(NamedTuple):
    """Refers to bytes, never holds them (image-spec descriptor.md). ``size`` in bytes."""

    media_type: str
    digest: BlobDigest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()


class Healthcheck(NamedTuple):
    """Durations in nanoseconds, 0 when not given (then left out of the JSON)."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class History(NamedTuple):
    """``created`` is RFC 3339 text, None when absent."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


class ImageConfig(NamedTuple):
    """A config. ``extra`` keeps unknown keys of the top level, ``config_extra`` those of ``config``."""

    platform: Platform
    env: tuple[tuple[str, str], ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str = ""
    user: str = ""
    shell: tuple[str, ...] | None = None
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    args_escaped: bool = False
    author: str = ""
    diff_ids: tuple[DiffId, ...] = ()
    history: tuple[History, ...] = ()
    created: str | None = None
    os_version: str | None = None
    os_features: tuple[str, ...] = ()
    extra: Mapping[str, Any] = _NOTHING
    config_extra: Mapping[str, Any] = _NOTHING

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Raises InvalidImage for what is not a config with a platform and a list of layers."""
        document = Reader(loads(raw, "image config"), "image config")
        config = document.child("config") or Reader({}, "image config: config")
        if not document.text("os") or not document.text("architecture"):
            raise document.error("it names no os or no architecture")
        _check_no_nul(config)
        return cls(
            platform=Platform(document.text("os"), document.text("architecture"), document.text("variant") or None),
            env=tuple(_pair(word) for word in config.texts("Env") or ()),
            entrypoint=config.texts("Entrypoint"),
            cmd=config.texts("Cmd"),
            workdir=config.text("WorkingDir"),
            user=config.text("User"),
            shell=config.texts("Shell"),
            ports=config.names("ExposedPorts"),
            volumes=config.names("Volumes"),
            labels=config.pairs("Labels"),
            stop_signal=config.text("StopSignal") or None,
            healthcheck=_healthcheck(config.child("Healthcheck")),
            onbuild=config.texts("OnBuild") or (),
            args_escaped=config.flag("ArgsEscaped"),
            author=document.text("author"),
            diff_ids=_diff_ids(document),
            history=tuple(_history(entry) for entry in document.children("history")),
            created=document.text("created") or None,
            os_version=document.text("os.version") or None,
            os_features=document.texts("os.features") or (),
            extra=document.rest(_CONFIG_KEYS),
            config_extra=config.rest(_RUN_KEYS),
        )


_CONFIG_KEYS = frozenset(
    {"architecture", "author", "config", "created", "history", "os", "os.features", "os.version", "rootfs", "variant"}
)
_RUN_KEYS = frozenset(
    {"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"}
    | {"ArgsEscaped", "Healthcheck", "OnBuild", "Shell"}
)


def _check_no_nul(config: Reader) -> None:
    """What commands are started with ends at a NUL for the kernel: an image that has one was made to deceive."""
    for key in ("Env", "Shell"):
        if any("\0" in word for word in config.texts(key) or ()):
            raise config.error(f"{key!r} holds a NUL character")
    for key in ("WorkingDir", "User"):
        if "\0" in config.text(key):
            raise config.error(f"{key!r} holds a NUL character")


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name, value


def _diff_ids(document: Reader) -> tuple[DiffId, ...]:
    rootfs = document.child("rootfs")
    if rootfs is None:
        return ()
    return tuple(DiffId(_digest(rootfs, text)) for text in rootfs.texts("diff_ids") or ())


def _digest(document: Reader, text: str) -> Digest:
    try:
        return Digest.parse(text)
    except ValueError as error:
        raise document.error(str(error)) from error


def _history(entry: Reader) -> History:
    return History(
        created=entry.text("created") or None,
        created_by=entry.text("created_by"),
        comment=entry.text("comment"),
        author=entry.text("author"),
        empty_layer=entry.flag("empty_layer"),
    )


def _healthcheck(found: Reader | None) -> Healthcheck | None:
    if found is None:
        return None
    return Healthcheck(
        test=found.texts("Test") or (),
        interval=found.integer("Interval"),
        timeout=found.integer("Timeout"),
        start_period=found.integer("StartPeriod"),
        start_interval=found.integer("StartInterval"),
        retries=found.integer("Retries"),
    )


def encode(config: ImageConfig) -> bytes:
    """The config's JSON: compact, the top level in alphabetical order, ``config`` in the order of Docker's type.

    Absent things are left out, but ``created``, ``history`` and ``diff_ids``, which BuildKit writes as null.
    """
    document = {
        "architecture": config.platform.architecture,
        "config": _run_document(config),
        "created": config.created,
        "history": [_history_document(entry) for entry in config.history] or None,
        "os": config.platform.os,
        "rootfs": {"type": "layers", "diff_ids": [str(diff_id) for diff_id in config.diff_ids] or None},
        **_filled(
            {
                "author": config.author,
                "os.features": list(config.os_features),
                "os.version": config.os_version,
                "variant": config.platform.variant,
            }
        ),
        **config.extra,
    }
    return dumps(dict(sorted(document.items())))


def _filled(document: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, as Go's ``omitempty``."""
    return {key: value for key, value in document.items() if value}


def _run_document(config: ImageConfig) -> dict[str, Any]:
    check = config.healthcheck
    before: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in sorted(config.ports)},
        "Env": [f"{name}={value}" for name, value in config.env],
        "Entrypoint": list(config.entrypoint or ()),
        "Cmd": list(config.cmd or ()),
        "Volumes": {path: {} for path in sorted(config.volumes)},
        "WorkingDir": config.workdir,
        "Labels": dict(sorted(config.labels)),
        "StopSignal": config.stop_signal,
        "ArgsEscaped": config.args_escaped,
    }
    after = {"OnBuild": list(config.onbuild), "Shell": list(config.shell or ())}
    health = {} if check is None else {"Healthcheck": _healthcheck_document(check)}
    return {**_filled(before), **health, **_filled(after), **config.config_extra}


def _healthcheck_document(check: Healthcheck) -> dict[str, Any]:
    return _filled(
        {
            "Test": list(check.test),
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "StartInterval": check.start_interval,
            "Retries": check.retries,
        }
    )


def _history_document(entry: History) -> dict[str, Any]:
    return _filled(
        {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
    )
