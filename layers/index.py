"""The entry index of a layer: what is in it, without its bytes. Answers look-ups from a mapped file, by bisection.

File: magic, records in the order of ``sort_key``, a table of their offsets (64 bit, little endian), a footer. A record
is a fixed head, then path, link, xattrs, the SHA-256 of a FILE's bytes, and for ``etc/passwd`` and ``etc/group`` the
bytes themselves. Paths have NUL for "/": then plain bytewise order is the order of entry streams. Every directory
above an entry has a record of its own; an OPAQUE record follows that of its directory.
"""

import mmap
import os
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

from layers.entry import BytesSource, Entry, Kind
from layers.errors import IntegrityError, UnsafeArchive
from layers.tuples import NamedTuple

MAGIC = b"pbindex1"
KEPT = frozenset({b"etc/passwd", b"etc/group"})
"""Files whose bytes are kept: names in --chown and USER are looked up in them (while they are small enough)."""

MAX_KEPT = 10 << 20

# kind, flags, mode, uid, gid, mtime seconds, nanoseconds, size, major, minor, lengths of path, link, xattrs, data
_HEAD = struct.Struct("<BBHIIqIQIIIIII")
_PATH_SIZE = struct.Struct("<I")
_PATH_SIZE_AT = 40
_FOOTER = struct.Struct("<QQ8s")
_XATTR = struct.Struct("<HI")
_HASHED = 1

_KINDS = tuple(Kind)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_FILE = _NUMBERS[Kind.FILE]
_DIRECTORY = _NUMBERS[Kind.DIRECTORY]


class Found(NamedTuple):
    """What a layer has at a path. ``opaque``: a directory that hides what lower layers have in it."""

    entry: Entry
    opaque: bool = False
    sha256: bytes | None = None


def index_key(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def encode_record(entry: Entry, sha256: bytes | None, data: bytes = b"") -> bytes:
    """``data``: the file's bytes, where they are kept. Raises UnsafeArchive for numbers no file system has."""
    path, kind, mode, uid, gid, mtime_ns, size, link, device, pairs, _ = entry
    xattrs = b"".join(_XATTR.pack(len(name), len(value)) + name + value for name, value in pairs) if pairs else b""
    link = link or b""
    major, minor = device or (0, 0)
    seconds, nanoseconds = divmod(mtime_ns, 1_000_000_000)
    number = _NUMBERS[kind]
    flags = _HASHED if sha256 is not None else 0
    lengths = (len(path), len(link), len(xattrs), len(data))
    try:
        head = _HEAD.pack(number, flags, mode, uid, gid, seconds, nanoseconds, size, major, minor, *lengths)
    except struct.error as error:
        name = path.decode(errors="backslashreplace")
        raise UnsafeArchive(f"{name} has an owner, size or time that no file can have") from error
    return b"".join((head, path.replace(b"/", b"\0"), link, xattrs, sha256 or b"", data))


def encode_file(path: bytes, mode: int, uid: int, gid: int, mtime_ns: int, size: int, sha256: bytes) -> bytes:  # noqa: PLR0913, PLR0917 - as it is stored
    """``encode_record`` of a FILE without xattrs, as most are."""
    seconds, nanoseconds = divmod(mtime_ns, 1_000_000_000)
    head = _HEAD.pack(_FILE, _HASHED, mode, uid, gid, seconds, nanoseconds, size, 0, 0, len(path), 0, 0, 0)
    return b"".join((head, path.replace(b"/", b"\0"), sha256))


def encode_directory(path: bytes, mode: int, uid: int, gid: int, mtime_ns: int) -> bytes:
    """``encode_record`` of a DIRECTORY without xattrs."""
    seconds, nanoseconds = divmod(mtime_ns, 1_000_000_000)
    head = _HEAD.pack(_DIRECTORY, 0, mode, uid, gid, seconds, nanoseconds, 0, 0, 0, len(path), 0, 0, 0)
    return head + path.replace(b"/", b"\0")


def decode_record(data: bytes | mmap.mmap, offset: int) -> tuple[Entry, bytes | None]:
    head = _HEAD.unpack_from(data, offset)
    kind, flags, mode, uid, gid, seconds, nanoseconds, size, major, minor, path_size, link_size, xattr_size, kept = head
    at = offset + _HEAD.size
    end = at + path_size
    path = data[at:end].replace(b"\0", b"/")
    link = data[end : end + link_size] if link_size else b""
    at = end + link_size
    xattrs = _decode_xattrs(data[at : at + xattr_size]) if xattr_size else ()
    at += xattr_size
    sha256 = None
    if flags & _HASHED:
        sha256 = data[at : at + 32]
        at += 32
    what = _KINDS[kind]
    is_link = what is Kind.SYMLINK or what is Kind.HARDLINK
    is_device = what is Kind.CHAR or what is Kind.BLOCK
    entry = Entry(
        path,
        what,
        mode,
        uid,
        gid,
        seconds * 1_000_000_000 + nanoseconds,
        size,
        link if is_link else None,
        (major, minor) if is_device else None,
        xattrs,
        BytesSource(data[at : at + kept]) if kept else None,
    )
    return entry, sha256


def _decode_xattrs(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found = []
    at = 0
    while at < len(data):
        name_size, value_size = _XATTR.unpack_from(data, at)
        at += _XATTR.size
        found.append((data[at : at + name_size], data[at + name_size : at + name_size + value_size]))
        at += name_size + value_size
    return tuple(found)


def record_key(data: bytes | mmap.mmap, offset: int) -> bytes:
    start = offset + _HEAD.size
    return data[start : start + _PATH_SIZE.unpack_from(data, offset + _PATH_SIZE_AT)[0]]


class IndexFile:
    """Writes the records of an index, which must come in order and complete (see layers.indexing)."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "wb")  # noqa: SIM115 - closed by close()
        self._offsets = array("Q")
        self._position = len(MAGIC)
        self._file.write(MAGIC)

    def add(self, record: bytes) -> None:
        self._offsets.append(self._position)
        self._file.write(record)
        self._position += len(record)

    def add_many(self, records: bytes, lengths: Sequence[int]) -> None:
        """Records that follow each other, and the length of each."""
        ends = accumulate(lengths, initial=self._position)
        self._offsets.extend(islice(ends, len(lengths)))
        self._file.write(records)
        self._position += len(records)

    def finish(self) -> None:
        if sys.byteorder == "big":
            self._offsets.byteswap()
        self._file.write(self._offsets.tobytes())
        self._file.write(_FOOTER.pack(len(self._offsets), self._position, MAGIC))
        self._file.close()

    def close(self) -> None:
        self._file.close()


class Index:
    """A layer's index, mapped. Thread-safe; the map goes when the last reference does."""

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(descriptor).st_size
            if size < len(MAGIC) + _FOOTER.size:
                raise IntegrityError(f"the index {path} is cut short", hint="run 'pybuild prune --all'")
            self._data = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        count, table, magic = _FOOTER.unpack_from(self._data, size - _FOOTER.size)
        if magic != MAGIC or self._data[: len(MAGIC)] != MAGIC or table + 8 * count != size - _FOOTER.size:
            raise IntegrityError(f"the index {path} is damaged", hint="run 'pybuild prune --all'")
        self._offsets = array("Q", self._data[table : table + 8 * count])
        if sys.byteorder == "big":
            self._offsets.byteswap()

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[tuple[Entry, bytes | None]]:
        for offset in self._offsets:
            yield decode_record(self._data, offset)

    def _key(self, offset: int) -> bytes:
        return record_key(self._data, offset)

    def _search(self, key: bytes, start: int = 0) -> int:
        return bisect_left(self._offsets, key, lo=start, key=self._key)

    def _found(self, number: int) -> Found:
        entry, sha256 = decode_record(self._data, self._offsets[number])
        opaque = entry.kind is Kind.DIRECTORY and self._is_opaque(number + 1, index_key(entry.path))
        return Found(entry, opaque, sha256)

    def _is_opaque(self, number: int, key: bytes) -> bool:
        if number >= len(self._offsets) or self._key(self._offsets[number]) != key:
            return False
        return _KINDS[self._data[self._offsets[number]]] is Kind.OPAQUE

    def get(self, path: bytes) -> Found | None:
        """What the layer has at ``path``; for b"" only whether the root is opaque."""
        key = index_key(path)
        if not key:
            return Found(Entry(b"", Kind.DIRECTORY, 0o755), self._is_opaque(0, b""))
        number = self._search(key)
        if number == len(self._offsets) or self._key(self._offsets[number]) != key:
            return None
        return self._found(number)

    def sha256(self, path: bytes) -> bytes | None:
        found = self.get(path)
        return found.sha256 if found is not None else None

    def children(self, path: bytes) -> list[Found]:
        """What is directly in ``path``, whiteouts too, in order."""
        prefix = index_key(path) + b"\0" if path else b""
        number = self._search(prefix)
        if not prefix and self._is_opaque(0, b""):
            number += 1
        found = []
        count = len(self._offsets)
        while number < count and (key := self._key(self._offsets[number])).startswith(prefix):
            one = self._found(number)
            found.append(one)
            # A child's own records begin with its key and NUL; the first byte after those is 1.
            number = self._search(key + b"\1", number) if one.entry.kind is Kind.DIRECTORY else number + 1
        return found
