"""Who takes part: which of the peers are on this machine, and all of them started."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.builders import Absent, Builder, Pybuild, Rootless
from tests.bench.buildkit import PROGRAMS, BuildKit, buildkitd
from tests.bench.figures import OURS, ROOTLESS
from tests.bench.peers import Buildah, DockerBuildKit
from tests.bench.registry import BASES, Registry
from tests.support.peers import DOCKER, dockerd
from tests.support.users import ordinary_user

NEEDED = {
    "buildkit": PROGRAMS,
    "docker": ("dockerd", DOCKER, "skopeo"),
    "buildah": ("buildah", "runc", "skopeo"),
    ROOTLESS: ("useradd", "newuidmap", "newgidmap"),
}
PEERS = ("buildkit", "docker", "buildah")
FAILURES = (AssertionError, OSError, subprocess.SubprocessError)
"""What setting up a builder, or a registry, may end with on a machine that lacks something."""


def missing(name: str) -> str | None:
    """The first program that a builder needs and that is not here."""
    return next((program for program in NEEDED[name] if shutil.which(program) is None), None)


def chosen(names: str | None) -> tuple[str, ...]:
    """The peers that are asked for, or all that are here, with Docker's BuildKit only where there is no other.
    ValueError when one that is asked for is not here."""
    if names is None:
        here = [peer for peer in PEERS if missing(peer) is None]
        return tuple(peer for peer in here if peer != "docker" or "buildkit" not in here)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in PEERS:
            raise ValueError(f"no peer {name}; there are {', '.join(PEERS)}")
        program = missing(name)
        if program is not None:
            raise ValueError(f"{name} needs the program {program}")
    return tuple(peer for peer in PEERS if peer in wanted)


@contextmanager
def started(peers: Sequence[str], directory: Path, registry: Registry) -> Iterator[tuple[Builder, ...]]:
    """pybuild and ``peers``, ready; ended and their stores removed afterwards. One that does not start is Absent."""
    with ExitStack() as stack:
        builders: list[Builder] = [Pybuild(directory / OURS)]
        for name in (ROOTLESS, *peers):
            try:
                builders.append(_start(name, directory / name, registry, stack))
            except FAILURES as error:
                builders.append(Absent(name, str(error) or repr(error)))
        for builder in builders:
            stack.callback(builder.close)
        yield tuple(builders)


def _start(name: str, directory: Path, registry: Registry, stack: ExitStack) -> Builder:
    match name:
        case "buildkit":
            daemon = stack.enter_context(buildkitd(directory, registry.host))
            return BuildKit(directory, daemon, {base: registry.name(base) for base in BASES})
        case "docker":
            return DockerBuildKit(directory, stack.enter_context(dockerd(directory, on_the_network=True)))
        case "buildah":
            return Buildah(directory)
        case _:
            program = missing(name)
            if program is not None:
                return Absent(name, f"needs the program {program}")
            return Rootless(directory, stack.enter_context(ordinary_user(subordinate=True)))
