"""The processes beside a build that read a large context, seen from the build: what they cannot do is done here."""

import marshal
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Self

from builder.plan.contextworker import File
from builder.plan.hashing import SMALL, Check, Wanted, hash_files
from builder.plan.hostfiles import Ignores
from builder.plan.listing import Listing
from layers.beside import Beside
from layers.listed import UNKNOWN

NAMES = 2000
"""What a share of a walk comes to, about."""

WAITING = 3
"""Jobs of a process at a time: the next one is there when it has done one."""

HANDS = 2
"""Processes that read and hash a context of which nothing is known: more would not leave a processor to this one."""


_Message = tuple[str, list[File]] | tuple[str, list[bytes], int, bool]
"""As builder.plan.contextworker reads it."""


class _Job:
    """``answer``: b"" when there is none to be had."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.hand: _Hand | None = None
        """Who does it."""


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


class _Hand:
    """One process, and the jobs whose answers have not been read."""

    def __init__(self) -> None:
        self.beside = Beside("builder.plan.contextworker")
        self.started = False
        self.gone = False
        self.given: deque[_Job] = deque()

    def send(self, job: _Job, message: bytes, first: bytes) -> bool:
        """``first``: what comes before all jobs."""
        if not self.started:
            self.started = True
            self.beside.send(first)
        if not self.beside.send(message):
            self.gone = True
            return False
        job.hand = self
        self.given.append(job)
        return True

    def read(self) -> None:
        """The answer to its oldest job."""
        job = self.given.popleft()
        job.answer = self.beside.receive()
        self.gone |= not job.answer


class ContextHelper:
    """Context manager; each process is started when it is first worth it."""

    def __init__(self, root: bytes, matcher: Ignores | None, check: Check) -> None:
        self._root = root
        self._matcher = matcher
        self._check = check
        self._hands = [_Hand() for _ in range(HANDS)]
        self._first = b""

    def begin(self, wanted: Sequence[Wanted]) -> Pending:
        """Hashes files, the small ones there."""
        away = [at for at, file in enumerate(wanted) if file.key[2] <= SMALL]
        job = _Job()
        if not away:
            return Pending(self, wanted, (), job)
        files = [
            (b"%b/%b" % (directory, name) if directory else name, key)
            for directory, name, key in (wanted[at] for at in away)
        ]
        hand = _idlest([hand for hand in self._hands if hand.started and not hand.gone] or self._hands)
        sent = self._send(hand, job, ("hash", files))
        return Pending(self, wanted, away if sent else (), job)

    def has_room(self, *, thorough: bool) -> bool:
        """Whether a process would soon be without work. What it has answered is taken in: that may be about directories
        to which the walk comes much later."""
        for hand in self._walkers(thorough):
            while len(hand.given) >= WAITING and hand.beside.answers():
                hand.read()
            if not hand.gone and len(hand.given) < WAITING:
                return True
        return False

    def walk(self, directories: Sequence[bytes], *, thorough: bool) -> Listed | None:
        """Lists them and what is below; None when that cannot be done there."""
        job = _Job()
        walkers = self._walkers(thorough)
        message: _Message = ("list", list(directories), NAMES, thorough)
        return Listed(self, job) if walkers and self._send(_idlest(walkers), job, message) else None

    def _walkers(self, thorough: bool) -> list[_Hand]:
        """Stats alone are read as fast as they can be taken in, so one is enough for those."""
        return [hand for hand in (self._hands if thorough else self._hands[:1]) if not hand.gone]

    def here(self, wanted: Sequence[Wanted]) -> list[bytes]:
        return list(hash_files(self._root, wanted, self._check))

    def answers(self, job: _Job) -> bool:
        return job.answer is not None or job.hand is None or job.hand.beside.answers()

    def receive(self, job: _Job) -> bytes:
        """The answer; those to earlier jobs of its process are read first. Empty when that is gone."""
        self._check()
        while job.answer is None and job.hand is not None:
            job.hand.read()
        self._check()
        return job.answer or b""

    def _send(self, hand: _Hand, job: _Job, message: "_Message") -> bool:
        if not self._first:
            pickled = b""
            if self._matcher is not None:
                import pickle

                pickled = pickle.dumps(self._matcher)
            self._first = marshal.dumps((self._root, pickled), 2)
        return hand.send(job, marshal.dumps(message, 2), self._first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for hand in self._hands:
            hand.beside.close()


def _idlest(hands: Sequence[_Hand]) -> _Hand:
    return min(hands, key=lambda hand: len(hand.given))
