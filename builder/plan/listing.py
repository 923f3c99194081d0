"""What is remembered of the names in a directory of the host: packed into about 120 bytes a file."""

import errno
import marshal
import os
import stat
from collections.abc import Sequence

from layers.entry import Kind
from layers.owners import PREFIX, owner_of

KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
}
_NO_XATTRS = {errno.ENOTSUP, errno.ENODATA}
_RAW = 32
_UNKNOWN = bytes(_RAW)

Xattrs = tuple[tuple[bytes, bytes], ...]
Record = tuple[bytes, int, int, int, int, int, int, int, int, int, bytes | None, Xattrs, int, int]
"""What is remembered of one name, as ``marshal`` writes it: name, type bits of the mode, permission bits, size,
mtime_ns, ctime_ns, device, inode, number of links, device number of a special file, link text, xattrs, uid,
gid (0 and 0 where owners do not count)."""


class Listing:
    """One directory: its records, packed, and the digests of those that are files, as far as they are known."""

    __slots__ = ("digests", "packed", "size")

    def __init__(self, records: Sequence[Record]) -> None:
        self.packed = marshal.dumps(list(records), 2)
        self.size = len(records)
        self.digests: bytearray | None = None

    def records(self) -> list[Record]:
        unpacked: list[Record] = marshal.loads(self.packed)  # noqa: S302 - packed by ourselves
        return unpacked

    def digest(self, position: int) -> bytes | None:
        if self.digests is None:
            return None
        raw = bytes(self.digests[position * _RAW : (position + 1) * _RAW])
        return None if raw == _UNKNOWN else raw

    def learn(self, position: int, digest: bytes) -> None:
        if self.digests is None:
            self.digests = bytearray(self.size * _RAW)
        self.digests[position * _RAW : (position + 1) * _RAW] = digest


def make_record(host: bytes, name: bytes, status: os.stat_result, *, owners: bool = False) -> Record | None:
    """None for a socket, which no layer can hold. ``owners``: they are those of the file, else 0:0."""
    mode = status.st_mode
    kind = stat.S_IFMT(mode)
    if kind not in KINDS:
        return None
    return (
        name,
        kind,
        stat.S_IMODE(mode),
        status.st_size if kind == stat.S_IFREG else 0,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_dev,
        status.st_ino,
        status.st_nlink,
        status.st_rdev,
        os.readlink(host) if kind == stat.S_IFLNK else None,  # noqa: PTH115 - pathlib has no paths of bytes
        _xattrs(host),
        *(owner_of(host, status) if owners else (0, 0)),
    )


def _xattrs(host: bytes) -> Xattrs:
    try:
        names = os.listxattr(host, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_XATTRS:
            raise
        return ()
    return _read_xattrs(host, names) if names else ()


def _read_xattrs(host: bytes, names: Sequence[str]) -> Xattrs:
    """Those that belong to a file wherever it goes (reference 5.2): capabilities, and what no file system owns."""
    kept = sorted(name for name in map(os.fsencode, names) if carried_xattr(name))
    return tuple((name, os.getxattr(host, name, follow_symlinks=False)) for name in kept)


def carried_xattr(name: bytes) -> bool:
    """Whether COPY keeps an extended attribute of this name."""
    if name == b"security.capability":
        return True
    return not name.startswith((b"security.", b"system.", b"com.apple.", b"user.overlay.", b"trusted.overlay.", PREFIX))
