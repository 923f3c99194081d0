"""Builds a case with pybuild and with a peer, from one context, and reads what they made."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.conftest import FIXTURES, REPOSITORY
from tests.differential.cases import Case, lay_out
from tests.differential.judge import HUNG, Image, Outcome
from tests.support.buildkit import Buildkit
from tests.support.flatten import unfold
from tests.support.peers import dockerd, run

BASE = "busybox"
CACHES_LIVE_S = 90 * 24 * 3600
NO_DAEMON = ("docker daemon", "connection refused", "error reading from server", "context deadline exceeded")
"""In what the client says when there is none."""


class Peer(Protocol):
    @property
    def name(self) -> str: ...

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        """AssertionError with what was said when it refuses."""


class Buildctl(NamedTuple):
    """A client of BuildKit, and the daemon that it is to ask."""

    program: str
    address: str


class Workshop:
    """No file of a context is as young as ``recent`` (seconds); what is can only be of a builder's own time, or of its
    cache's. Used by several threads at once."""

    def __init__(self, peer: Peer, scratch: Path, *, lacks_new: bool) -> None:
        self.recent = int(scratch.stat().st_mtime) - CACHES_LIVE_S
        self._peer = peer
        self._scratch = scratch
        self._lacks_new = lacks_new

    def build(self, case: Case) -> tuple[Outcome, Outcome | None]:
        """By pybuild and by the peer. A peer that lacks what is new is not asked for what the reference expects."""
        context = self._scratch / "contexts" / case.name
        flags = lay_out(case, context, self.recent)
        try:
            ours = self._image("pybuild", case, lambda archive: self._pybuild(context, archive, *flags))
            if case.expected is not None and self._lacks_new:
                return ours, None
            return ours, self._image("peer", case, lambda archive: self._peer.build(context, archive, *flags))
        finally:
            shutil.rmtree(context)

    def _image(self, builder: str, case: Case, build: Callable[[Path], None]) -> Outcome:
        archive = self._scratch / builder / f"{case.name}.tar"
        try:
            build(archive)
        except AssertionError as error:
            if builder == "peer" and any(text in str(error).lower() for text in NO_DAEMON):
                raise RuntimeError(f"the {self._peer.name} daemon has ended before {case.name}: {error}") from error
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
def workshop(scratch: Path, buildctl: Buildctl | None = None) -> Iterator[Workshop]:
    """With the base image known as ``base``, and a dockerd of its own unless there is a BuildKit to ask. ``scratch``
    must be empty; the caller removes it."""
    for folder in ("pybuild", "peer", "contexts"):
        (scratch / folder).mkdir()
    run(sys.executable, FIXTURES / "images" / "make.py", BASE)
    base = FIXTURES / "images" / "out" / BASE
    run(sys.executable, "-m", "builder", "load", "--root", scratch / "store", "-t", "base", "-i", base, cwd=REPOSITORY)
    if buildctl is not None:
        yield Workshop(Buildkit(buildctl.program, buildctl.address, base, "base"), scratch, lacks_new=False)
        return
    with dockerd(scratch / "dockerd", in_memory=True) as docker:
        docker.load(base, "base", scratch)
        yield Workshop(docker, scratch, lacks_new=True)
