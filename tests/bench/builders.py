"""The builders that are timed, behind one interface. Each has its own store below a directory of the benchmark.

All of them run their steps in the host's network, because pybuild does: setting up a bridge would be timed otherwise.
All of them write their progress to a file.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.bench.figures import OURS, Sample
from tests.bench.phases import BACKGROUND, read_events, totals
from tests.bench.registry import BASES, base_layout
from tests.support.peers import DOCKER, Docker, dockerd, run

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("builder", "registry", "layers")
PEERS = ("buildah", "docker")


class BuildFailed(Exception):
    """With the end of what the builder printed."""


class Job(NamedTuple):
    """``base`` is what FROM shall name; ``push`` the full name that the result shall be pushed to, if it shall."""

    base: str
    push: str | None = None


class Builder(Protocol):
    @property
    def name(self) -> str: ...
    def version(self) -> str: ...
    def fresh(self, base: str | None) -> None:
        """An empty store; with the base image of this name in it, named ``base``, unless None."""

    def build(self, context: Path, job: Job) -> Sample:
        """One timed build. Raises BuildFailed."""

    def close(self) -> None: ...


class Finished(NamedTuple):
    """Seconds since the epoch for ``started`` and ``ended``, to be set against events."""

    started: float
    ended: float
    seconds: float
    processor: float
    peak: int

    def then(self, after: "Finished") -> "Finished":
        """Both, one after the other."""
        seconds, processor = self.seconds + after.seconds, self.processor + after.processor
        return Finished(self.started, after.ended, seconds, processor, max(self.peak, after.peak))

    def sample(self, phases: Mapping[str, float] | None = None) -> Sample:
        return Sample(self.seconds, self.processor, self.peak, phases or {})


def timed(command: Sequence[str | Path], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Wall time from before the process exists until it is gone; ``env`` is all of its environment, this process's own
    unless given. Raises BuildFailed."""
    arguments = [os.fspath(part) for part in command]
    with log.open("wb") as output:
        started, before = time.time(), time.perf_counter()  # noqa: TID251 - set against the times of events
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
        )
        # wait4 and not Popen.wait: it tells what was used. Popen is told, so that it does not wait again.
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        ended = time.time()  # noqa: TID251 - as above
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        raise BuildFailed(f"{' '.join(arguments)}: exit code {process.returncode}\n{tail}")
    return Finished(started, ended, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def idle(directory: Path, limit: float = 120) -> float:
    """Waits until no process has ``directory`` among its arguments: what a builder left running in the background
    would be timed with the next one, and work on a store that is made anew. Returns seconds waited."""
    begun = time.perf_counter()
    needle = os.fsencode(directory)
    while any(needle in command for command in _commands()):
        if time.perf_counter() - begun > limit:
            raise BuildFailed(f"something still works on {directory}")
        time.sleep(0.005)
    return time.perf_counter() - begun


def _commands() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since


def unmount_below(directory: Path) -> None:
    """containers/storage leaves a bind mount of its own directory behind."""
    inside = f"{directory}/"
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(inside)), reverse=True):
        subprocess.run(["umount", "-l", point], check=True)


class Pybuild:
    """The checkout, run by the interpreter that runs the benchmark; its modules are compiled beforehand, as installing
    does, whatever PYTHONDONTWRITEBYTECODE and its like say."""

    name = OURS

    def __init__(self, directory: Path) -> None:
        self._store = directory / "store"
        self._log = directory / "log"
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYBUILD_"))}
        directory.mkdir()
        compiling = (sys.executable, "-m", "compileall", "-q", *PACKAGES)
        subprocess.run(compiling, cwd=REPOSITORY, env=self._env, check=True)

    def version(self) -> str:
        return run(sys.executable, "-m", "builder", "--version", cwd=REPOSITORY).strip()

    def fresh(self, base: str | None) -> None:
        self.close()
        if base is not None:
            command = (sys.executable, "-m", "builder", "load", "--root", self._store, "-t", "base")
            run(*command, "-i", base_layout(base), cwd=REPOSITORY)
            idle(self._store)

    def build(self, context: Path, job: Job) -> Sample:
        target = ("-t", "bench") if job.push is None else ("-t", job.push, "--push")
        options = ("--root", self._store, "--progress", "json", "--build-arg", f"BASE={job.base}", *target)
        command = (sys.executable, "-m", "builder", "build", *options, context)
        done = timed(command, self._log, cwd=REPOSITORY, env=self._env)
        background = idle(self._store)
        with self._log.open(encoding="utf-8") as lines:
            phases = totals(read_events(lines), done.started, done.ended)
        return done.sample({**phases, BACKGROUND: background})

    def close(self) -> None:
        if self._store.exists():
            shutil.rmtree(self._store)


class Buildah:
    name = "buildah"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._stores = (directory / "root", directory / "run")
        self._global = ("buildah", "--root", self._stores[0], "--runroot", self._stores[1])
        self._bases = docker_archives(directory)

    def version(self) -> str:
        driver = run(*self._global, "info", "--format", "{{.store.GraphDriverName}}").strip()
        return f"{run('buildah', '--version').strip()}, storage driver {driver}"

    def fresh(self, base: str | None) -> None:
        self.close()
        if base is not None:
            run(*self._global, "pull", f"docker-archive:{self._bases[base]}")

    def build(self, context: Path, job: Job) -> Sample:
        options = ("--runtime", "runc", "--layers", "--network", "host", "--jobs", "4", "--tls-verify=false")
        command = (
            *self._global,
            "bud",
            *options,
            "--build-arg",
            f"BASE={job.base}",
            "-t",
            job.push or "bench",
            context,
        )
        log = self._directory / "log"
        done = timed(command, log, cwd=self._directory)
        if job.push is not None:
            push = (*self._global, "push", "--tls-verify=false", job.push)
            done = done.then(timed(push, log, cwd=self._directory))
        return done.sample()

    def close(self) -> None:
        unmount_below(self._directory)
        for store in self._stores:
            if store.exists():
                shutil.rmtree(store)


class DockerBuildKit:
    """BuildKit inside a dockerd of our own, which runs through all of the benchmark: a daemon is there already when its
    user calls it. A fresh store is one whose images and build cache were removed."""

    name = "docker"

    def __init__(self, directory: Path, docker: Docker) -> None:
        self._directory = directory
        self._docker = docker
        self._bases = docker_archives(directory)

    def version(self) -> str:
        return self._docker.command("version", "--format", "docker {{.Server.Version}}").strip()

    def fresh(self, base: str | None) -> None:
        self._docker.command("image", "prune", "--all", "--force")
        self._docker.command("builder", "prune", "--all", "--force")
        if base is not None:
            self._docker.command("load", "-i", self._bases[base])

    def build(self, context: Path, job: Job) -> Sample:
        client = (DOCKER, "-H", self._docker.host)
        options = ("--network", "host", "--progress", "plain", "--build-arg", f"BASE={job.base}")
        seconds = self._timed(*client, "build", *options, "-t", job.push or "bench", context)
        if job.push is not None:
            seconds += self._timed(*client, "push", job.push)
        return Sample(seconds)

    def _timed(self, *command: str | Path) -> float:
        env = {**os.environ, "DOCKER_BUILDKIT": "1"}
        return timed(command, self._directory / "log", cwd=self._directory, env=env).seconds

    def close(self) -> None:
        """The daemon ends with the context manager that started it."""


def docker_archives(directory: Path) -> Mapping[str, Path]:
    """The base images as archives of ``docker save``, each named ``base``."""
    found = {name: directory / f"{name}.tar" for name in BASES}
    for name, path in found.items():
        run("skopeo", "copy", f"oci:{base_layout(name)}", f"docker-archive:{path}:docker.io/library/base:latest")
    return found


def missing(peer: str) -> str | None:
    """The first program that ``peer`` needs and that is not here."""
    needed = {"buildah": ("buildah", "runc", "skopeo"), "docker": ("dockerd", DOCKER, "skopeo")}[peer]
    return next((program for program in needed if shutil.which(program) is None), None)


@contextmanager
def started(peers: Sequence[str], directory: Path) -> Iterator[tuple[Builder, ...]]:
    """pybuild and ``peers``, ready; ended and their stores removed afterwards."""
    with ExitStack() as stack:
        builders: list[Builder] = [Pybuild(directory / OURS)]
        if "buildah" in peers:
            builders.append(Buildah(directory / "buildah"))
        if "docker" in peers:
            docker = stack.enter_context(dockerd(directory / "docker", on_the_network=True))
            builders.append(DockerBuildKit(directory / "docker", docker))
        for builder in builders:
            stack.callback(builder.close)
        yield tuple(builders)
