"""What a builder is to the benchmark, and pybuild itself: as root and as an ordinary user.

All builders run their steps in the host's network, because pybuild does: setting up a bridge would be timed otherwise.
All of them write their progress to a file.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tests.bench.command import BuildFailed, Finished, idle, set_aside, timed
from tests.bench.figures import OURS, ROOTLESS, Sample
from tests.bench.phases import BACKGROUND, read_events, totals
from tests.bench.registry import REPOSITORY, base_layout
from tests.support.peers import run
from tests.support.users import User

PACKAGES = ("builder", "registry", "layers")
LOCAL = "base"
"""The name of the base image in a store that has it before the timed build."""
UNPACKING = "FROM {base}\nRUN : unpacked\n"
"""A Dockerfile that no scenario has, for a builder that unpacks a base when a step sees its files."""


class Job(NamedTuple):
    """``base`` is what FROM shall name; ``push`` the full name that the result shall be pushed to, if it shall;
    ``pull``: the base's name is looked up again; ``sampled``: the memory of all processes is watched."""

    base: str
    push: str | None = None
    pull: bool = False
    sampled: bool = False


class Builder(Protocol):
    @property
    def name(self) -> str: ...
    def version(self) -> str: ...
    def fresh(self, base: str | None) -> None:
        """An empty store; with the base image of this name in it, for FROM ``LOCAL``, unless None."""

    def build(self, context: Path, job: Job) -> Sample:
        """One timed build. Raises BuildFailed."""

    def close(self) -> None: ...


class Absent:
    """A builder that could not be set up; whoever asks it to build is told why."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    def version(self) -> str:
        return f"not here: {self._reason.splitlines()[0]}"

    def fresh(self, base: str | None) -> None:
        raise BuildFailed(self._reason)

    def build(self, context: Path, job: Job) -> Sample:
        raise BuildFailed(self._reason)

    def close(self) -> None:
        """There is nothing."""


class Pybuild:
    """The checkout, run by the interpreter that runs the benchmark; its modules are compiled beforehand, as installing
    does, whatever PYTHONDONTWRITEBYTECODE and its like say."""

    name = OURS

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._store = directory / "store"
        self._warm = directory / "warm"
        self._log = directory / "log"
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYBUILD_"))}
        compiling = (sys.executable, "-m", "compileall", "-q", *PACKAGES)
        subprocess.run(compiling, cwd=REPOSITORY, env=self._env, check=True)

    def version(self) -> str:
        return run(sys.executable, "-m", "builder", "--version", cwd=REPOSITORY).strip()

    def fresh(self, base: str | None) -> None:
        """The base is as builds before have left it: unpacked, as the other builders unpack what they load."""
        self.close()
        if base is not None:
            self._warm.mkdir(exist_ok=True)
            (self._warm / "Dockerfile").write_text(UNPACKING.format(base=LOCAL))
            self._command("load", "--root", self._store, "-t", LOCAL, "-i", base_layout(base))
            self._command("build", "--root", self._store, self._warm)
            idle(self._store)

    def _command(self, *arguments: str | Path) -> None:
        run(sys.executable, "-m", "builder", *arguments, cwd=REPOSITORY)

    def build(self, context: Path, job: Job) -> Sample:
        target = ("-t", "bench") if job.push is None else ("-t", job.push, "--push")
        pull = ("--pull",) if job.pull else ()
        options = ("--root", self._store, "--progress", "json", "--build-arg", f"BASE={job.base}", *target, *pull)
        done = self._timed((sys.executable, "-m", "builder", "build", *options, context), job.sampled)
        background = idle(self._store)
        with self._log.open(encoding="utf-8") as lines:
            phases = totals(read_events(lines), done.started, done.ended)
        return done.sample({**phases, BACKGROUND: background})

    def _timed(self, command: Sequence[str | Path], sampled: bool) -> Finished:
        return timed(command, self._log, cwd=REPOSITORY, env=self._env, sampled=sampled)

    def close(self) -> None:
        set_aside(self._store)


class Rootless(Pybuild):
    """The same as an ordinary user with subordinate ids. A process of that user takes the time: becoming the user is
    not part of it."""

    name = ROOTLESS

    def __init__(self, directory: Path, user: User) -> None:
        super().__init__(directory)
        self._user = user
        os.chown(directory, user.uid, -1)

    def _command(self, *arguments: str | Path) -> None:
        self._run(sys.executable, "-m", "builder", *arguments)

    def _timed(self, command: Sequence[str | Path], sampled: bool) -> Finished:
        self._log.unlink(missing_ok=True)
        try:
            told = self._run(sys.executable, "-m", "tests.bench.command", self._log, *command)
        except AssertionError as error:
            raise BuildFailed(str(error)) from error
        return Finished(*json.loads(told))

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(
            [*self._user.prefix(), *map(str, command)],
            check=False,
            capture_output=True,
            text=True,
            env=self._user.environment(),
            cwd=REPOSITORY,
        )
        if done.returncode:
            raise BuildFailed(done.stderr)
        return done.stdout
