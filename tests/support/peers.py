"""Other builders, run for comparison: Debian's docker.io (BuildKit inside its daemon) and buildah.

Everything they make lies below one directory that the caller removes; nothing of the host's own daemons is used.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DOCKER = "/usr/bin/docker"
TIMEOUT_S = 300


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Runs a command; AssertionError with its output when it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        env={**os.environ, **(env or {})},
        cwd=cwd,
    )
    assert done.returncode == 0, f"{' '.join(str(part) for part in command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Docker:
    """A dockerd of its own."""

    name = "docker"

    def __init__(self, socket: Path) -> None:
        self.host = f"unix://{socket}"

    def command(self, *arguments: str | Path) -> str:
        return run(DOCKER, "-H", self.host, *arguments, env={"DOCKER_BUILDKIT": "1"})

    def load(self, layout: Path, name: str, scratch: Path) -> None:
        archive = scratch / f"{name}.docker.tar"
        run("skopeo", "copy", f"oci:{layout}", f"docker-archive:{archive}:{name}:latest")
        self.command("load", "-i", archive)

    def build(self, context: Path, archive: Path) -> None:
        tag = f"parity-{archive.stem}".lower()
        self.command("build", "-q", "-t", tag, context)
        self.command("save", "-o", archive, tag)
        self.command("rmi", tag)


@contextmanager
def dockerd(directory: Path) -> Iterator[Docker]:
    """Starts dockerd with its data, sockets and log below ``directory``; ends it and its containerd afterwards."""
    directory.mkdir(parents=True, exist_ok=True)
    socket = directory / "d.sock"
    log = (directory / "dockerd.log").open("wb")
    process = subprocess.Popen(
        [
            *("dockerd", "--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")),
            *("-H", f"unix://{socket}", "--pidfile", str(directory / "pid"), "--default-cgroupns-mode", "host"),
        ],
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    try:
        docker = Docker(socket)
        deadline = time.monotonic() + 60
        while subprocess.run([DOCKER, "-H", docker.host, "info"], check=False, capture_output=True).returncode:
            assert process.poll() is None and time.monotonic() < deadline, (directory / "dockerd.log").read_text()[
                -3000:
            ]
            time.sleep(0.2)
        yield docker
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


class Buildah:
    name = "buildah"

    def __init__(self, directory: Path) -> None:
        self._storage = ("--root", str(directory / "root"), "--runroot", str(directory / "run"))

    def command(self, *arguments: str | Path) -> str:
        return run("buildah", *self._storage, *arguments)

    def load(self, layout: Path, name: str, scratch: Path) -> None:
        archive = scratch / f"{name}.buildah.tar"
        run("skopeo", "copy", f"oci:{layout}", f"docker-archive:{archive}:docker.io/library/{name}:latest")
        self.command("pull", f"docker-archive:{archive}")

    def build(self, context: Path, archive: Path) -> None:
        tag = f"parity-{archive.stem}".lower()
        self.command(
            *(
                "bud",
                "--runtime",
                "runc",
                "--layers",
                "--pull-never",
                "--format",
                "docker",
                "-q",
                "-t",
                tag,
                str(context),
            )
        )
        self.command("push", "-q", tag, f"docker-archive:{archive}:{tag}:latest")
        self.command("rmi", "-f", tag)

    def close(self, directory: Path) -> None:
        self.command("rmi", "-a", "-f")
        shutil.rmtree(directory, ignore_errors=True)
