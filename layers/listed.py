"""Names of a host's directory as they were listed: their stats, packed, and the entries that these come to.

A stream of entries may have a ``Stretch`` in the place of the entries it stands for: whoever needs each of them takes
``expanded``, packing hands it to a process as it is (layers.stretches).
"""

import marshal
import os
import stat
from collections.abc import Iterable, Iterator

from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.tuples import NamedTuple

KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFSOCK: Kind.FILE,  # no layer can hold a socket: it becomes an empty file, as in BuildKit
}

Xattrs = tuple[tuple[bytes, bytes], ...]
Stat = tuple[bytes, int, int, int, int, int, int, int, int, int, int]
"""Name, then of its stat: mode, inode, device, links, uid, gid, size, mtime_ns, ctime_ns, device number of a special
file."""

Extra = tuple[bytes | None, Xattrs, int, int]
"""What a stat does not say: link text, xattrs, uid and gid (0 and 0 where owners do not count)."""

PLAIN: Extra = (None, (), 0, 0)

RAW = 32
UNKNOWN = bytes(RAW)


class Stretch(NamedTuple):
    """Names that follow each other in a directory of the host, in order; what is in the last one, if that is a
    directory, comes next in the stream, and none of the others is one.

    ``path``: of the directory in the layer; ``host``: where it is; ``packed``: by ``pack_stats``; ``digests``: raw
    SHA-256 by position, UNKNOWN where it is not known, or nothing at all; ``extras``: by position, of those that have
    any; ``owner``: uid and gid of all of them. ``settled``: whether a file whose stat is the same still has the same
    bytes. ``content``: bytes of the files, each filled up to blocks of 512.
    """

    path: bytes
    host: bytes
    packed: bytes
    digests: bytes
    extras: dict[int, Extra]
    owner: tuple[int, int]
    settled: bool
    size: int
    content: int

    def entries(self) -> Iterator[Entry]:
        prefix = self.path + b"/" if self.path else b""
        host = self.host + b"/"
        uid, gid = self.owner
        for position, record in enumerate(unpack_stats(self.packed)):
            link, xattrs, _, _ = self.extras.get(position, PLAIN)
            name = record[0]
            extra = (link, xattrs, uid, gid)
            yield make_entry(prefix + name, host + name, record, extra, digest_at(self.digests, position))


Item = Entry | Stretch


def expanded(items: Iterable[Item]) -> Iterator[Entry]:
    for item in items:
        if isinstance(item, Stretch):
            yield from item.entries()
        else:
            yield item


def make_entry(path: bytes, host: bytes, record: Stat, extra: Extra, digest: bytes | None) -> Entry:
    """``host``: where the bytes of a file are; sockets are empty files."""
    _, mode, _, _, _, _, _, size, mtime_ns, _, special = record
    link, xattrs, uid, gid = extra
    if stat.S_ISREG(mode):
        source = FileSource(host, digest)
        return Entry(path, Kind.FILE, mode & 0o7777, uid, gid, mtime_ns, size, None, None, xattrs, source)
    kind = KINDS[stat.S_IFMT(mode)]
    if kind is Kind.FILE:
        return Entry(path, kind, mode & 0o7777, uid, gid, mtime_ns, 0, None, None, xattrs, BytesSource(b""))
    device = (os.major(special), os.minor(special)) if kind in {Kind.CHAR, Kind.BLOCK} else None
    return Entry(path, kind, mode & 0o7777, uid, gid, mtime_ns, 0, link, device, xattrs)


def digest_at(digests: bytes | bytearray | None, position: int) -> bytes | None:
    """The digest of the file at ``position``; None when it is not known."""
    if not digests:
        return None
    raw = bytes(digests[position * RAW : (position + 1) * RAW])
    return None if raw == UNKNOWN else raw


def pack_stats(stats: Iterable[Stat]) -> bytes:
    return marshal.dumps(list(stats), 2)


def unpack_stats(packed: bytes) -> list[Stat]:
    stats: list[Stat] = marshal.loads(packed)  # noqa: S302 - packed by ourselves
    return stats
