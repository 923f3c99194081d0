"""Hashing beside the walk over a context: small files in a process of their own, once there are many of them."""

import contextlib
import marshal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from builder.plan import hashworker
from builder.plan.hashing import Check, Wanted, hash_files
from builder.plan.hashworker import LARGEST, UNKNOWN

if TYPE_CHECKING:
    import subprocess

MANY = 2048
"""Fewer are hashed before the process has started."""


class Pending:
    """Digests of ``wanted``, on their way."""

    def __init__(self, helper: "HashHelper", wanted: Sequence[Wanted], away: Sequence[int]) -> None:
        self._helper = helper
        self._wanted = wanted
        self._away = away

    def result(self) -> list[bytes]:
        """In order. What the process could not do is done here, where its error is raised."""
        found = dict(zip(self._away, self._helper.receive(len(self._away)), strict=True)) if self._away else {}
        rest = [at for at in range(len(self._wanted)) if found.get(at, UNKNOWN) == UNKNOWN]
        found.update(zip(rest, self._helper.here([self._wanted[at] for at in rest]), strict=True))
        return [found[at] for at in range(len(self._wanted))]


class HashHelper:
    """Context manager; the process is started when it is first worth it. One job at a time: each ``begin`` is followed
    by its ``result`` before the next one."""

    def __init__(self, root: bytes, check: Check) -> None:
        self._root = root
        self._check = check
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        away = [at for at, file in enumerate(wanted) if file.key[2] <= LARGEST]
        if len(away) < MANY or not self._send([wanted[at] for at in away]):
            away = []
        return Pending(self, wanted, away)

    def here(self, wanted: Sequence[Wanted]) -> list[bytes]:
        return list(hash_files(self._root, wanted, self._check))

    def _send(self, wanted: Sequence[Wanted]) -> bool:
        if self._process is None:
            import subprocess  # a build without so many new files does without

            command = [sys.executable, "-I", "-S", hashworker.__file__]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                process_group=0,  # an interrupt at the terminal is for the build alone
            )
        files = [
            (
                b"%b/%b" % (directory, name) if directory else name,
                *(key[2], key[0], key[1], key[3], key[4]),
            )
            for directory, name, key in wanted
        ]
        try:
            hashworker.write_message(_number(self._process.stdin), marshal.dumps((self._root, files), 2))
        except BrokenPipeError:
            return False
        return True

    def receive(self, count: int) -> list[bytes]:
        self._check()
        assert self._process is not None
        answer = hashworker.read_message(_number(self._process.stdout)) or b""
        self._check()
        size = len(UNKNOWN)
        return [answer[at * size : (at + 1) * size] or UNKNOWN for at in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.kill()
            process.wait()


def _number(pipe: object) -> int:
    assert hasattr(pipe, "fileno")
    number: int = pipe.fileno()
    return number
