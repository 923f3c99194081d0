"""The process beside a build that reads a large context, seen from the build: what it cannot do is done here."""

import contextlib
import marshal
import select
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

from builder.plan import contextworker
from builder.plan.contextworker import LARGEST, UNKNOWN
from builder.plan.hashing import Check, Wanted, hash_files
from builder.plan.hostfiles import Ignores
from builder.plan.listing import Listing

if TYPE_CHECKING:
    import subprocess

MANY = 2048
"""Fewer are hashed before the process has started."""

NAMES = 2000
"""What a share of a walk comes to, about."""

_ROOM = 16 << 10
"""Bytes that a job to list may have: it must fit into the pipe while the process waits for room for its answer."""

_PROGRAM = f"import sys; sys.path.insert(0, sys.argv[1]); from {contextworker.__name__} import main; main()"
"""The interpreter alone, without what is installed for it: it starts in half the time."""


class _Job:
    """``answer``: b"" when there is none to be had."""

    def __init__(self) -> None:
        self.answer: bytes | None = None


class Pending:
    """Digests of ``wanted``, on their way."""

    def __init__(self, helper: "ContextHelper", wanted: Sequence[Wanted], away: Sequence[int], job: _Job) -> None:
        self._helper = helper
        self._wanted = wanted
        self._away = away
        self._job = job

    def result(self) -> list[bytes]:
        """In order. What the process could not do is done here, where its error is raised."""
        size = len(UNKNOWN)
        answer = self._helper.receive(self._job) if self._away else b""
        found = {at: answer[n * size : (n + 1) * size] or UNKNOWN for n, at in enumerate(self._away)}
        rest = [at for at in range(len(self._wanted)) if found.get(at, UNKNOWN) == UNKNOWN]
        found.update(zip(rest, self._helper.here([self._wanted[at] for at in rest]), strict=True))
        return [found[at] for at in range(len(self._wanted))]


class Listed:
    """Listings of directories, on their way."""

    def __init__(self, helper: "ContextHelper", job: _Job) -> None:
        self._helper = helper
        self._job = job

    def ready(self) -> bool:
        """Whether there is something to read of the answer, or of one before it."""
        return self._helper.answers(self._job)

    def result(self) -> Iterator[tuple[bytes, Listing]]:
        """Path and listing of those that could be read, for the first who asks."""
        answer = self._helper.receive(self._job)
        self._job.answer = b""
        for path, *carried in marshal.loads(answer) if answer else ():  # noqa: S302 - written by our own process
            yield path, Listing(tuple(carried))


class ContextHelper:
    """Context manager; the process is started when it is first worth it."""

    def __init__(self, root: bytes, matcher: Ignores | None, check: Check) -> None:
        self._root = root
        self._matcher = matcher
        self._check = check
        self._process: subprocess.Popen[bytes] | None = None
        self._given: deque[_Job] = deque()
        self._gone = False

    @property
    def waiting(self) -> int:
        """Jobs whose answer has not been read."""
        return len(self._given)

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        """Hashes files, if it is worth it there."""
        away = [at for at, file in enumerate(wanted) if file.key[2] <= LARGEST]
        job = _Job()
        if len(away) < MANY:
            return Pending(self, wanted, (), job)
        while self._given:  # a large job would wait for the process, which waits for us to read
            self.receive(self._given[0])
        files = [
            (b"%b/%b" % (directory, name) if directory else name, *(key[2], key[0], key[1], key[3], key[4]))
            for directory, name, key in (wanted[at] for at in away)
        ]
        sent = self._send(job, marshal.dumps(("hash", files), 2))
        return Pending(self, wanted, away if sent else (), job)

    def walk(self, directories: Sequence[bytes], *, thorough: bool) -> Listed | None:
        """Lists them and what is below; None when that cannot be done there."""
        message = marshal.dumps(("list", list(directories), NAMES, thorough), 2)
        job = _Job()
        return Listed(self, job) if len(message) <= _ROOM and self._send(job, message) else None

    def here(self, wanted: Sequence[Wanted]) -> list[bytes]:
        return list(hash_files(self._root, wanted, self._check))

    def answers(self, job: _Job) -> bool:
        if job.answer is not None or self._process is None:
            return True
        return bool(select.select([_number(self._process.stdout)], (), (), 0)[0])

    def receive(self, job: _Job) -> bytes:
        """The answer; those to earlier jobs are read first. Empty when the process is gone."""
        self._check()
        while job.answer is None:
            assert self._process is not None
            answer = contextworker.read_message(_number(self._process.stdout)) or b""
            self._given.popleft().answer = answer
        self._check()
        return job.answer

    def _send(self, job: _Job, message: bytes) -> bool:
        if self._gone:
            return False
        try:
            if self._process is None:
                self._process = self._start()
            contextworker.write_message(_number(self._process.stdin), message)
        except OSError:  # it could not be started, or has ended
            self._gone = True
            return False
        self._given.append(job)
        return True

    def _start(self) -> "subprocess.Popen[bytes]":
        import subprocess  # a build without so many files does without
        from pathlib import Path

        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, str(Path(__file__).resolve().parents[2])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # an interrupt at the terminal is for the build alone
        )
        pickled = b""
        if self._matcher is not None:
            import pickle

            pickled = pickle.dumps(self._matcher)
        self._process = process  # so that it is ended, whatever comes
        contextworker.write_message(_number(process.stdin), marshal.dumps((self._root, pickled), 2))
        return process

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
