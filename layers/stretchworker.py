"""A process beside a packing of very many files: makes stretches of listed names into tar members and index records.

First comes ``marshal`` of (descriptor of the shared memory, its size, root of the directory in which the files are to
be made, too, or nothing). Then jobs, ``marshal`` of (slot, stretches): where in the memory the members go, and of each
stretch what ``layers.listed.Stretch`` begins with. The answer is ``layers.stretches.Answer``. A job ends at the first
name that this process leaves to the build: a file that cannot be read or is no longer the one that was listed, what no
layer can hold, and what finds no room. A job without stretches is the last; its answer is whether all files are made
(``layers.making``).
"""

import hashlib
import marshal
import mmap
import os
import stat
from array import array
from collections.abc import Sequence
from typing import cast

from layers.beside import read_message, write_message
from layers.entry import Kind, is_reserved
from layers.errors import PybuildError
from layers.index import KEPT, encode_directory, encode_file, encode_record
from layers.listed import PLAIN, RAW, UNKNOWN, Extra, Stat, make_entry, unpack_stats
from layers.making import UNMADE, Maker, Unmade
from layers.stretches import SLOT, Answer
from layers.tarheader import padding, plain_directory, plain_file
from layers.tarwrite import header

Given = tuple[bytes, bytes, bytes, bytes, dict[int, Extra], tuple[int, int], bool]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_ZEROS = bytes(512)
_NOTHING = hashlib.sha256().digest()
_LARGEST_HEADER = 64 << 10


class _LeftToTheBuild(Exception):
    pass


class _Slot:
    """``end``: where the next member begins."""

    def __init__(self, memory: memoryview, start: int, maker: Maker | Unmade) -> None:
        self._memory = memory
        self._start = start
        self._limit = start + SLOT
        self.end = start
        self.records: list[bytes] = []
        self.last = (b"", False)
        self._maker = maker
        self._content = start
        self._host = b""
        self._folder = -1
        self._settled = False

    def add(self, stretch: Given) -> None:
        try:
            self._add(stretch)
        finally:
            if self._folder >= 0:
                os.close(self._folder)
                self._folder = -1

    def _add(self, stretch: Given) -> None:
        directory, self._host, packed, digests, extras, owner, self._settled = stretch
        prefix = directory + b"/" if directory else b""
        if is_reserved(prefix):
            raise _LeftToTheBuild
        records = unpack_stats(packed)
        if digests and len(digests) != RAW * len(records):
            raise _LeftToTheBuild
        at = 0
        for position, record in enumerate(records):
            path = prefix + record[0]
            if path in KEPT:
                raise _LeftToTheBuild  # the index has its bytes, too
            expected = digests[at : at + RAW]
            at += RAW
            if position in extras or not self._plain(path, record, owner, expected):
                self._other(path, record, owner, extras.get(position, PLAIN), expected)

    def _plain(self, path: bytes, record: Stat, owner: tuple[int, int], expected: bytes) -> bool:
        """Does a file or directory of which a plain header says everything, as of most; False for any other."""
        name, mode, _, _, _, _, _, size, mtime_ns, _, _ = record
        kind = mode & 0o170000
        mode &= 0o7777
        if name.startswith(b".wh."):
            return False
        if kind == stat.S_IFREG:
            block = plain_file(path, mode, *owner, size, mtime_ns // 1_000_000_000)
            if block is None:
                return False
            digest = self._member(block, record, expected)
            self.records.append(encode_file(path, mode, *owner, mtime_ns, size, digest))
            self._maker.file(path, mode, owner, mtime_ns, self._memory[self._content : self._content + size])
        elif kind == stat.S_IFDIR:
            block = plain_directory(path + b"/", mode, *owner, mtime_ns // 1_000_000_000)
            if block is None:
                return False
            self._header(block)
            self.records.append(encode_directory(path, mode, *owner, mtime_ns))
            self._maker.directory(path, mode, owner, mtime_ns)
        else:
            return False
        self.last = (path, kind == stat.S_IFDIR)
        return True

    def _other(self, path: bytes, record: Stat, owner: tuple[int, int], extra: Extra, expected: bytes) -> None:
        link, xattrs, _, _ = extra
        entry = make_entry(path, record[0], record, (link, xattrs, *owner), None)
        block = header(entry, None)
        if len(block) > _LARGEST_HEADER:
            raise _LeftToTheBuild
        digest = None
        if stat.S_ISREG(record[1]):
            digest = self._member(block, record, expected)
        else:
            self._header(block)
            if entry.kind is Kind.FILE:
                digest = _NOTHING
        self.records.append(encode_record(entry, digest))
        self.last = (path, entry.kind is Kind.DIRECTORY)
        self._maker.begin(entry)
        if stat.S_ISREG(record[1]):
            self._maker.write(self._memory[self._content : self._content + entry.size])
        self._maker.end(entry)

    def _header(self, block: bytes) -> None:
        self._room(len(block))
        self._memory[self.end : self.end + len(block)] = block
        self.end += len(block)

    def _member(self, block: bytes, record: Stat, expected: bytes) -> bytes:
        """Header and content of a file; the digest of the content. What was listed is what it has now if its stat is
        the same, or its digest where a stat would not tell."""
        memory, size = self._memory, record[7]
        start = self.end + len(block)
        end = start + size
        self._room(len(block) + size + 512)
        memory[self.end : start] = block
        if self._folder < 0:
            self._folder = os.open(self._host, _DIRECTORY)  # names are then found at once, however deep they are
        descriptor = os.open(record[0], _FLAGS, dir_fd=self._folder)
        try:
            # One more than there should be: a file that grew has another size.
            known = self._settled and expected and expected != UNKNOWN
            if os.readv(descriptor, (memory[start : end + 1],)) != size or (known and not _is(descriptor, record)):
                raise _LeftToTheBuild
        finally:
            os.close(descriptor)
        digest = expected if known else hashlib.sha256(memory[start:end]).digest()
        if expected and digest != expected != UNKNOWN:
            raise _LeftToTheBuild
        pad = padding(size)
        memory[end : end + pad] = _ZEROS[:pad]
        self.end = end + pad
        self._content = start
        return digest

    def _room(self, size: int) -> None:
        if self.end + size > self._limit:
            raise _LeftToTheBuild


def _is(descriptor: int, record: Stat) -> bool:
    status = os.fstat(descriptor)
    return (status.st_ino, status.st_dev, status.st_mtime_ns, status.st_ctime_ns) == (
        record[2],
        record[3],
        record[8],
        record[9],
    )


def lay_out(memory: memoryview, start: int, stretches: Sequence[Given], maker: Maker | Unmade) -> Answer:
    slot = _Slot(memory, start, maker)
    try:
        for stretch in stretches:
            slot.add(stretch)
    except (_LeftToTheBuild, OSError, PybuildError):
        pass  # done again there, and told what is wrong
    lengths = array("I", map(len, slot.records))
    return (len(slot.records), slot.end - start, b"".join(slot.records), lengths.tobytes(), *slot.last)


def main() -> None:
    first = read_message(0)
    if first is None:
        return
    descriptor, length, root = marshal.loads(first)  # noqa: S302 - from the process that started this one
    memory = memoryview(mmap.mmap(descriptor, length))
    os.close(descriptor)
    maker: Maker | Unmade = UNMADE
    if root:
        os.umask(0)
        maker = Maker(root, exact=True)
    while (job := read_message(0)) is not None:
        start, stretches = cast("tuple[int, list[Given]]", marshal.loads(job))  # noqa: S302 - likewise
        if stretches:
            answer: Answer | bool = lay_out(memory, start, stretches, maker)
        else:
            answer = maker.finish()
        write_message(1, marshal.dumps(answer, 2))
