"""Child processes without ``subprocess``."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from builder.sandbox.child import Child
from tests.conftest import REPOSITORY

WAIT_S = 20
"""A test that waits longer has failed."""


def shell(script: str) -> Callable[[int], list[str]]:
    """``$0`` is the number of the descriptor."""
    return lambda number: ["/bin/sh", "-c", script, str(number)]


@contextmanager
def child(script: str) -> Iterator[tuple[Child, int]]:
    """And the end of a pipe of which it has the other one."""
    ours, theirs = os.pipe()
    started = Child(shell(script), theirs)
    os.close(theirs)
    try:
        yield started, ours
    finally:
        os.close(ours)
        started.kill()
        started.wait()


def test_its_surroundings() -> None:
    look = 'found="$(readlink /proc/$$/fd/0 /proc/$$/fd/1; cut -d" " -f6 /proc/$$/stat)"; echo $found >&$0'
    with child(look) as (started, end):
        assert started.wait(WAIT_S)
        *streams, session = os.read(end, 1000).decode().split()
    assert streams == ["/dev/null"] * 2
    assert int(session) == started.pid != os.getsid(0)


def test_standard_output_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    with child("echo lost; echo told >&2; echo x >&$0") as (started, end):
        assert os.read(end, 2) == b"x\n"
        assert started.wait(WAIT_S)
    assert capfd.readouterr() == ("", "told\n")


OF_ITS_OWN_NUMBER = """
import fcntl, os, sys
from builder.sandbox.child import Child
ours, theirs = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())
os.dup2(theirs, int(sys.argv[1]), inheritable=False)
child = Child(lambda number: ["/bin/sh", "-c", "echo written >&$0", str(number)], int(sys.argv[1]))
child.wait()
print(os.read(ours, 100), file=sys.stderr)
"""


@pytest.mark.parametrize("number", [0, 1, 3, 4])
def test_any_descriptor_is_passed(number: int) -> None:
    """Also one that has the number already that it shall get, or that of a standard stream."""
    command = [sys.executable, "-c", OF_ITS_OWN_NUMBER, str(number)]
    done = subprocess.run(command, check=True, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY, timeout=WAIT_S)
    assert done.stderr == "b'written\\n'\n"


def test_waiting() -> None:
    with child("exec sleep 1000") as (started, _):
        assert not started.wait(0)
        ended: list[bool] = []
        threads = [threading.Thread(target=lambda: ended.append(started.wait(WAIT_S))) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.kill()
        for thread in threads:
            thread.join()
        assert ended == [True] * 4
        assert started.wait()
        with pytest.raises(ChildProcessError):
            os.waitpid(started.pid, 0)


def test_nobody_else_is_killed_once_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be another process's then."""
    with child("exit 3") as (started, _):
        assert started.wait(WAIT_S)
        killed: list[int] = []
        monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
        started.kill()
    assert killed == []


def test_where_nobody_waits_for_children() -> None:
    """As under a parent that had SIGCHLD ignored."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with child("exec sleep 1000") as (started, _):
            assert not started.wait(0)
            started.kill()
            assert started.wait(WAIT_S)
            started.kill()
            assert started.wait(WAIT_S)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        Child(lambda number: ["/nowhere/program", str(number)], 0)
