"""Sparse members of tar archives: GNU's old format and PAX 0.0, 0.1 and 1.0 (GNU tar's manual, "Sparse Formats")."""

from array import array
from collections.abc import Callable, Iterator

from layers.content import CHUNK
from layers.errors import IntegrityError, UnsafeArchive
from layers.tarheader import BLOCK, number, padding
from layers.tarmeta import Member

MAX_PIECES = 1 << 20
"""Pieces of data one sparse file may have: 16 MiB of numbers here."""

Exactly = Callable[[int], bytes]
_ZEROS = bytes(CHUNK)


class SparseMap:
    """Where a file's data is: ``pieces`` of (offset, length), ascending; all else up to ``size`` reads as zeros."""

    __slots__ = ("_lengths", "_offsets", "size", "stored")

    def __init__(self, size: int) -> None:
        self.size = size
        self.stored = 0
        """Bytes of data."""
        self._offsets = array("Q")
        self._lengths = array("Q")

    def add(self, offset: int, length: int) -> None:
        end = self._offsets[-1] + self._lengths[-1] if self._offsets else 0
        if not (end <= offset <= offset + length <= self.size) or length < 0:
            raise UnsafeArchive("the archive has a sparse file whose pieces overlap or lie outside it")
        if len(self._offsets) >= MAX_PIECES:
            raise UnsafeArchive(f"the archive has a sparse file of more than {MAX_PIECES} pieces")
        self._offsets.append(offset)
        self._lengths.append(length)
        self.stored += length

    def pieces(self) -> Iterator[tuple[int, int]]:
        return zip(self._offsets, self._lengths, strict=True)


def name(member: Member) -> bytes:
    """The path of a sparse member: PAX 0.1 and 1.0 put another one into the header."""
    path = dict(member.sparse).get(b"GNU.sparse.name") or member.path
    if b"\0" in path:
        raise UnsafeArchive("the archive has a PAX header with a zero byte in a name")
    return path


def reader(sparse: SparseMap, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A ``read(n)`` of the whole file, given one of its data."""
    runs = _runs(sparse)
    is_data, left = False, 0

    def read_whole(size: int) -> bytes:
        nonlocal is_data, left
        while not left:
            is_data, left = next(runs, (False, -1))
        if left < 0 or not size:
            return b""
        if not is_data:
            data = _ZEROS[: min(size, left)]
        elif not (data := read(min(size, left))):
            raise IntegrityError("the archive is truncated inside a sparse file")
        left -= len(data)
        return data

    return read_whole


def _runs(sparse: SparseMap) -> Iterator[tuple[bool, int]]:
    at = 0
    for offset, length in sparse.pieces():
        yield False, offset - at
        yield True, length
        at = offset + length
    yield False, sparse.size - at


def read_map(member: Member, block: bytes, exactly: Exactly) -> tuple[SparseMap, int] | None:
    """The map of a sparse member and how many bytes of content are left behind it; None when it is not sparse.

    ``exactly`` reads on in the archive: old maps go on in further blocks, maps of PAX 1.0 begin the content.
    """
    if member.typeflag == b"S":
        found, left = _gnu_map(block, exactly), member.size
    elif member.sparse and member.typeflag in {b"0", b"7"}:
        found, left = _pax_map(member, exactly)
    else:
        return None
    if found.stored != left:
        raise UnsafeArchive(f"the archive has a sparse file with {left} bytes for pieces of {found.stored}")
    return found, left


def _gnu_map(block: bytes, exactly: Exactly) -> SparseMap:
    sparse = SparseMap(_size(number(block[483:495])))
    fields, more = block[386:482], block[482]
    while True:
        for at in range(0, len(fields), 24):
            if not fields[at]:
                break
            sparse.add(number(fields[at : at + 12]), number(fields[at + 12 : at + 24]))
        if not more:
            return sparse
        block = exactly(BLOCK)
        fields, more = block[:504], block[504]


def _pax_map(member: Member, exactly: Exactly) -> tuple[SparseMap, int]:
    records = dict(member.sparse)
    size = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size")
    if size is None:
        raise UnsafeArchive("the archive has a sparse file without a size")
    sparse = SparseMap(_number(size))
    if (records.get(b"GNU.sparse.major"), records.get(b"GNU.sparse.minor")) == (b"1", b"0"):
        return sparse, member.size - _stored_map(sparse, member.size, exactly)
    if (text := records.get(b"GNU.sparse.map")) is not None:
        numbers = text.split(b",") if text else []
    else:
        numbers = [value for key, value in member.sparse if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}]
    if len(numbers) % 2:
        raise UnsafeArchive("the archive has a sparse file with half a piece")
    for at in range(0, len(numbers), 2):
        sparse.add(_number(numbers[at]), _number(numbers[at + 1]))
    return sparse, member.size


def _stored_map(sparse: SparseMap, size: int, exactly: Exactly) -> int:
    """Reads a map of PAX 1.0 (lines of decimal numbers, padded to a block); gives its length."""
    used = 0
    rest = b""

    def line() -> int:
        nonlocal used, rest
        while (end := rest.find(b"\n")) < 0:
            if len(rest) > BLOCK or used >= size:
                raise UnsafeArchive("the archive has a sparse file whose map does not end")
            rest += exactly(BLOCK)
            used += BLOCK
        text, rest = rest[:end], rest[end + 1 :]
        return _number(text)

    for _ in range(line()):
        sparse.add(line(), line())
    if used > size + padding(size):
        raise UnsafeArchive("the archive has a sparse file whose map is longer than its content")
    return used


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise UnsafeArchive(f"the archive has a sparse file with {text[:40]!r} where a number should be")
    return _size(int(text))


def _size(value: int) -> int:
    if not 0 <= value < 1 << 63:
        raise UnsafeArchive(f"the archive has a sparse file of {value} bytes")
    return value
