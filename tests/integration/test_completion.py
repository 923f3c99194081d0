"""Completion in the shells themselves: the script is loaded, a line is typed, Tab is pressed."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.builds import Bench

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox", "bash")]

PATIENCE_S = 30
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\\\)|[ -/]*[0-~])|\r")


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        self._main, other = pty.openpty()
        self._process = subprocess.Popen(command, stdin=other, stdout=other, stderr=other, env=env, cwd=REPOSITORY)
        os.close(other)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def wait_for(self, text: str) -> None:
        """AssertionError when it is not shown within PATIENCE_S, from here on."""
        seen, deadline = "", time.monotonic() + PATIENCE_S
        while text not in seen:
            ready, _, _ = select.select([self._main], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"no {text!r} in {seen!r}"
            seen = _ESCAPES.sub("", seen + os.read(self._main, 1 << 16).decode(errors="replace"))

    def close(self) -> None:
        os.close(self._main)
        self._process.kill()
        self._process.wait()


@pytest.fixture
def environment(bench: Bench, tmp_path: Path) -> dict[str, str]:
    """Where ``pybuild`` is on PATH, and knows the store with the image ``busybox``."""
    program = tmp_path / "bin/pybuild"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m builder "$@"\n')
    program.chmod(0o755)
    bench.pybuild("tag", "busybox", "zoo:1.5")
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "PYBUILD_ROOT": str(bench.store),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "TERM": "xterm",
        "PS1": "ready> ",
    }


@pytest.fixture
def bash(environment: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(["bash", "--norc", "--noprofile", "-i"], environment)
    shell.type('eval "$(pybuild completion bash)"; echo load""ed\n')
    shell.wait_for("loaded")
    yield shell
    shell.close()


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("pybuild doc\t", "pybuild doctor "),
        ("pybuild rmi z\t", "pybuild rmi zoo:1.5 "),
        ("pybuild rmi zoo:\t", "pybuild rmi zoo:1.5 "),
        ("pybuild -f fixtures/test\t", "pybuild -f fixtures/test.sh "),
        ("pybuild -t x fixtures/im\t", "pybuild -t x fixtures/images/"),
        ("pybuild --pull=al\t", "pybuild --pull=always "),
    ],
)
def test_bash(bash: Shell, typed: str, completed: str) -> None:
    bash.type(typed)
    bash.wait_for(completed)


@pytest.mark.needs_tool("zsh")
def test_zsh(environment: dict[str, str]) -> None:
    shell = Shell(["zsh", "-f", "-i"], environment)
    shell.type('autoload -U compinit && compinit -D; eval "$(pybuild completion zsh)"; echo load""ed\n')
    shell.wait_for("loaded")
    shell.type("pybuild rmi z\t")
    shell.wait_for("pybuild rmi zoo:1.5")
    shell.close()


@pytest.mark.needs_tool("fish")
def test_fish(environment: dict[str, str]) -> None:
    """Fish says itself what it would offer."""
    script = "pybuild completion fish | source; complete -C 'pybuild rmi z'; complete -C 'pybuild doc'"
    done = subprocess.run(
        ["fish", "-c", script], check=True, capture_output=True, text=True, env=environment, timeout=PATIENCE_S
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["zoo:1.5", "doctor"]
