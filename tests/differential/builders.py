"""Builds a case with pybuild and with dockerd, from one context, and reads what they made."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import FIXTURES, REPOSITORY
from tests.differential.cases import Case, lay_out
from tests.differential.judge import HUNG, Image, Outcome
from tests.support.flatten import unfold
from tests.support.peers import Docker, dockerd, run

BASE = "busybox"
NO_DAEMON = "docker daemon"
"""In what the client says when there is none."""


class Workshop:
    """``started`` (seconds): no file of a context is as young. Used by several threads at once."""

    def __init__(self, docker: Docker, scratch: Path) -> None:
        self.started = int(scratch.stat().st_mtime)
        self._docker = docker
        self._scratch = scratch

    def build(self, case: Case) -> tuple[Outcome, Outcome | None]:
        """By pybuild and by docker, which is not asked when the reference says what is expected."""
        context = self._scratch / "contexts" / case.name
        flags = lay_out(case, context, self.started)
        try:
            ours = self._image("pybuild", case, lambda archive: self._pybuild(context, archive, *flags))
            if case.expected is not None:
                return ours, None
            return ours, self._image("docker", case, lambda archive: self._docker.build(context, archive, *flags))
        finally:
            shutil.rmtree(context)

    def _image(self, builder: str, case: Case, build: Callable[[Path], None]) -> Outcome:
        archive = self._scratch / builder / f"{case.name}.tar"
        try:
            build(archive)
        except AssertionError as error:
            if NO_DAEMON in str(error).lower():
                raise RuntimeError(f"dockerd has ended before {case.name}: see dockerd/dockerd.log") from error
            return str(error)
        except subprocess.TimeoutExpired as error:
            return f"{HUNG}: {error}"
        try:
            return Image(*unfold(archive))
        finally:
            archive.unlink()

    def _pybuild(self, context: Path, archive: Path, *flags: str) -> None:
        run(
            *(sys.executable, "-m", "builder", "--root", str(self._scratch / "store"), "--progress", "plain"),
            *("--pull=never", *flags, "-o", f"type=oci,dest={archive}", str(context)),
            cwd=REPOSITORY,
        )


@contextmanager
def workshop(scratch: Path) -> Iterator[Workshop]:
    """With the base image loaded as ``base``. ``scratch`` must be empty; the caller removes it."""
    for folder in ("pybuild", "docker", "contexts"):
        (scratch / folder).mkdir()
    run(sys.executable, FIXTURES / "images" / "make.py", BASE)
    base = FIXTURES / "images" / "out" / BASE
    run(sys.executable, "-m", "builder", "load", "--root", scratch / "store", "-t", "base", "-i", base, cwd=REPOSITORY)
    with dockerd(scratch / "dockerd", in_memory=True) as docker:
        docker.load(base, "base", scratch)
        yield Workshop(docker, scratch)
