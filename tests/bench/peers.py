"""The other builders, each with its own store below a directory of the benchmark: buildah, Docker's BuildKit.

BuildKit itself is in ``buildkit``.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.bench.builders import Job
from tests.bench.command import timed
from tests.bench.figures import Sample
from tests.bench.registry import BASES, base_layout
from tests.support.peers import DOCKER, Docker, run


def unmount_below(directory: Path) -> None:
    """containers/storage leaves a bind mount of its own directory behind."""
    inside = f"{directory}/"
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(inside)), reverse=True):
        subprocess.run(["umount", "-l", point], check=True)


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
        pull = ("--pull-always",) if job.pull else ()
        target = ("--build-arg", f"BASE={job.base}", "-t", job.push or "bench")
        command = (*self._global, "bud", *options, *pull, *target, context)
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
        pull = ("--pull",) if job.pull else ()
        options = ("--network", "host", "--progress", "plain", "--build-arg", f"BASE={job.base}", *pull)
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
