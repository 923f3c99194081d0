"""A running BuildKit of any version, asked through its client: the flags of ``docker build`` become buildctl's."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.peers import run

BASES = "bases"
"""What the client calls the layout that the base image is in."""
Translation = Callable[[str, Mapping[str, str]], tuple[str, ...]]


class Buildkit:
    """``base``: an OCI layout of one image, which the Dockerfiles call ``name``: it needs no registry."""

    name = "buildkit"

    def __init__(self, client: str, address: str, base: Path, name: str) -> None:
        self._command = (client, "--addr", address, "build", "--progress", "plain", "--frontend", "dockerfile.v0")
        digest = json.loads((base / "index.json").read_text())["manifests"][0]["digest"]
        context = ("--opt", f"context:{name}=oci-layout://{BASES}@{digest}")
        self._base = ("--oci-layout", f"{BASES}={base}", *context)

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        """Without its cache: what it remembers of an earlier run has that run's times."""
        set_apart(context, str(archive))
        command = (*self._command, "--no-cache", *self._base, *translate(flags, context, os.environ))
        run(*command, "--output", f"type=oci,dest={archive}")


def set_apart(context: Path, unique: str) -> None:
    """Gives the files times that differ from all others' below the microsecond: of a file whose path, size and time are
    those of the last context it was sent, the daemon does not ask for the content."""
    added = int.from_bytes(hashlib.sha256(unique.encode()).digest()[:4]) % 1_000_000
    for folder, _, names in os.walk(context):
        for path in (f"{folder}/{name}" for name in names):
            at = os.lstat(path).st_mtime_ns // 1_000_000 * 1_000_000 + added
            os.utime(path, ns=(at, at), follow_symlinks=False)


def translate(flags: Sequence[str], context: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    file = context / "Dockerfile"
    translated: list[str] = []
    for name, value in _pairs(flags):
        if name in {"-f", "--file"}:
            file = Path(value)
        else:
            translated += _OPTIONS[name](value, environment)
    folders = ("--local", f"context={context}", "--local", f"dockerfile={file.parent}")
    return (*folders, "--opt", f"filename={file.name}", *translated)


def _pairs(flags: Sequence[str]) -> Iterator[tuple[str, str]]:
    words = iter(flags)
    for word in words:
        name, equals, value = word.partition("=")
        yield name, value if equals else next(words)


def _build_arg(value: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    name, equals, given = value.partition("=")
    if not equals and name not in environment:
        return ()
    return "--opt", f"build-arg:{name}={given if equals else environment[name]}"


def _named_context(value: str, _environment: Mapping[str, str]) -> tuple[str, ...]:
    name, _, source = value.partition("=")
    if "://" in source:
        return "--opt", f"context:{name}={source}"
    local = f"named-{name.replace(':', '-').replace('/', '-')}"
    return "--local", f"{local}={source}", "--opt", f"context:{name}=local:{local}"


def _option(form: str) -> Translation:
    return lambda value, environment: ("--opt", form.format(value))


def _as_is(name: str) -> Translation:
    return lambda value, environment: (name, value)


_OPTIONS: Mapping[str, Translation] = {
    "--build-arg": _build_arg,
    "--build-context": _named_context,
    "--label": _option("label:{}"),
    "--target": _option("target={}"),
    "--platform": _option("platform={}"),
    "--network": _option("force-network-mode={}"),
    "--shm-size": _option("shm-size={}"),
    "--ulimit": _option("ulimit={}"),
    "--add-host": lambda value, environment: ("--opt", f"add-hosts={value.replace(':', '=', 1)}"),
    "--secret": _as_is("--secret"),
    "--ssh": _as_is("--ssh"),
    "--allow": _as_is("--allow"),
}
