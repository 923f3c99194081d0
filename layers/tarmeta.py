"""What the headers of a tar archive say about its next member: the block, and GNU and PAX headers before it. Pure.

A block is read for its own fields (``parse``); ``Before`` collects what extended headers say and applies it.
"""

import functools
import re
import struct

from layers.errors import UnsafeArchive
from layers.tarheader import XATTR_PREFIX, checksum, number, pax_records, signed_checksum
from layers.tuples import NamedTuple

HEADER_ONLY = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
"""Links, devices, directories and FIFOs have no content, whatever their size says."""
MAX_DESCRIPTION = 1 << 20
"""Bytes one long name or PAX header may take (Go's archive/tar has the same)."""

_FIELDS = struct.Struct("100s8s8s8s12s12s8sc100s8s32x32x8s8s155s12s")
_DESCRIBING = frozenset({b"x", b"X", b"g", b"L", b"K", b"V"})
_NO_ID = 0xFFFFFFFF
"""chown takes it for "leave as it is"."""
_LATEST = 1 << 40
"""Seconds; file systems end long before."""
_SECONDS = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]*))?\Z")
_NAMESPACES = (b"user.", b"trusted.", b"security.", b"system.")
"""Linux has no other attributes; macOS' archives bring some."""

_number = functools.lru_cache(4096)(number)
"""For modes, owners and times, which many members share."""


class Member(NamedTuple):
    """One member as its headers describe it. ``sparse``: its GNU.sparse records, in their order."""

    path: bytes
    typeflag: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    sparse: tuple[tuple[bytes, bytes], ...] = ()


def parse(block: bytes) -> Member:
    """The fields of one block. Raises UnsafeArchive for what is no header."""
    (name, mode, uid, gid, size, mtime, stored, typeflag, link, magic, major, minor, prefix, tail) = _FIELDS.unpack(
        block
    )
    summed = checksum(block)
    if stored != b"%06o\0 " % summed and number(stored) not in {summed, signed_checksum(block)}:
        raise UnsafeArchive("the archive has a header with a wrong checksum", hint="is the file a tar archive?")
    path = _text(name)
    if magic == b"ustar\x0000" and prefix[0]:
        if tail[8:] == b"tar\0":
            prefix = prefix[:131]  # star: its own times follow
        path = _text(prefix) + b"/" + path
    size_value = number(size)
    if size_value < 0:
        raise UnsafeArchive("the archive has a member of negative size")
    is_device = typeflag in {b"3", b"4"}
    if typeflag == b"\0":
        typeflag = b"5" if path.endswith(b"/") else b"0"  # v7 knew no type for directories
    return Member(
        path,
        typeflag,
        _number(mode) & 0o7777,
        _checked_id(_number(uid)),
        _checked_id(_number(gid)),
        0 if typeflag in HEADER_ONLY else size_value,
        _checked_time(_number(mtime)) * 1_000_000_000,
        _text(link) if link[0] else b"",
        _device(number(major), number(minor)) if is_device else (0, 0),
    )


class Before:
    """What extended headers said about the next member. Global PAX headers are ignored, as Go's readers do."""

    __slots__ = ("_link", "_path", "_pax")

    def __init__(self) -> None:
        self._path: bytes | None = None
        self._link: bytes | None = None
        self._pax: list[tuple[bytes, bytes]] | None = None

    @staticmethod
    def describes(typeflag: bytes) -> bool:
        return typeflag in _DESCRIBING

    def add(self, typeflag: bytes, body: bytes) -> None:
        match typeflag:
            case b"x" | b"X":
                self._pax = list(pax_records(body))
            case b"L":
                self._path = _text(body)
            case b"K":
                self._link = _text(body)
            case _:
                pass  # a volume's label, or a global header

    def apply(self, member: Member) -> Member:
        """``member`` with all that was said; nothing is left for the one after it."""
        if self._pax is not None:
            member = _apply_pax(member, self._pax)
            self._pax = None
        if self._path:
            member = member._replace(path=self._path)
        if self._link:
            member = member._replace(link=self._link)
        self._path = self._link = None
        return member


def _apply_pax(member: Member, records: list[tuple[bytes, bytes]]) -> Member:
    changes: dict[str, object] = {}
    xattrs: dict[bytes, bytes] = {}
    sparse: list[tuple[bytes, bytes]] = []
    for key, value in records:
        if key.startswith(XATTR_PREFIX):
            _take_xattr(xattrs, key.removeprefix(XATTR_PREFIX), value)
        elif key.startswith(b"GNU.sparse."):
            sparse.append((key, value))
        elif value:  # an empty one says "as in the header"
            change = _pax_field(key, value)
            if change is not None:
                changes[change[0]] = change[1]
    if member.typeflag in HEADER_ONLY:
        changes.pop("size", None)
    return member._replace(**changes, xattrs=tuple(sorted(xattrs.items())), sparse=tuple(sparse))  # type: ignore[arg-type]  # _pax_field keeps names and types together


def _take_xattr(xattrs: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    if b"\0" in name or len(name) > 255 or len(value) > 1 << 16:
        raise UnsafeArchive("the archive has an extended attribute that no file system can hold")
    if name.startswith(_NAMESPACES):
        xattrs[name] = value


def _pax_field(key: bytes, value: bytes) -> tuple[str, object] | None:
    match key:
        case b"path" | b"linkpath":
            if b"\0" in value:
                raise UnsafeArchive("the archive has a PAX header with a zero byte in a name")
            return ("path" if key == b"path" else "link"), value
        case b"size":
            return "size", _decimal(key, value)
        case b"uid" | b"gid":
            return key.decode(), _checked_id(_decimal(key, value))
        case b"mtime":
            return "mtime_ns", _nanoseconds(value)
        case _:
            return None


def _decimal(key: bytes, value: bytes) -> int:
    if not value.isdigit() or len(value) > 19:
        raise UnsafeArchive(f"the archive has a PAX header with {value[:40]!r} as {key.decode()}")
    return int(value)


def _nanoseconds(value: bytes) -> int:
    found = _SECONDS.match(value)
    if found is None:
        raise UnsafeArchive(f"the archive has a PAX header with {value[:40]!r} as mtime")
    sign, seconds, fraction = found.groups()
    total = _checked_time(int(seconds)) * 1_000_000_000 + int((fraction or b"")[:9].ljust(9, b"0"))
    return -total if sign else total


def _checked_time(seconds: int) -> int:
    if abs(seconds) > _LATEST:
        raise UnsafeArchive(f"the archive has a member from second {seconds}, which no file system can hold")
    return seconds


def _checked_id(value: int) -> int:
    if not 0 <= value < _NO_ID:
        raise UnsafeArchive(f"the archive has a member of owner {value}, which is no user or group")
    return value


def _device(major: int, minor: int) -> tuple[int, int]:
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise UnsafeArchive(f"the archive has a device {major}:{minor}, which Linux cannot have")
    return major, minor


def _text(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]
