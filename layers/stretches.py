"""Stretches of listed names made into pieces of a tar stream by processes beside (layers.stretchworker).

A job is as much as fits into a slot of memory that is shared with the process: it puts headers and contents there, and
answers with the records of the index. What a process cannot do, or should not, is done here, entry by entry.
"""

import marshal
import mmap
import os
from collections import deque
from collections.abc import Callable
from typing import Self

from layers.beside import Beside
from layers.entry import Entry
from layers.listed import Stretch
from layers.making import UNMADE, Maker, Unmade
from layers.tuples import NamedTuple

MANY = 2048
"""Names in a stream after which the next ones are worth processes."""

NAMES = 512
"""Of a job, at most; and of a stretch."""

CONTENT = 1 << 20
"""Bytes of the files of a job, at most; and of a stretch."""

SLOT = 2 << 20
"""Room for that and for headers."""

AHEAD = 3
"""Slots of a process."""

WORKERS = 2

_ENTRIES = 64
"""Entries that may wait behind jobs for their turn."""


class Records(NamedTuple):
    """Records of an index (layers.index) that follow each other. ``lengths``: of each, in an ``array("I")``.
    ``last``: the path of the last one, which may be a ``directory``."""

    data: bytes
    lengths: bytes
    last: bytes
    directory: bool


Answer = tuple[int, int, bytes, bytes, bytes, bool]
"""How many names were done and how many bytes they take in the slot; then what ``Records`` is made of."""


class _Worker:
    def __init__(self, root: bytes) -> None:
        descriptor = os.memfd_create("pybuild-stretches")
        try:
            os.ftruncate(descriptor, AHEAD * SLOT)
            self.memory = memoryview(mmap.mmap(descriptor, AHEAD * SLOT))
            self.free = list(range(0, AHEAD * SLOT, SLOT))
            self.beside = Beside("layers.stretchworker", (descriptor,))
            self.beside.send(marshal.dumps((descriptor, AHEAD * SLOT, root), 2))
        finally:
            os.close(descriptor)


class _Job(NamedTuple):
    worker: _Worker
    slot: int
    stretches: list[Stretch]


class Stretches:
    """Context manager. ``write`` gets pieces of the stream, ``records`` what the index has of them, in order; ``alone``
    does what both would have, for one entry. Raises what these raise.

    ``maker``: of the directory in which the processes make the files, too; ``alone`` has its own way to do that."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        records: Callable[[Records], None],
        alone: Callable[[Entry], None],
        maker: Maker | Unmade = UNMADE,
    ) -> None:
        self._maker = maker
        self._write = write
        self._records = records
        self._alone = alone
        self._seen = 0
        self._workers: list[_Worker] = []
        self._turn = 0
        self._stretches: list[Stretch] = []
        self._names = 0
        self._content = 0
        self._away: deque[_Job | Entry] = deque()

    def take(self, stretch: Stretch) -> None:
        """``stretch`` has at most NAMES names and CONTENT bytes, or is done here, in its turn."""
        if not self._workers:
            self._seen += stretch.size
            if self._seen < MANY or not self._start():
                self._expand([stretch])
                return
        if self._names + stretch.size > NAMES or self._content + stretch.content > CONTENT:
            self._send()
            if stretch.size > NAMES or stretch.content > CONTENT:
                self._here(stretch)
                return
        self._stretches.append(stretch)
        self._names += stretch.size
        self._content += stretch.content

    def queue(self, entry: Entry) -> bool:
        """Whether ``entry`` will be done in its turn from here; if not, all before it has been."""
        if not self._away and not self._stretches:
            return False
        self._send()
        if len(self._away) >= _ENTRIES:
            self.flush()
            return False
        self._away.append(entry)
        return True

    def flush(self) -> None:
        """Writes all that was taken."""
        self._send()
        while self._away:
            self._collect()

    def finish(self) -> None:
        """Writes all that was taken; nothing comes after it. With ``maker``, the processes make no more files."""
        self.flush()
        if not self._maker.kept:
            return
        for worker in self._workers:
            worker.beside.send(marshal.dumps((0, []), 2))
        for worker in self._workers:
            answer = worker.beside.receive()
            if not answer or marshal.loads(answer) is not True:  # noqa: S302 - by our own process
                self._maker.kept = False

    def _start(self) -> bool:
        self._seen = 0  # asked again after as many names, which costs nothing
        try:
            for _ in range(WORKERS):
                self._workers.append(_Worker(self._maker.root))
        except OSError:  # no memory of that kind, or a limit to it
            self._close()
            return False
        return True

    def _send(self) -> None:
        if not self._stretches:
            return
        worker = self._workers[self._turn % WORKERS]
        self._turn += 1
        while not worker.free:
            self._collect()
        job = _Job(worker, worker.free.pop(), self._stretches)
        what = [
            (
                stretch.path,
                stretch.host,
                stretch.packed,
                stretch.digests,
                stretch.extras,
                stretch.owner,
                stretch.settled,
            )
            for stretch in job.stretches
        ]
        worker.beside.send(marshal.dumps((job.slot, what), 2))
        self._away.append(job)
        self._stretches = []
        self._names = self._content = 0

    def _collect(self) -> None:
        """Writes the oldest job, or entry."""
        job = self._away.popleft()
        if isinstance(job, Entry):
            self._alone(job)
            return
        answer = job.worker.beside.receive()
        done = 0
        if answer:
            made: Answer = marshal.loads(answer)  # noqa: S302 - written by our own process
            done, end, data, lengths, last, directory = made
            if done:
                self._write(bytes(job.worker.memory[job.slot : job.slot + end]))
                self._records(Records(data, lengths, last, directory))
        job.worker.free.append(job.slot)
        if done < sum(stretch.size for stretch in job.stretches):
            self._expand(job.stretches, done)

    def _here(self, stretch: Stretch) -> None:
        for entry in stretch.entries():
            if not self.queue(entry):
                self._alone(entry)

    def _expand(self, stretches: list[Stretch], done: int = 0) -> None:
        for stretch in stretches:
            for entry in stretch.entries():
                if done:
                    done -= 1
                else:
                    self._alone(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        for worker in self._workers:
            worker.beside.close()
        self._workers.clear()
