"""Memory of a process and all below it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench import memory
from tests.bench.memory import resident, resident_together, shares_memory

MIB = 1 << 20
HOLDING = "import sys; held = bytearray(b'x' * (64 << 20)); print('ready', flush=True); sys.stdin.read()"


@contextmanager
def holding() -> Iterator[int]:
    """A process that has 64 MiB."""
    command = [sys.executable, "-c", HOLDING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_children_count() -> None:
    alone = resident_together(os.getpid())
    with holding():
        assert resident_together(os.getpid()) > alone + 60 * MIB


def test_whose_memory_is_whose() -> None:
    own = threading.get_native_id()
    other: list[bool] = []
    thread = threading.Thread(target=lambda: other.append(shares_memory(threading.get_native_id(), own)))
    thread.start()
    thread.join()
    assert other == [True]
    with holding() as child:
        assert not shares_memory(child, os.getpid())
    assert not shares_memory(os.getpid(), 0)


def test_a_child_in_its_parents_memory_does_not_count_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with holding() as child:
        monkeypatch.setattr(memory, "shares_memory", lambda one, _: one == child)
        assert resident_together(os.getpid()) < resident(os.getpid()) + 60 * MIB
