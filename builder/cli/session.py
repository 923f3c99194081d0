"""Session: what one run of the command line shares between the command and the place where errors are shown."""

import os
import signal
import sys
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from builder.settings import Host
from layers.errors import PybuildError

if TYPE_CHECKING:
    from builder.sandbox.reasons import Reason
    from registry.credentials import Runner
    from registry.session import Session as RegistrySession


def _is_root() -> bool:
    """Whether the store is kept where services keep their data. Everybody can be root of a user namespace, but may not
    write there."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", encoding="utf-8") as file:  # noqa: PTH123 - on every start
        whole = file.read().split() == ["0", "0", str((1 << 32) - 1)]
    return whole or any(os.access(path, os.W_OK) for path in ("/var/lib/pybuild", "/var/lib"))


_STARTED_AS_ROOT = _is_root()
"""Asked before a namespace of our own is entered."""

_CAP_SYS_ADMIN = 21
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PATIENCE_SECONDS = 3.0
"""What goes on for longer than this once it is cancelled is ended with the process: 10 GB being hashed or packed, a
pipe that nobody reads. The store is made for that (a killed process leaves nothing that the next does not remove)."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came while nothing could be cancelled in an orderly way."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupts:
    """Inside the context the first SIGINT, SIGTERM or SIGHUP sets ``cancelled``; a second one ends the process, and so
    do PATIENCE_SECONDS without an end.

    Signals that were ignored (nohup, background jobs of a shell) stay so. ``number`` is the signal that came.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.number: int | None = None
        self._before: dict[int, Any] = {}
        self._left = threading.Event()

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.number = number
        # Event.set takes a lock that the interrupted code may hold; another thread can wait for it.
        start_new_thread(self._cancel, (number,))

    def _cancel(self, number: int) -> None:
        self.cancelled.set()
        if not self._left.wait(PATIENCE_SECONDS):
            with suppress(OSError):
                os.write(2, b"\nerror: the build was interrupted\n")
            os._exit(128 + number)


class Session:
    """``sources`` are the files that spans of errors may point into, by the path shown; ``warnings`` are of the command
    line, to be told with the build's progress."""

    def __init__(self) -> None:
        self.sources: dict[str, bytes] = {}
        self.debug = False
        self.json = False
        self.warnings: list[str] = []
        self.policed = True
        """A policy beside the Dockerfile would have to be heeded."""
        self.interrupts = Interrupts()
        self.resources = ExitStack()
        """What is to be closed when the command has ended, such as the directory of a fetched context."""
        self.notice: Reason | None = None
        """What the user should know of the user namespace that is built in."""
        self._run_outside: Runner | None = None

    def enter_namespace(self) -> None:
        """For commands that touch files of layers, before anything else: whoever is not root of this machine becomes
        root of a user namespace. Raises Unsupported where that cannot be done."""
        if has_admin():
            from layers.processids import current

            if current().single:
                from builder.sandbox.reasons import SINGLE_AROUND

                self.notice = SINGLE_AROUND
            return
        from builder.sandbox.userns import enter

        entered = enter(_run_helper)
        self.notice = entered.notice
        self._run_outside = entered.outside.run

    def connector(self, environ: Mapping[str, str]) -> "Callable[[], RegistrySession]":
        """Opens a session with registries, as the user's files and environment say. Imports nothing before."""

        def connect() -> "RegistrySession":
            from registry.session import Session as RegistrySession

            if self._run_outside is None:
                return RegistrySession.of(environ)
            return RegistrySession.of(environ, self._run_outside)

        return connect


def has_admin() -> bool:
    """Whether this process is root and may mount: in the user namespace it is in, be that the first one or not."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - on every start
        rights = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(rights, 16) >> _CAP_SYS_ADMIN & 1)


def _run_helper(arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Executed by the process outside of the namespace."""
    from registry.credentials import run_helper

    return run_helper(arguments, given, environ)


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise Terminated, so that temporary files are removed on the way out."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    numbers = [number for number in _SIGNALS[1:] if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def current_host() -> Host:
    """Reads the environment, the only place of the command line that does."""
    try:
        cwd = os.getcwd()  # noqa: PTH109 - as text, links kept
    except FileNotFoundError:
        raise PybuildError("the working directory has been removed", hint="cd to one that exists") from None
    return Host(os.environ, cwd, os.uname().machine, _STARTED_AS_ROOT)


def completion_wish() -> str:
    """What a shell asks of ``builder.cli.completion``, "" when none does."""
    return os.environ.get("_PYBUILD_COMPLETE", "")


def say(text: str) -> None:
    """One line of a command's answer, to standard output; what its encoding lacks is written as an escape."""
    encoding = sys.stdout.encoding
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    sys.stdout.flush()


def nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader went away. If so, nothing more is written to it."""
    import select

    number = sys.stdout.fileno()
    poll = select.poll()
    poll.register(number, 0)
    gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if gone:
        # What is still buffered would fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), number)
    return gone
