"""The OCI image model: descriptors, configs, manifests and indexes, parsed from and encoded to bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from layers.digest import BlobDigest, DiffId


@dataclass(frozen=True, slots=True)
class Platform:
    os: str
    architecture: str
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Refers to bytes, never holds them (image-spec descriptor.md). ``size`` in bytes."""

    media_type: str
    digest: BlobDigest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Durations in nanoseconds, 0 when not given (then left out of the JSON)."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """``created`` is RFC 3339 text, None when absent."""

    created: str | None = None
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True)
class ImageConfig:
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
    extra: Mapping[str, Any] = field(default_factory=dict)
    config_extra: Mapping[str, Any] = field(default_factory=dict)
