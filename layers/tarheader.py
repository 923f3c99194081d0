"""The blocks of a tar archive: headers, numbers and PAX records. Pure.

Formats: POSIX.1-2017 pax ("ustar Interchange Format", "pax Extended Header"); GNU tar's manual, "Basic Tar Format";
star(5) for ``SCHILY.xattr``. Written headers are what Go's archive/tar writes for the same entry, as far as choices
exist: ustar when it can say everything, else a PAX header before it.
"""

import zlib
from collections.abc import Iterable, Iterator

from layers.errors import UnsafeArchive

BLOCK = 512
END = bytes(2 * BLOCK)
XATTR_PREFIX = b"SCHILY.xattr."

_MAGIC = b"ustar\x0000" + bytes(64)  # no user and group names
_SMALL_ID = 0o7777777
_LARGEST = 0o77777777777
_NAME = 100
_PREFIX = 155
_PLAIN_TAILS = {
    typeflag: typeflag + bytes(_NAME) + _MAGIC + b"%07o\0%07o\0" % (0, 0) + bytes(_PREFIX + 12)
    for typeflag in (b"0", b"5")
}
"""What follows the checksum in the header of a file or directory with a short name."""
_PLAIN_SUMS = {typeflag: sum(tail) + 8 * 0x20 - 1 for typeflag, tail in _PLAIN_TAILS.items()}
"""To be added to the Adler-32 of what precedes the checksum, see ``checksum``."""


def padding(size: int) -> int:
    """How many zero bytes follow ``size`` bytes of content."""
    return -size & (BLOCK - 1)


def checksum(block: bytes) -> int:
    """The sum of the 512 bytes with the checksum field as spaces (unsigned, as POSIX has it).

    Adler-32's low half is one more than the sum of the bytes modulo 65521, which 256 bytes cannot reach; this is ten
    times faster than ``sum``.
    """
    adler = zlib.adler32
    whole = (adler(block[:256]) & 0xFFFF) + (adler(block[256:]) & 0xFFFF)
    field = adler(block[148:156]) & 0xFFFF
    return whole - field - 1 + 8 * 0x20


def signed_checksum(block: bytes) -> int:
    """The same by the signed characters of some old writers."""
    return sum(byte - 256 if byte > 127 else byte for byte in block[:148] + block[156:]) + 8 * 0x20


def build(  # noqa: PLR0913 - the fields of the block, in their order
    name: bytes,
    typeflag: bytes,
    *,
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    xattrs: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """The header of one member, with a PAX header before it when ustar cannot say it all. ``mtime`` in seconds."""
    prefix = b""
    records = {XATTR_PREFIX + key: value for key, value in xattrs} if xattrs else {}
    if len(name) > _NAME or not name.isascii():
        prefix, name = _split(name) or (b"", _moved(records, b"path", name))
    if len(link) > _NAME or not link.isascii():
        link = _moved(records, b"linkpath", link)
    if uid > _SMALL_ID or gid > _SMALL_ID or size > _LARGEST or not 0 <= mtime <= _LARGEST:
        uid = _moved_number(records, b"uid", uid, _SMALL_ID)
        gid = _moved_number(records, b"gid", gid, _SMALL_ID)
        size = _moved_number(records, b"size", size, _LARGEST)
        mtime = _moved_number(records, b"mtime", mtime, _LARGEST)
    block = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%b%b%07o\0%07o\0%b" % (
        name.ljust(_NAME, b"\0"),
        mode,
        uid,
        gid,
        size,
        mtime,
        typeflag,
        link.ljust(_NAME, b"\0"),
        _MAGIC,
        *device,
        prefix.ljust(_PREFIX + 12, b"\0"),
    )
    block = b"%b%06o\0 %b" % (block[:148], checksum(block), block[156:])
    return _pax(name, records) + block if records else block


def plain_file(name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int) -> bytes | None:  # noqa: PLR0913, PLR0917 - as build
    """What ``build`` gives for a file of which a plain ustar header can say everything, as of most; else None."""
    return _plain(b"0", name, mode, uid, gid, size, mtime)


def plain_directory(name: bytes, mode: int, uid: int, gid: int, mtime: int) -> bytes | None:
    """As ``plain_file``; ``name`` ends with a slash."""
    return _plain(b"5", name, mode, uid, gid, 0, mtime)


def _plain(typeflag: bytes, name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int) -> bytes | None:  # noqa: PLR0913, PLR0917 - as build
    if len(name) > _NAME or not name.isascii() or not 0 <= mtime <= _LARGEST or uid > _SMALL_ID or gid > _SMALL_ID:
        return None
    if size > _LARGEST:
        return None
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(_NAME, b"\0"), mode, uid, gid, size, mtime)
    return b"%b%06o\0 %b" % (head, (zlib.adler32(head) & 0xFFFF) + _PLAIN_SUMS[typeflag], _PLAIN_TAILS[typeflag])


def _moved(records: dict[bytes, bytes], key: bytes, text: bytes) -> bytes:
    """Puts ``text`` in a record; gives what readers without PAX see.

    That has no slash at the end when it was cut, which old readers would take for a directory.
    """
    records[key] = text
    short = bytes(byte for byte in text if byte < 128)
    return short if len(short) <= _NAME else short[:_NAME].rstrip(b"/")


def _moved_number(records: dict[bytes, bytes], key: bytes, value: int, largest: int) -> int:
    if 0 <= value <= largest:
        return value
    records[key] = b"%d" % value
    return 0


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """(prefix, name) when ustar has room, cut as late as possible as Go and GNU tar do."""
    if not name.isascii():
        return None
    cut = name.rfind(b"/", 0, min(len(name) - 1, _PREFIX + 1))
    if cut <= 0 or len(name) - cut - 1 > _NAME:
        return None
    return name[:cut], name[cut + 1 :]


def _pax(name: bytes, records: dict[bytes, bytes]) -> bytes:
    body = b"".join(pax_record(key, records[key]) for key in sorted(records))
    base = name.rstrip(b"/").rpartition(b"/")[2]
    return build((b"PaxHeaders.0/" + base)[:_NAME], b"x", size=len(body)) + body + bytes(padding(len(body)))


def pax_record(key: bytes, value: bytes) -> bytes:
    """``length key=value newline``, where length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, key, value)


def pax_records(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The (key, value) pairs of a PAX header's content, in their order. Raises UnsafeArchive for a malformed one."""
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 20)
        digits = body[at:space]
        if space < 0 or not digits.isdigit():
            raise UnsafeArchive("the archive has a PAX header that is not made of records")
        end = at + int(digits)
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if body[end - 1 : end] != b"\n" or not equals or not key:
            raise UnsafeArchive("the archive has a PAX record whose length is wrong")
        yield key, value
        at = end


def number(field: bytes) -> int:
    """A numeric field: octal digits, or base 256 when the top bit is set (GNU, star). Raises UnsafeArchive."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ~(0x80 << 8 * (len(field) - 1))
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.strip(b" \0")
    if not digits:
        return 0
    digits = digits.partition(b"\0")[0]
    if digits.translate(None, b"01234567"):
        raise UnsafeArchive(f"the archive has a header with {field!r} where a number should be")
    return int(digits, 8)
