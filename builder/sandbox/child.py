"""A child process of a build that is started with little: ``subprocess`` would take milliseconds to import."""

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable

_PASSED = 3, 4
"""The number of the descriptor in the child: the first of these that is not its own number here, where it would stay
closed on exec."""


class Child:
    """In a session of its own, so that a terminal's Ctrl-C is for the parent, which decides what it means. Standard
    input and output are /dev/null, standard error is the parent's.

    ``command`` makes the arguments, the first of which is the program's path, out of the number that ``descriptor`` has
    in the child. Descriptors that are inheritable here are open there too.
    """

    def __init__(self, command: Callable[[int], list[str]], descriptor: int) -> None:
        number = next(number for number in _PASSED if number != descriptor)
        arguments = command(number)
        self.pid = os.posix_spawn(
            arguments[0],
            arguments,
            os.environ,
            file_actions=(
                (os.POSIX_SPAWN_DUP2, descriptor, number),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            ),
            setsid=True,
        )
        self._lock = threading.Lock()
        """Held for moments only: the number of a process that was waited for may be another's."""
        self._ended = False

    def kill(self) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if not self._ended:
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended, after so long at most. May be asked by several threads, and again."""
        with self._lock:
            try:
                end = None if self._ended else os.pidfd_open(self.pid)
            except ProcessLookupError:  # where SIGCHLD is ignored, nobody has to be waited for
                end = None
        if end is not None:
            try:
                poll = select.poll()
                poll.register(end, select.POLLIN)
                if not poll.poll(None if seconds is None else seconds * 1000):
                    return False
            finally:
                os.close(end)
        with self._lock, contextlib.suppress(ChildProcessError):
            if not self._ended:
                self._ended = True
                os.waitpid(self.pid, 0)
        return True
