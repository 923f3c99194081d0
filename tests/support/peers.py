"""Other builders, run for comparison: Debian's docker.io (BuildKit inside its daemon) and buildah.

Everything they make lies below one directory that the caller removes. They run in mount, pid and network namespaces of
their own, which end with this process however it ends: no process, mount or interface of theirs can stay behind.
"""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DOCKER = "/usr/bin/docker"
TIMEOUT_S = 300
STARTUP_S = 60
ON_THE_NETWORK = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
NAMESPACES = (*ON_THE_NETWORK, "--net")


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
    """A dockerd of its own. RUN has no network: no case needs one, and a bridge costs a second a step."""

    name = "docker"

    def __init__(self, socket: Path) -> None:
        self.host = f"unix://{socket}"

    def command(self, *arguments: str | Path) -> str:
        return run(DOCKER, "-H", self.host, *arguments, env={"DOCKER_BUILDKIT": "1"})

    def load(self, layout: Path, name: str, scratch: Path) -> None:
        archive = scratch / f"{name}.docker.tar"
        run("skopeo", "copy", f"oci:{layout}", f"docker-archive:{archive}:{name}:latest")
        self.command("load", "-i", archive)

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        tag = f"parity-{archive.stem}".lower()
        self.command("build", "--network", "none", "-q", *flags, "-t", tag, context)
        self.command("save", "-o", archive, tag)
        self.command("rmi", tag)


@contextmanager
def dockerd(directory: Path, *, in_memory: bool = False, on_the_network: bool = False) -> Iterator[Docker]:
    """Starts dockerd with its data, sockets and log below ``directory``; ends it and its containerd afterwards.

    ``in_memory``: its data is on a tmpfs, which no disk slows down and nobody has to remove.
    ``on_the_network``: that of the tests: it reaches their registries, and they what runs on ``--network host``.

    The first process of its pid namespace is a shell that waits for its input to close, which happens when the caller
    is done or dies; the kernel then kills all others. The cgroups they leave are empty directories.
    """
    directory.mkdir(parents=True, exist_ok=True)
    socket, cgroup, data = directory / "d.sock", f"parity-{os.getpid()}", directory / "data"
    namespaces = ON_THE_NETWORK if on_the_network else NAMESPACES
    data.mkdir()
    mounts = ["/run", str(data)] if in_memory else ["/run"]
    script = "".join(f"mount -t tmpfs tmpfs {shlex.quote(mount)}; " for mount in mounts)
    with (directory / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(*namespaces, "sh", "-ec", script + '"$@" </dev/null & read -r _', "sh"),
                *("dockerd", "--data-root", str(data), "--exec-root", str(directory / "exec")),
                *("-H", f"unix://{socket}", "--pidfile", str(directory / "pid"), "--cgroup-parent", cgroup),
                *("--bridge", "none", "--iptables=false", "--ip-forward=false", "--default-cgroupns-mode", "host"),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
        )
    try:
        docker = Docker(socket)
        deadline = time.monotonic() + STARTUP_S
        while subprocess.run([DOCKER, "-H", docker.host, "info"], check=False, capture_output=True).returncode:
            log_end = (directory / "dockerd.log").read_text()[-3000:]
            assert process.poll() is None and time.monotonic() < deadline, log_end
            time.sleep(0.1)
        yield docker
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(STARTUP_S)
        remove_cgroups(cgroup)


def remove_cgroups(name: str) -> None:
    """The empty cgroups ``name``, with those below, in every hierarchy (v1: one a controller; v2: at the top)."""
    top = Path("/sys/fs/cgroup")
    for cgroup in (top / name, *top.glob(f"*/{name}")):
        _remove_cgroup(cgroup)


def _remove_cgroup(top: Path) -> None:
    for directory, _, _ in os.walk(top, topdown=False):
        with suppress(OSError):  # one that a dying process is still in; it stays, empty
            Path(directory).rmdir()


class Podman:
    """Takes images; they stay below ``directory``. Its run-time state is each command's own: its path must be short."""

    def __init__(self, directory: Path) -> None:
        self._storage = ("--root", directory / "root", "--runroot", "/run/podman", "--tmpdir", "/run/podman/tmp")

    def command(self, *arguments: str | Path) -> str:
        alone = ("setpriv", "--pdeathsig", "KILL", *ON_THE_NETWORK, "sh", "-ec", 'mount -t tmpfs tmpfs /run; exec "$@"')
        return run(*alone, "sh", "podman", *self._storage, *arguments)


class Buildah:
    name = "buildah"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)
        self._storage = ("--root", str(directory / "root"), "--runroot", str(directory / "run"))

    def command(self, *arguments: str | Path) -> str:
        return run(
            *("setpriv", "--pdeathsig", "KILL", *NAMESPACES, "buildah", *self._storage, *arguments),
            env={"TMPDIR": str(self._directory)},
        )

    def load(self, layout: Path, name: str, scratch: Path) -> None:
        archive = scratch / f"{name}.buildah.tar"
        run("skopeo", "copy", f"oci:{layout}", f"docker-archive:{archive}:docker.io/library/{name}:latest")
        self.command("pull", "-q", f"docker-archive:{archive}")

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        tag = f"parity-{archive.stem}".lower()
        self.command(
            *("bud", "--runtime", "runc", "--network", "none", "--layers", "--pull-never", "--format", "docker"),
            *("-q", "--identity-label=false", *flags, "-t", tag, str(context)),
        )
        self.command("push", "-q", tag, f"docker-archive:{archive}:{tag}:latest")

    def close(self) -> None:
        shutil.rmtree(self._directory)
