"""Tar stream to entry stream: ustar, v7, star, GNU (long names, sparse) and PAX.

Differences between readers are where archives attack, so this one decides as Go's archive/tar does, whose readers
(containerd, Docker, podman) unpack the same layers: sizes of members that have no content are ignored, a size in a PAX
record wins over the header's, the checksum may be signed, two zero blocks or the end of the file end the archive.
"""

from collections.abc import Callable, Iterator

from layers import tarmeta, tarsparse
from layers.content import CHUNK, show
from layers.entry import OPAQUE_NAME, WHITEOUT_PREFIX, Entry, Kind, StreamSource
from layers.errors import IntegrityError, UnsafeArchive
from layers.tarheader import BLOCK, padding
from layers.tarmeta import Member
from layers.tuples import NamedTuple

_AUFS_PREFIX = b".wh..wh."
"""Names aufs kept its own data under; Docker's layers of 2013 have them (containerd skips them too)."""
_ZERO_BLOCK = bytes(BLOCK)
_KINDS = {
    b"0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.CHAR,
    b"4": Kind.BLOCK,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


class Limits(NamedTuple):
    """What one archive may hold, far above what images do. ``headers`` counts all, also those that only describe."""

    headers: int = 5_000_000
    content: int = 1 << 40
    """Bytes of all files together, sparse ones at their full size."""


LIMITS = Limits()


def read_tar(
    read: Callable[[int], bytes], *, whiteouts: bool = True, limits: Limits = LIMITS, whole: bool = True
) -> Iterator[Entry]:
    """The entries of the archive that ``read(n)`` gives, in its order; ``read`` is read to its end.

    Paths are relative and without ``.`` parts, but may hold ``..``. FILEs carry a StreamSource. ``whiteouts``:
    ``.wh.`` names become WHITEOUT and OPAQUE entries. The root's own entry is left out, and so is what would take its
    place, as Docker and containerd do: there are archives whose first member has no name.

    Raises UnsafeArchive for what is no tar or beyond ``limits``, IntegrityError when the archive is truncated; what is
    wrong behind its end is overlooked unless it shall be ``whole``.
    """
    stream = _Stream(read)
    before = tarmeta.Before()
    headers = total = 0
    while (block := stream.header()) is not None:
        headers += 1
        if headers > limits.headers:
            raise UnsafeArchive(f"the archive has more than {limits.headers} headers")
        member = tarmeta.parse(block)
        if before.describes(member.typeflag):
            before.add(member.typeflag, _description(stream, member.size))
            continue
        member = before.apply(member)
        content = _open(stream, member, block)
        total += content.size
        if total > limits.content:
            raise UnsafeArchive(f"{show(member.path)}: the archive's files would take more than {limits.content} bytes")
        entry = _entry(member, content, whiteouts=whiteouts)
        if entry is not None:
            yield entry
        content.finish()
    try:
        stream.drain(limits.content)
    except IntegrityError:
        if whole:
            raise


class _Stream:
    """The archive's bytes, buffered. Raises IntegrityError where they end too early."""

    __slots__ = ("_at", "_data", "_read")

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._data = b""
        self._at = 0

    def header(self) -> bytes | None:
        """The next block; None at the end of the archive."""
        at = self._at
        block = self._data[at : at + BLOCK]
        if len(block) == BLOCK:
            self._at = at + BLOCK
        else:
            block = self._upto(BLOCK)
        if block == _ZERO_BLOCK:
            second = self._upto(BLOCK)
            if second and second != _ZERO_BLOCK:
                raise UnsafeArchive("the archive has an empty block between its members")
            return None
        if block and len(block) < BLOCK:
            raise _truncated()
        return block or None

    def some(self, size: int) -> bytes:
        """At most ``size`` bytes, b"" at the end."""
        at = self._at
        data = self._data[at : at + size]
        if data:
            self._at = at + len(data)
            return data
        if size >= CHUNK:
            return self._read(size)
        self._data = self._read(CHUNK)
        data = self._data[:size]
        self._at = len(data)
        return data

    def exactly(self, size: int) -> bytes:
        data = self._upto(size)
        if len(data) < size:
            raise _truncated()
        return data

    def _upto(self, size: int) -> bytes:
        data = self.some(size)
        while len(data) < size and (more := self.some(size - len(data))):
            data += more
        return data

    def skip(self, size: int) -> None:
        at = self._at + size
        if at <= len(self._data):
            self._at = at
            return
        while size:
            data = self.some(min(size, CHUNK))
            if not data:
                raise _truncated()
            size -= len(data)

    def drain(self, limit: int) -> None:
        """Reads what follows the archive (GNU tar fills up its last record), so that digests see it."""
        while data := self.some(CHUNK):
            limit -= len(data)
            if limit < 0:
                raise UnsafeArchive("the archive goes on after its end")


def _truncated() -> IntegrityError:
    return IntegrityError("the archive is truncated")


class _Content:
    """The content of one member. After ``finish`` nothing more can be read."""

    __slots__ = ("_left", "_padding", "_stream", "read", "size")

    def __init__(self, stream: _Stream, stored: int, size: int) -> None:
        self._stream = stream
        self._left = stored
        self._padding = padding(stored)
        self.size = size
        self.read: Callable[[int], bytes] = self.read_stored

    def read_stored(self, size: int) -> bytes:
        if not self._left:
            return b""
        data = self._stream.some(min(size, self._left))
        if not data and size:
            raise _truncated()
        self._left -= len(data)
        return data

    def finish(self) -> None:
        left = self._left + self._padding
        self._left = self._padding = 0
        if left:
            self._stream.skip(left)


def _open(stream: _Stream, member: Member, block: bytes) -> _Content:
    sparse = tarsparse.read_map(member, block, stream.exactly)
    if sparse is None:
        return _Content(stream, member.size, member.size)
    found, left = sparse
    content = _Content(stream, left, found.size)
    content.read = tarsparse.reader(found, content.read_stored)
    return content


def _description(stream: _Stream, size: int) -> bytes:
    if size > tarmeta.MAX_DESCRIPTION:
        raise UnsafeArchive(f"the archive has a header of {size} bytes")
    body = stream.exactly(size)
    stream.skip(padding(size))
    return body


def _entry(member: Member, content: _Content, *, whiteouts: bool) -> Entry | None:
    kind = _KINDS.get(member.typeflag)
    path = _clean(tarsparse.name(member) if member.sparse else member.path)
    if kind is None:
        raise UnsafeArchive(f"{show(path)} is a tar member of type {member.typeflag!r}, which pybuild does not know")
    if not path:
        return None
    if whiteouts and WHITEOUT_PREFIX in path and (marked := _whiteout(path)) is not path:
        return marked if isinstance(marked, Entry) else None
    size, link, device, source = 0, None, None, None
    if kind is Kind.FILE:
        size, source = content.size, StreamSource(content.read)
    elif kind is Kind.SYMLINK:
        link = member.link
    elif kind is Kind.HARDLINK:
        link = _clean(member.link)
    elif kind is Kind.CHAR or kind is Kind.BLOCK:
        device = member.device
    _, _, mode, uid, gid, _, mtime_ns, _, _, xattrs, _ = member
    return Entry(path, kind, mode, uid, gid, mtime_ns, size, link, device, xattrs, source)


def _clean(path: bytes) -> bytes:
    """Without slashes around, empty and ``.`` parts."""
    if path[:1] not in b"./" and b"//" not in path and b"/." not in path:
        return path.removesuffix(b"/")
    return b"/".join([part for part in path.split(b"/") if part not in {b"", b"."}])


def _whiteout(path: bytes) -> Entry | bytes | None:
    """What a path with ``.wh.`` in it marks; the path itself when it is a name like others; None for aufs' data."""
    head, _, name = path.rpartition(b"/")
    for part in head.split(b"/"):
        if part.startswith(_AUFS_PREFIX):
            return None
        if part.startswith(WHITEOUT_PREFIX):
            raise UnsafeArchive(f"{show(path)} lies below the mark of a deleted file")
    if name == OPAQUE_NAME:
        return Entry(head, Kind.OPAQUE)
    if name.startswith(_AUFS_PREFIX):
        return None
    if not name.startswith(WHITEOUT_PREFIX):
        return path
    deleted = name.removeprefix(WHITEOUT_PREFIX)
    if deleted in {b"", b".", b".."}:
        raise UnsafeArchive(f"{show(path)} marks no file that can be deleted")
    return Entry(head + b"/" + deleted if head else deleted, Kind.WHITEOUT)
