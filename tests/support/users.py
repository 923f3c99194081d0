"""Ordinary users, made for tests and removed after them: with subordinate ids, or without."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from builder.sandbox.subids import USUAL, free
from tests.conftest import REPOSITORY
from tests.support.builds import Bench
from tests.support.peers import run

_LOCKED_S = 20
"""How long another program may hold the lock of the accounts."""


class User(NamedTuple):
    """``home`` can be reached by everybody, and so can what is beside it: ``home.parent`` is the test's directory."""

    name: str
    home: Path

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    def prefix(self) -> list[str]:
        """In front of a command, runs it as this user."""
        paths = {sys.prefix, sys.base_prefix, str(REPOSITORY)}
        return [sys.executable, "-m", "tests.support.as_user", self.name, *sorted(paths), "--"]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        own = {"HOME": str(self.home), "USER": self.name, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        return {**kept, **own, **(env or {})}


class UserBench(Bench):
    """Builds of this user, in a store of his."""

    def __init__(self, user: User, store: Path) -> None:
        super().__init__(store)
        self.user = user

    def command(self, *arguments: str | Path) -> list[str]:
        return [*self.user.prefix(), *super().command(*arguments)]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        return self.user.environment(env)


@contextmanager
def ordinary_user(*, subordinate: bool) -> Iterator[User]:
    directory = Path(tempfile.mkdtemp(prefix="pybuild-test-"))
    directory.chmod(0o755)
    name = f"pbt{os.getpid()}{'s' if subordinate else 'o'}"
    home = directory / "home"
    _accounts("useradd", "--system", "--user-group", "--create-home", "--home-dir", home, "--shell", "/bin/sh", name)
    try:
        if subordinate:
            texts = []
            for path in (Path("/etc/subuid"), Path("/etc/subgid")):
                path.touch()
                texts.append(path.read_text())
            first = max(map(free, texts))
            span = f"{first}-{first + USUAL - 1}"
            _accounts("usermod", "--add-subuids", span, "--add-subgids", span, name)
        yield User(name, home)
    finally:
        _accounts("userdel", name)
        shutil.rmtree(directory)


def _accounts(*command: str | Path) -> None:
    """Another test may be changing accounts at the same time."""
    deadline = time.monotonic() + _LOCKED_S
    while True:
        try:
            run(*command)
            return
        except (AssertionError, subprocess.CalledProcessError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
