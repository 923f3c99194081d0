"""What one build was asked to do. Made from flags and environment by ``from_flags``; nothing later reads either."""

from dataclasses import dataclass, field
from typing import NamedTuple

from layers.image import Platform


class OutputSpec(NamedTuple):
    """One ``-o``. ``dest`` is a path, or "-" for standard output; None when the type needs none."""

    type: str
    """``oci``, ``docker``, ``tar``, ``local`` or ``load``."""
    dest: str | None
    compression: str = "gzip"
    compression_level: int | None = None
    tar: bool = True
    """False: ``oci`` writes a layout directory."""


class NamedContext(NamedTuple):
    """``--build-context NAME=...``: ``kind`` is ``local`` or ``oci-layout``; ``reference`` a tag or digest, if any."""

    name: str
    kind: str
    path: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """``build_args`` values are None when the name alone was given and the environment has none."""

    context: str
    """Absolute path of the build context's directory."""
    dockerfile_path: str
    """As shown in messages."""
    dockerfile_text: bytes
    ignore_text: bytes | None
    """What ``.dockerignore`` holds, or None."""
    root: str
    """Absolute path of the store."""
    platform: Platform
    tags: tuple[str, ...] = ()
    """Full names: ``docker.io/library/app:1.0``."""
    target: str | None = None
    build_args: tuple[tuple[str, str | None], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    no_cache: bool = False
    outputs: tuple[OutputSpec, ...] = ()
    build_contexts: tuple[NamedContext, ...] = ()
    epoch: int | None = None
    seccomp: bool = True
    """False only by ``--security-opt seccomp=unconfined``."""
    jobs: int = 0
    """Steps that may run at once; 0 for twice the number of processors."""
    docker_host: str = field(default="unix:///var/run/docker.sock")
