"""A process beside this one that runs a module of ours: Python's lock lets one thread at a time work on small files.

Messages go through its standard input and output, each as its length (64 bit, little endian) and so many bytes. It
ends with its input, and so with the process that started it, however that ends. It is only ever a help: whoever sends
it work can do that work alone when it could not be started, or died.
"""

import contextlib
import fcntl
import os
import select
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

LENGTH = struct.Struct("<Q")

_PIPE = 1 << 20
"""Bytes of a message that find room while the process is at work on another one, where the kernel lets us have them: an
ordinary user's pipes have a limit together."""

_PROGRAM = """\
import gc, sys
gc.disable()
sys.path.append(sys.argv[1])
try:
    from {} import main
    main()
except (OSError, MemoryError):
    pass"""
"""For the interpreter alone, without what is installed for it: so it starts in half the time. What is beside our own
packages must not stand in for the standard library. Nothing it makes is in a cycle. The build that ends first has no
use for the answer, and one whose helper finds no memory or no descriptor does without it."""


class Beside:
    """``module``: the name of one with a ``main`` that imports the standard library and our own alone; ``descriptors``
    are open in the process, by the same numbers. It starts with the first ``send``."""

    def __init__(self, module: str, descriptors: Sequence[int] = ()) -> None:
        self._module = module
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._gone = False
        self._inbox = bytearray()
        """What was read of its output and not yet asked for."""

    def send(self, message: bytes) -> bool:
        """False when there is nobody to read it. Its output is read meanwhile, so neither waits for the other."""
        if self._gone:
            return False
        try:
            if self._process is None:
                self._process = self._start()
            self._write(memoryview(LENGTH.pack(len(message)) + message))
        except OSError:
            self._gone = True
        return not self._gone

    def _write(self, data: memoryview) -> None:
        there, back = self._pipes()
        poll = select.poll()
        poll.register(there, select.POLLOUT)
        poll.register(back, select.POLLIN)
        while data:
            for descriptor, _ in poll.poll():
                if descriptor == back:
                    self._read()
                else:
                    data = data[os.write(there, data) :]

    def _read(self) -> None:
        """Raises OSError at the end."""
        data = os.read(self._pipes()[1], 1 << 20)
        if not data:
            raise BrokenPipeError
        self._inbox += data

    def receive(self) -> bytes:
        """The next answer; b"" when none will come."""
        try:
            while len(self._inbox) < LENGTH.size:
                self._read()
            end = LENGTH.size + LENGTH.unpack_from(self._inbox)[0]
            while len(self._inbox) < end:
                self._read()
        except OSError:
            self._gone = True
            return b""
        answer = bytes(self._inbox[LENGTH.size : end])
        del self._inbox[:end]
        return answer

    def answers(self) -> bool:
        """Whether there is something of an answer."""
        if self._inbox or self._process is None:
            return True
        poll = select.poll()
        poll.register(self._pipes()[1], select.POLLIN)
        return bool(poll.poll(0))

    def _pipes(self) -> tuple[int, int]:
        """To it, and back."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise BrokenPipeError
        return self._process.stdin.fileno(), self._process.stdout.fileno()

    def _start(self) -> "subprocess.Popen[bytes]":
        import subprocess  # most builds do without these
        from pathlib import Path

        process = subprocess.Popen(
            [sys.executable, *_flags(), "-c", _PROGRAM.format(self._module), str(Path(__file__).resolve().parents[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=self._descriptors,
            process_group=0,  # an interrupt at the terminal is for the build alone
        )
        assert process.stdin is not None
        assert process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
        return process

    def close(self) -> None:
        process, self._process = self._process, None
        self._gone = True
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _flags() -> list[str]:
    """``-I`` also makes the interpreter blind for where compiled modules are to go, if anywhere."""
    flags = ["-I", "-S"]
    if sys.dont_write_bytecode:
        flags.append("-B")
    if sys.pycache_prefix is not None:
        flags += ["-X", f"pycache_prefix={sys.pycache_prefix}"]
    return flags


def read_message(descriptor: int) -> bytes | None:
    """None at the end, also one that comes too early."""
    head = _read(descriptor, LENGTH.size)
    return _read(descriptor, LENGTH.unpack(head)[0]) if head is not None else None


def _read(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        data = os.read(descriptor, min(size, 1 << 20))
        if not data:
            return None
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def write_message(descriptor: int, message: bytes) -> None:
    view = memoryview(LENGTH.pack(len(message)) + message)
    while view:
        view = view[os.write(descriptor, view) :]
