"""Names of images: their grammar, and what Docker leaves out (``docker.io``, ``library/``, ``latest``). Pure.

Rules of the distribution project's reference package (reference.go, normalize.go), which Docker, containerd and
BuildKit share. ``registry.reference`` has the type and the errors; this much is needed where archives are read.
"""

import re

DEFAULT_HOST = "docker.io"
OFFICIAL = "library/"
DEFAULT_TAG = "latest"
_LEGACY_HOST = "index.docker.io"

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
GRAMMAR = rf"({_HOST})/({_REPOSITORY})(?::({_TAG}))?(?:@({_DIGEST}))?\Z"
"""Of a full name. Groups: host, repository, tag, digest."""


def split_host(name: str) -> tuple[str, str]:
    """Host and rest, with defaults. The first part is a host only if it looks like one or can be nothing else."""
    first, slash, rest = name.partition("/")
    if not slash:
        return DEFAULT_HOST, OFFICIAL + name
    if first == _LEGACY_HOST:
        first = DEFAULT_HOST
    elif not (first == "localhost" or "." in first or ":" in first or first.lower() != first):
        return DEFAULT_HOST, name
    if first == DEFAULT_HOST and "/" not in rest:
        rest = OFFICIAL + rest
    return first, rest


def full_name(name: str) -> str:
    """``docker.io/library/debian:latest`` for ``debian``. Raises ValueError for what names no image."""
    host, rest = split_host(name)
    tagged = ":" in rest or "@" in rest
    full = f"{host}/{rest}" if tagged else f"{host}/{rest}:{DEFAULT_TAG}"
    if not re.match(GRAMMAR, full):
        raise ValueError(f"not the name of an image: {name[:300]!r}")
    return full
