"""What Docker leaves out of an image's name: the host ``docker.io``, the path ``library/``, the tag ``latest``. Pure.

Rules of the distribution project's reference package (normalize.go). ``registry.reference`` has the whole grammar;
this much is needed where archives are read.
"""

DEFAULT_HOST = "docker.io"
OFFICIAL = "library/"
DEFAULT_TAG = "latest"
_LEGACY_HOST = "index.docker.io"


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
    """``docker.io/library/debian:latest`` for ``debian``. Nothing is checked."""
    host, rest = split_host(name)
    tagged = ":" in rest or "@" in rest
    return f"{host}/{rest}" if tagged else f"{host}/{rest}:{DEFAULT_TAG}"
