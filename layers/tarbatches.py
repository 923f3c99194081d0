"""Small files of a tar stream read by a process beside, several batches ahead (layers.readworker).

A batch is a piece of the stream, laid out in shared memory: the headers are put there, the process reads the files into
the gaps between them.
"""

import marshal
import mmap
import os
from collections import deque
from collections.abc import Callable
from typing import Self

from layers.beside import Beside
from layers.content import SMALL
from layers.entry import Entry, FileSource, Kind
from layers.errors import SourceChanged
from layers.readworker import COUNT, File
from layers.tarheader import padding
from layers.tuples import NamedTuple

MANY = 2048
"""Small files in a stream after which the next ones are worth a process."""

SLOT = 1 << 20
"""Bytes of a batch at most."""

AHEAD = 4
"""Batches that are on their way at once."""

_LARGEST_HEADER = 64 << 10
_RAW = 32
_ZEROS = bytes(512)


class Member(NamedTuple):
    """``start``: where the header is in the batch. ``file``: its number among the files to be read, if it is one."""

    entry: Entry
    header: bytes
    start: int
    file: int | None


class _Batch:
    """``memory``: where the piece of the stream is put together."""

    __slots__ = ("checked", "end", "files", "members", "memory", "offset")

    def __init__(self, memory: memoryview, offset: int) -> None:
        self.memory = memory
        self.offset = offset
        self.clear()

    def clear(self) -> None:
        self.end = 0
        self.members: list[Member] = []
        self.files: list[File] = []
        self.checked = False
        """Whether any file must have a digest that is known."""

    def add(self, entry: Entry, header: bytes) -> None:
        start = self.end
        at = start + len(header)
        self.memory[start:at] = header
        self.end = at
        source = entry.source
        if not isinstance(source, FileSource):
            self.members.append(Member(entry, header, start, None))
            return
        size = entry.size
        pad = padding(size)
        self.end = at + size + pad
        self.memory[at + size : self.end] = _ZEROS[:pad]
        self.members.append(Member(entry, header, start, len(self.files)))
        self.files.append((source.path, self.offset + at, size))
        self.checked |= source.sha256 is not None


class Batches:
    """Context manager. ``write`` gets pieces of the stream, ``done`` each entry of it with the digest of a file's bytes
    (which may be None unless ``hashed``), in order; ``alone`` does what both would have, for what the process could not
    do.

    Raises what these raise, and SourceChanged for a file whose bytes are not those of its digest.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        done: Callable[[Entry, bytes | None], None],
        alone: Callable[[Entry, bytes], None],
        *,
        hashed: bool,
    ) -> None:
        self._write = write
        self._done = done
        self._alone = alone
        self._hashed = hashed
        self._small = 0
        self._beside: Beside | None = None
        self._batch: _Batch | None = None
        self._free: list[_Batch] = []
        self._away: deque[_Batch] = deque()
        self._memory: mmap.mmap | None = None

    def take(self, entry: Entry, header: bytes) -> bool:
        """Whether it will be written from here; if not, all before it have been."""
        kind = entry.kind
        if kind is Kind.FILE and not (isinstance(entry.source, FileSource) and entry.size <= SMALL):
            self.flush()
            return False
        if self._beside is None:
            self._small += kind is Kind.FILE
            if self._small < MANY or not self._start():
                return False
        if len(header) > _LARGEST_HEADER:
            self.flush()
            return False
        batch = self._batch
        if batch is None or batch.end + len(header) + entry.size + 512 > SLOT:
            batch = self._next()
        batch.add(entry, header)
        return True

    def flush(self) -> None:
        """Writes all that was taken."""
        self._send()
        while self._away:
            self._collect()

    def _start(self) -> bool:
        try:
            descriptor = os.memfd_create("pybuild-batches")
            try:
                self._share(descriptor)
            finally:
                os.close(descriptor)
        except OSError:  # no memory of that kind, or a limit to it
            self._small = 0  # asked again after as many files, which costs nothing
            return False
        return True

    def _share(self, descriptor: int) -> None:
        length = (AHEAD + 1) * SLOT
        os.ftruncate(descriptor, length)
        self._memory = mmap.mmap(descriptor, length)
        view = memoryview(self._memory)
        self._free = [_Batch(view[at : at + SLOT], at) for at in range(0, length, SLOT)]
        self._beside = Beside("layers.readworker", (descriptor,))
        self._beside.send(marshal.dumps((descriptor, length), 2))

    def _next(self) -> _Batch:
        self._send()
        if not self._free:
            self._collect()
        self._batch = self._free.pop()
        return self._batch

    def _send(self) -> None:
        batch, self._batch = self._batch, None
        if batch is not None:
            assert self._beside is not None
            self._beside.send(marshal.dumps((self._hashed or batch.checked, batch.files), 2))
            self._away.append(batch)

    def _collect(self) -> None:
        """Writes the oldest batch."""
        assert self._beside is not None
        batch = self._away.popleft()
        answer = self._beside.receive()
        count = COUNT.unpack_from(answer)[0] if answer else 0
        members = batch.members
        whole = count == len(batch.files)
        cut = len(members) if whole else next(at for at, member in enumerate(members) if member.file == count)
        digests = self._checked(members[:cut], answer[COUNT.size :])
        self._write(bytes(batch.memory[: batch.end if whole else members[cut].start]))
        for member, digest in zip(members, digests, strict=False):
            self._done(member.entry, digest)
        for member in members[cut:]:
            self._alone(member.entry, member.header)
        batch.clear()
        self._free.append(batch)

    def _checked(self, members: list[Member], digests: bytes) -> list[bytes | None]:
        found: list[bytes | None] = []
        for entry, _, _, file in members:
            digest = digests[file * _RAW : (file + 1) * _RAW] if file is not None and digests else None
            if digest is not None and isinstance(entry.source, FileSource):
                expected = entry.source.sha256
                if expected is not None and digest != expected:
                    raise SourceChanged(entry.source.path)
            found.append(digest)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._beside is not None:
            self._beside.close()
