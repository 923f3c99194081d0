"""The child of a process in a user namespace that stays outside of it, as the real user.

It writes the id maps of the namespace (the programs that may do so must not be inside), and runs credential helpers:
keyrings ask who is asking. It ends when its parent does, however that ends.
"""

import marshal
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from layers.errors import PybuildError
from layers.idmap import Row
from layers.tuples import NamedTuple

Run = Callable[[Sequence[str], bytes, Mapping[str, str]], tuple[int, bytes]]
"""Runs a program: arguments, input and environment to exit status and output (registry.credentials.Runner)."""

TOOLS = {"uid": "newuidmap", "gid": "newgidmap"}
_FRAME = 4
_IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)

Failure = tuple[str, str | None, str] | None
"""Message, hint and code of a PybuildError."""


class Maps(NamedTuple):
    """How the namespace gets its ids. ``tools``: by newuidmap and newgidmap; else written by the child outside."""

    uids: tuple[Row, ...]
    gids: tuple[Row, ...]
    tools: bool


class Outside:
    """The child that stays outside. It ends when this process does, however that ends."""

    def __init__(self, run: Run) -> None:
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        self._lock = Lock()
        if os.fork() == 0:
            status = 1
            try:
                os.close(self._requests)
                os.close(self._answers)
                _serve(requests, answers, run)
                status = 0
            finally:
                os._exit(status)
        os.close(requests)
        os.close(answers)

    def map(self, pid: int, maps: Maps) -> str | None:
        """Gives the namespace of process ``pid`` its ids. Returns why it could not."""
        failure: str | None = self._ask(("map", pid, tuple(maps)))
        return failure

    def run(self, arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
        """Runs a program as the real user. Thread-safe. Raises PybuildError as the ``run`` it was made with does."""
        status, output, failure = self._ask(("run", list(arguments), given, dict(environ)))
        if failure is not None:
            message, hint, code = failure
            raise PybuildError(message, hint=hint, code=code)
        return status, output

    def _ask(self, request: tuple[Any, ...]) -> Any:
        with self._lock:
            try:
                _send(self._requests, request)
                answer = _receive(self._answers)
            except BrokenPipeError:
                answer = None
        if answer is None:
            raise PybuildError("the process that stays outside of the user namespace has ended", code="namespace")
        return answer[0]

    def close(self) -> None:
        """The child ends."""
        os.close(self._requests)
        os.close(self._answers)


def _serve(requests: int, answers: int, run: Run) -> None:
    """The child, until its parent is gone."""
    for number in _IGNORED:  # a terminal's Ctrl-C is for the parent, which may need credentials to clear up
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (0, 1):
        os.dup2(null, stream)
    while (request := _receive(requests)) is not None:
        match request:
            case "map", pid, (uids, gids, tools):
                _send(answers, (_map(pid, Maps(uids, gids, tools)),))
            case "run", arguments, given, environ:
                _send(answers, (_run(run, arguments, given, environ),))


def _run(run: Run, arguments: list[str], given: bytes, environ: dict[str, str]) -> tuple[int, bytes, Failure]:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    try:
        return *run(arguments, given, environ), None
    except PybuildError as error:
        return 0, b"", (error.message, error.hint, error.code)
    finally:
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)


def _map(pid: int, maps: Maps) -> str | None:
    """Both maps of a namespace, at once when programs do it. Why one of them could not be made."""
    pairs = (("uid", maps.uids), ("gid", maps.gids))
    if not maps.tools:
        try:
            for which, rows in pairs:
                write_map(f"/proc/{pid}/{which}_map", rows)
        except OSError as error:
            return f"writing the id map: {error.strerror}"
        return None
    ends = [_start_tool(TOOLS[which], pid, rows) for which, rows in pairs]
    failures = [failure for end in ends if (failure := end()) is not None]
    return failures[0] if failures else None


def _start_tool(tool: str, pid: int, rows: tuple[Row, ...]) -> Callable[[], str | None]:
    """Starts newuidmap or newgidmap; what is returned waits for its end, and says why it failed."""
    arguments = [tool, str(pid), *(str(number) for row in rows for number in row)]
    said, stderr = os.pipe()
    try:
        child = os.posix_spawnp(tool, arguments, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, stderr, 2)])
    except FileNotFoundError:
        os.close(said)
        return lambda: f"{tool} is not installed"
    except OSError as error:
        os.close(said)
        text = f"{tool} cannot be started: {error.strerror}"
        return lambda: text
    finally:
        os.close(stderr)

    def end() -> str | None:
        with open(said, "rb") as file:
            text = file.read().decode(errors="replace").strip()
        _, status = os.waitpid(child, 0)
        return None if status == 0 else text or f"{tool} failed"

    return end


def _send(descriptor: int, value: tuple[Any, ...]) -> None:
    data = marshal.dumps(value)
    view = memoryview(len(data).to_bytes(_FRAME, "little") + data)
    while view:
        view = view[os.write(descriptor, view) :]


def _receive(descriptor: int) -> Any:
    """None at the end of file."""
    head = _read_all(descriptor, _FRAME)
    size = int.from_bytes(head, "little")
    data = _read_all(descriptor, size) if len(head) == _FRAME else b""
    return marshal.loads(data) if data and len(data) == size else None  # noqa: S302  # from a fork of this process


def _read_all(descriptor: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := os.read(descriptor, size - len(data))):
        data += chunk
    return data


def write_map(path: str, rows: tuple[Row, ...]) -> None:
    """In one write(2), as the kernel wants it."""
    write_once(path, "".join(f"{' '.join(map(str, row))}\n" for row in rows))


def write_once(path: str, text: str) -> None:
    """To a file of /proc. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
