"""What a listing says of its names: as entries, and as the rows that enter a step's key."""

import hashlib
import os
import stat
from collections.abc import Iterable

from builder.plan.content import digest_rows, file_row, other_row
from builder.plan.listing import KINDS, PLAIN, Extra, Listing, Stat
from layers.entry import BytesSource, Entry, FileSource, Kind

_EMPTY = hashlib.sha256().digest()


def make_entry(root: bytes, directory: bytes, record: Stat, extra: Extra, digest: bytes | None) -> Entry:
    """``directory``: below ``root``, where the bytes of files are; sockets are empty files."""
    name, mode, _, _, _, _, _, size, mtime_ns, _, special = record
    link, xattrs, uid, gid = extra
    path = directory + b"/" + name if directory else name
    if stat.S_ISREG(mode):
        source = FileSource(root + b"/" + path, digest)
        return Entry(path, Kind.FILE, mode & 0o7777, uid, gid, mtime_ns, size, None, None, xattrs, source)
    kind = KINDS[stat.S_IFMT(mode)]
    if kind is Kind.FILE:
        return Entry(path, kind, mode & 0o7777, uid, gid, mtime_ns, 0, None, None, xattrs, BytesSource(b""))
    device = (os.major(special), os.minor(special)) if kind in {Kind.CHAR, Kind.BLOCK} else None
    return Entry(path, kind, mode & 0o7777, uid, gid, mtime_ns, 0, link, device, xattrs)


def row(root: bytes, path: bytes, record: Stat, extra: Extra, digest: bytes | None) -> bytes:
    """Of one name of directory ``path``; a regular file has a ``digest``."""
    kind = record[1] & 0o170000
    if kind == stat.S_IFREG:
        assert digest is not None
        return file_row(record[0], record[1] & 0o7777, extra[2:], extra[1], digest)
    if kind == stat.S_IFSOCK:
        return file_row(record[0], record[1] & 0o7777, extra[2:], extra[1], _EMPTY)
    return other_row(record[0], make_entry(root, path, record, extra, None))


def rows_of(root: bytes, path: bytes, listing: Listing, records: Iterable[tuple[int, Stat]]) -> bytes:
    """``content.digest_rows`` of ``records`` (with their positions), whose digests are known."""
    extras = listing.extras or {}
    return digest_rows(
        [row(root, path, record, extras.get(position, PLAIN), listing.digest(position)) for position, record in records]
    )
