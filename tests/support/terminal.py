"""Programs on a terminal of their own, as a person would see them."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

from tests.conftest import REPOSITORY

PATIENCE_S = 30
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[ -/]*[0-~])|\r")


def bare(text: str) -> str:
    """Without the sequences that steer a terminal."""
    return _ESCAPES.sub("", text)


class Terminal:
    """``seen`` is everything that was written to it, sequences included, as far as it was read."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, columns: int = 100, lines: int = 30) -> None:
        self._main, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        self._process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env=env, cwd=REPOSITORY, start_new_session=True
        )
        os.close(other)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def wait_for(self, text: str) -> None:
        """AssertionError when it is not shown within PATIENCE_S, from here on."""
        start, deadline = len(self.seen), time.monotonic() + PATIENCE_S
        while text not in bare(self.seen[start:]):
            assert self._read(deadline), f"no {text!r} in {self.seen[start:]!r}"

    def end(self) -> int:
        """Reads on until the program ends; its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._main], [], [], max(deadline - time.monotonic(), 0))
        try:
            data = os.read(self._main, 1 << 16) if ready else b""
        except OSError:
            # Nobody has the other end any more.
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def close(self) -> None:
        os.close(self._main)
        self._process.kill()
        self._process.wait()
