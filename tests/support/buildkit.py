"""A running BuildKit of any version, asked through its client: the flags of ``docker build`` become buildctl's."""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.peers import run

BUILD = ("build", "--progress", "plain", "--frontend", "dockerfile.v0")
BASES = "bases"
"""What the client calls the layout that the base image is in."""
Translation = Callable[[str, Mapping[str, str]], tuple[str, ...]]


class Buildkit:
    """``base``: an OCI layout of one image, which the Dockerfiles call ``name``: it needs no registry."""

    name = "buildkit"

    def __init__(self, client: str, address: str, base: Path, name: str) -> None:
        self._client = (client, "--addr", address)
        self._alone = threading.Lock()
        digest = json.loads((base / "index.json").read_text())["manifests"][0]["digest"]
        context = ("--opt", f"context:{name}=oci-layout://{BASES}@{digest}")
        self._base = ("--oci-layout", f"{BASES}={base}", *context)

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        """Without its cache: what it remembers of an earlier run has that run's times. One at a time, and after what it
        was sent of the last context is gone: else directories keep the time of its own writing in them."""
        set_apart(context, str(archive))
        self.solve(archive, *translate(flags, context, os.environ))

    def solve(self, archive: Path, *words: str) -> None:
        """``words``: as the client has them."""
        output = ("--no-cache", "--output", f"type=oci,dest={archive}")
        with self._alone:
            run(*self._client, "prune", "--filter", "type==source.local")
            run(*self._client, *BUILD, *output, *self._base, *words)


def set_apart(context: Path, unique: str) -> None:
    """Gives every file a time that differs from all others' in its last digits. A file with the path, size and time of
    what it was sent last, the daemon takes for unchanged, and asks for no content; a file with the size and time of the
    one that it is copied over, it leaves out of the layer."""
    for folder, _, names in os.walk(context):
        for path in (f"{folder}/{name}" for name in names):
            digest = hashlib.sha256(os.fsencode(f"{unique}\0{path}")).digest()
            at = os.lstat(path).st_mtime_ns // 1_000_000 * 1_000_000 + int.from_bytes(digest[:4]) % 1_000_000
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
    name = name.removeprefix("docker.io/").removeprefix("library/").removesuffix(":latest")  # as buildx does
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
    "--label": lambda value, environment: ("--opt", f"label:{value}" + ("" if "=" in value else "=")),
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
