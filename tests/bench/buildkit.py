"""BuildKit itself: ``buildctl`` with a ``buildkitd`` of our own, both from PATH.

Its images come from the benchmark's registry alone: it has no images of its own, so a base that is "in the store
already" is one that a build before the timed one fetched and unpacked. It then asks the registry whether the name still
means the same, which is part of every build with it.
"""

import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.bench.builders import LOCAL, UNPACKING, Job
from tests.bench.command import BuildFailed, set_aside, timed
from tests.bench.figures import Sample
from tests.support.peers import ON_THE_NETWORK, STARTUP_S, remove_cgroups, run

PROGRAMS = ("buildkitd", "buildctl", "runc")
CONFIG = """\
root = "{root}"
[grpc]
  address = ["unix://{socket}"]
[worker.oci]
  enabled = true
  snapshotter = "overlayfs"
  networkMode = "host"
  binary = "runc"
  gc = false
  defaultCgroupParent = "{cgroup}"
[worker.containerd]
  enabled = false
[registry."{registry}"]
  http = true
"""
_FETCHED = re.compile(r"^#\d+ extracting sha256:", re.MULTILINE)


class BuildKit:
    """A fresh store is a new one, and the daemon is started on it before the time that is taken. ``images``: name of a
    base image to its full name."""

    name = "buildkit"

    def __init__(self, directory: Path, daemon: "Daemon", images: Mapping[str, str]) -> None:
        self._daemon = daemon
        self._client = ("buildctl", "--addr", daemon.address)
        self._directory = directory
        self._images = images
        self._log = directory / "log"
        self._local = ""
        (directory / "empty").mkdir()

    def version(self) -> str:
        return run("buildkitd", "--version").strip()

    def fresh(self, base: str | None) -> None:
        self._daemon.anew()
        self._local = ""
        if base is not None:
            self._local = self._images[base]
            warm = self._directory / "warm"
            warm.mkdir(exist_ok=True)
            (warm / "Dockerfile").write_text(UNPACKING.format(base=self._local))
            run(*self._client, "build", "--frontend", "dockerfile.v0", "--local", f"dockerfile={warm}")

    def build(self, context: Path, job: Job) -> Sample:
        base = self._local if job.base == LOCAL else job.base
        options = ["--opt", f"build-arg:BASE={base}"]
        if job.pull:
            options += ["--opt", "image-resolve-mode=pull"]
        if job.push is not None:
            options += ["--output", f"type=image,name={job.push},push=true,registry.insecure=true"]
        places = ("--local", f"context={context}", "--local", f"dockerfile={context}")
        build = ("build", "--frontend", "dockerfile.v0", "--progress", "plain")
        done = timed((*self._client, *build, *places, *options), self._log, cwd=self._directory)
        if job.base == LOCAL and fetched(self._log.read_text(errors="replace")):
            raise BuildFailed("the base was fetched during the timed build, though it should have been there")
        return Sample(done.seconds)

    def close(self) -> None:
        """The daemon ends with the context manager that started it."""


def fetched(log: str) -> bool:
    """Whether a layer of a base was unpacked, by what ``--progress plain`` printed."""
    return _FETCHED.search(log) is not None


class Daemon:
    """buildkitd with all it has below ``directory``. As with dockerd (tests.support.peers), its namespaces end with us,
    however we end. ``registry``: host and port, without TLS."""

    def __init__(self, directory: Path, registry: str) -> None:
        directory.mkdir(parents=True)
        self._state, socket = directory / "state", directory / "socket"
        self._cgroup = f"bench-{os.getpid()}"
        self._log = directory / "buildkitd.log"
        config = directory / "buildkitd.toml"
        config.write_text(CONFIG.format(root=self._state, socket=socket, cgroup=self._cgroup, registry=registry))
        command = shlex.join(["buildkitd", "--config", str(config)])
        self._script = f"mount -t tmpfs tmpfs /run; {command} </dev/null & read -r _"
        self.address = f"unix://{socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            command = [*ON_THE_NETWORK, "sh", "-ec", self._script]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + STARTUP_S
        asking = ("buildctl", "--addr", self.address, "debug", "workers")
        while subprocess.run(asking, check=False, capture_output=True).returncode:
            log_end = self._log.read_text(errors="replace")[-3000:]
            assert self._process.poll() is None and time.monotonic() < deadline, log_end
            time.sleep(0.1)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait(STARTUP_S)
        remove_cgroups(self._cgroup)

    def anew(self) -> None:
        """With nothing of what it had."""
        self.stop()
        set_aside(self._state)
        self.start()


@contextmanager
def buildkitd(directory: Path, registry: str) -> Iterator[Daemon]:
    """Runs one."""
    daemon = Daemon(directory, registry)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
