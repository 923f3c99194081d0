"""Tar archives byte by byte, for those no well-behaved writer makes. Independent of ``layers``."""

import struct
from typing import Any

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12s")
END = bytes(1024)


def pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value)


def header(
    name: bytes,
    typeflag: bytes = b"0",
    *,
    mode: int = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    size: int | bytes = 0,
    mtime: int | bytes = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    tail: bytes = b"",
    checksum: bytes | None = None,
) -> bytes:
    """One block. Numbers given as bytes are put into their field as they are."""

    def field(value: int | bytes, width: int) -> bytes:
        return value if isinstance(value, bytes) else octal(value, width)

    fields = [
        name,
        octal(mode, 8),
        field(uid, 8),
        field(gid, 8),
        field(size, 12),
        field(mtime, 12),
        b" " * 8,
        typeflag,
        link,
        magic,
        b"",
        b"",
        octal(device[0], 8),
        octal(device[1], 8),
        prefix,
        tail,
    ]
    fields[6] = checksum if checksum is not None else b"%06o\0 " % sum(_HEADER.pack(*fields))
    return _HEADER.pack(*fields)


def file(name: bytes, data: bytes = b"", **fields: Any) -> bytes:
    return header(name, size=len(data), **fields) + pad(data)


def directory(name: bytes, mode: int = 0o755, **fields: Any) -> bytes:
    return header(name + b"/", b"5", mode=mode, **fields)


def symlink(name: bytes, target: bytes, **fields: Any) -> bytes:
    return header(name, b"2", link=target, mode=fields.pop("mode", 0o777), **fields)


def hardlink(name: bytes, target: bytes, **fields: Any) -> bytes:
    return header(name, b"1", link=target, **fields)


def record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = next(n for n in range(rest, rest + 20) if len(str(n)) + rest == n)
    return b"%d %b=%b\n" % (length, key, value)


def pax(*records: tuple[bytes, bytes], body: bytes | None = None, typeflag: bytes = b"x") -> bytes:
    """A PAX header for the member after it; ``body`` instead of records that are well-formed."""
    content = b"".join(record(*pair) for pair in records) if body is None else body
    return header(b"PaxHeaders/x", typeflag, size=len(content)) + pad(content)


def gnu_long(text: bytes, typeflag: bytes = b"L") -> bytes:
    """A long name (``L``) or link target (``K``) for the member after it."""
    return header(b"././@LongLink", typeflag, size=len(text) + 1, magic=b"ustar  \0") + pad(text + b"\0")


def gnu_sparse(name: bytes, size: int, pieces: list[tuple[int, int]], data: bytes) -> bytes:
    """A member of GNU's old sparse format (type S) with up to four pieces."""
    table = b"".join(octal(offset, 12) + octal(length, 12) for offset, length in pieces).ljust(96, b"\0")
    # From byte 345 on: two times, offset, longnames, one byte, 4 pieces, "is extended", the real size.
    real = octal(size, 12) if size < 1 << 33 else b"\x80" + size.to_bytes(11, "big")
    rest = bytes(41) + table + b"\0" + real + bytes(17)
    return header(name, b"S", size=len(data), magic=b"ustar  \0", prefix=rest[:155], tail=rest[155:167]) + pad(data)
