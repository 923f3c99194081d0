"""The process beside a build that reads a large context, seen from the build: what it cannot do is done here."""

import marshal
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Self

from builder.plan.contextworker import LARGEST, UNKNOWN
from builder.plan.hashing import Check, Wanted, hash_files
from builder.plan.hostfiles import Ignores
from builder.plan.listing import Listing
from layers.beside import Beside

NAMES = 2000
"""What a share of a walk comes to, about."""


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
        self._beside = Beside("builder.plan.contextworker")
        self._started = False
        self._given: deque[_Job] = deque()

    @property
    def waiting(self) -> int:
        """Jobs whose answer has not been read."""
        return len(self._given)

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        """Hashes files, the small ones there."""
        away = [at for at, file in enumerate(wanted) if file.key[2] <= LARGEST]
        job = _Job()
        if not away:
            return Pending(self, wanted, (), job)
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
        return Listed(self, job) if self._send(job, message) else None

    def here(self, wanted: Sequence[Wanted]) -> list[bytes]:
        return list(hash_files(self._root, wanted, self._check))

    def answers(self, job: _Job) -> bool:
        return job.answer is not None or self._beside.answers()

    def receive(self, job: _Job) -> bytes:
        """The answer; those to earlier jobs are read first. Empty when the process is gone."""
        self._check()
        while job.answer is None:
            self._given.popleft().answer = self._beside.receive()
        self._check()
        return job.answer

    def _send(self, job: _Job, message: bytes) -> bool:
        if not self._started:
            self._started = True
            pickled = b""
            if self._matcher is not None:
                import pickle

                pickled = pickle.dumps(self._matcher)
            self._beside.send(marshal.dumps((self._root, pickled), 2))
        if not self._beside.send(message):
            return False
        self._given.append(job)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._beside.close()
