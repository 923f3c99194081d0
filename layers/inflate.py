"""Decompression of streams made of several members, in bounded memory, whatever the library. See ``compress``."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

from layers.errors import IntegrityError
from layers.tuples import NamedTuple

_OUTPUT = 1 << 20
"""Bytes asked of a library at once."""
_INPUT = 128 << 10
_ZSTD_PIECE = 2 << 10
"""A zstd block of 4 bytes can hold 128 KiB (RFC 8878, 3.1.1.2), and the library offers no limit to what one call
gives: by 2 KiB at a time no call makes more than 64 MiB."""

Feed = Callable[[Any, bytes], Generator[bytes, None, bytes | None]]
"""Feeds data to a decompressor of one member and yields what comes out; gives what follows the member, or None."""


def feed_zlib(member: Any, data: bytes) -> Generator[bytes, None, bytes | None]:
    while True:
        made = member.decompress(data, _OUTPUT)
        if made:
            yield made
        if member.eof:
            return bytes(member.unused_data)
        data = member.unconsumed_tail
        if not data and len(made) < _OUTPUT:
            return None


def feed_stdlib(member: Any, data: bytes) -> Generator[bytes, None, bytes | None]:
    while True:
        made = member.decompress(data, _OUTPUT)
        if made:
            yield made
        if member.eof:
            return bytes(member.unused_data)
        if member.needs_input:
            return None
        data = b""


def feed_zstd(member: Any, data: bytes) -> Generator[bytes, None, bytes | None]:
    parts: list[bytes] = []
    waiting = 0
    for start in range(0, len(data), _ZSTD_PIECE):
        made = member.decompress(data[start : start + _ZSTD_PIECE])
        parts.append(made)
        waiting += len(made)
        if member.eof:
            yield b"".join(parts)
            return bytes(member.unused_data) + data[start + _ZSTD_PIECE :]
        if waiting > _OUTPUT // 4:
            yield b"".join(parts)
            parts, waiting = [], 0
    yield b"".join(parts)
    return None


class Codec(NamedTuple):
    start: Callable[[], Any]
    feed: Feed
    errors: tuple[Any, ...]
    """Classes; Any because zstandard's stub says instance."""
    padded: bool
    """Zero bytes may follow a member (gzip's manual, "Padding"; xz file format, 2.2)."""


def inflate(kind: str, codec: Codec, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """The plain bytes of all members of a stream, in pieces. Raises IntegrityError for truncated and corrupt ones."""
    data = read(_INPUT)
    while data:
        member = codec.start()
        rest = yield from _guarded(kind, codec, member, data)
        while rest is None:
            data = read(_INPUT)
            if not data:
                raise IntegrityError(f"the {kind} stream is truncated")
            rest = yield from _guarded(kind, codec, member, data)
        data = rest or read(_INPUT)
        while codec.padded and data and not (data := data.lstrip(b"\0")):
            data = read(_INPUT)


def _guarded(kind: str, codec: Codec, member: Any, data: bytes) -> Generator[bytes, None, bytes | None]:
    try:
        return (yield from codec.feed(member, data))
    except codec.errors as error:
        raise IntegrityError(f"the {kind} stream is corrupt: {error}") from error


class Reader:
    """``read(n)`` of pieces: at most n bytes, b"" at the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._data = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        while self._at >= len(self._data):
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._data, self._at = piece, 0
        if self._at == 0 and size >= len(self._data):
            data, self._data = self._data, b""
            return data
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data
