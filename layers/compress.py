"""Compression of layers: none, gzip and zstd are written; those, bzip2 and xz are read.

Written bytes depend on the data, the level and the library alone (``writer_id``), not on how the data was cut into
writes, nor on threads. gzip (RFC 1952) is compressed in pieces of 1 MiB, each primed with the 32 KiB before it and
ended by a sync flush, so that pieces can be made side by side; a piece that does not compress becomes stored blocks
(RFC 1951, 3.2.4). The libraries are imported when first used.
"""

import struct
import threading
from collections.abc import Callable
from typing import Any, Protocol

from layers.errors import PybuildError
from layers.inflate import Codec, Reader, feed_stdlib, feed_zlib, feed_zstd, inflate
from layers.threads import Data, OrderedMap, processors
from layers.tuples import NamedTuple

PIECE = 1 << 20
_WINDOW = 32 << 10
_STORED_MAX = 0xFFFF
_PROBE = 16 << 10
_SAMPLE = 64 << 10
_FASTER = 5
_ALLOWANCE = 1.05
"""How much larger than at level 6 a sample may be at level 5. That takes half the time, and most data hardly more room
(trees of packages 3 %, programs 1 %); of source text, which would take 9 %, the sample tells."""
_GROUP = 4
"""Pieces for which the sample of the first one speaks: taking it costs a sixth of what compressing a piece does."""
_XZ_MEMORY = 256 << 20
"""Bytes a decompressor may take; xz -9 needs 65 MiB."""


_ZSTD_JOB = 2 << 20
"""What one worker compresses at a time. The library's own 8 MiB take 220 MiB of memory with eight workers, this 80,
and let layers of a few MiB use more than one; the output grows by 0.1 %."""


class Compression(NamedTuple):
    """``kind`` is ``none``, ``gzip`` (levels 0 to 9) or ``zstd`` (levels 1 to 22). ``forced``: layers of other images
    shall have this kind too; without it they keep what they came with."""

    kind: str
    level: int
    forced: bool = False


NONE = Compression("none", 0)
_DEFAULT_LEVEL = {"none": 0, "gzip": 6, "zstd": 3}
_LEVELS = {"none": range(1), "gzip": range(10), "zstd": range(1, 23)}


def default(kind: str) -> Compression:
    """Raises PybuildError for a kind that cannot be written."""
    if kind not in _DEFAULT_LEVEL:
        raise PybuildError(
            f"{kind} is not a compression pybuild can write", hint="use gzip, zstd or none (uncompressed)"
        )
    return Compression(kind, _DEFAULT_LEVEL[kind])


def check(compression: Compression) -> None:
    """Raises PybuildError for a kind or level that cannot be written."""
    default(compression.kind)
    levels = _LEVELS[compression.kind]
    if compression.level not in levels:
        raise PybuildError(
            f"{compression.kind} has no compression level {compression.level}",
            hint=f"use a level from {levels.start} to {levels.stop - 1}",
        )


def writer_id(compression: Compression) -> str:
    """Who makes the bytes: library and version, and our way of using it. Equal ids promise equal bytes."""
    match compression.kind:
        case "gzip":
            from zlib_ng import zlib_ng

            return f"zlib-ng {zlib_ng.ZLIBNG_RUNTIME_VERSION}, pieces 3"
        case "zstd":
            import zstandard

            return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}, jobs 1"
        case _:
            return "none"


class Compressor(Protocol):
    def write(self, data: Data, /) -> object:
        """``data`` must not change afterwards: it may be compressed later."""

    def close(self) -> None:
        """Writes what is left. Exactly one of ``close`` and ``cancel`` ends a compressor."""

    def cancel(self) -> None:
        """Drops what is left and ends the threads."""


def open_writer(write: Callable[[bytes | memoryview], object], compression: Compression) -> Compressor:
    """A compressor whose output goes to ``write``, called in the thread of the caller of the compressor."""
    check(compression)
    match compression.kind:
        case "gzip":
            return _GzipWriter(write, compression.level)
        case "zstd":
            return _ZstdWriter(write, compression.level)
        case _:
            return _PlainWriter(write)


class _PlainWriter:
    def __init__(self, write: Callable[[Data], object]) -> None:
        self.write = write

    def close(self) -> None:
        pass

    def cancel(self) -> None:
        pass


class _GzipWriter:
    _HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, unknown system

    def __init__(self, write: Callable[[Data], object], level: int) -> None:
        from zlib_ng import zlib_ng

        self._crc32: Callable[[Data, int], int] = zlib_ng.crc32
        self._write = write
        self._map = OrderedMap(_Deflate(level), write)
        self._level = level
        self._made = 0
        self._choice: _Choice | None = None
        self._parts: list[Data] = []
        self._waiting = 0
        self._before: Data = b""
        self._crc = 0
        self._size = 0
        write(self._HEADER)

    def write(self, data: Data) -> None:
        while len(data) >= PIECE - self._waiting:
            cut = PIECE - self._waiting
            self._parts.append(data[:cut])
            self._piece(last=False)
            data = memoryview(data)[cut:]
        if data:
            self._parts.append(data)
            self._waiting += len(data)

    def _piece(self, *, last: bool) -> None:
        piece = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._waiting = 0
        self._crc = self._crc32(piece, self._crc)
        self._size += len(piece)
        if self._made % _GROUP == 0:
            chosen = self._level == _DEFAULT_LEVEL["gzip"] and len(piece) == PIECE
            self._choice = _Choice(piece) if chosen else None
        self._made += 1
        self._map.put(piece, self._before, last, self._choice)
        self._before = piece[-_WINDOW:]

    def close(self) -> None:
        try:
            self._piece(last=True)
        except BaseException:
            self.cancel()
            raise
        self._map.close()
        self._write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))

    def cancel(self) -> None:
        self._map.cancel()


class _Choice:
    """The level of a group of pieces, by a sample of its ``first``; found once, by whoever asks first."""

    def __init__(self, first: Data) -> None:
        self._sample = first[PIECE // 2 : PIECE // 2 + _SAMPLE]
        self._lock = threading.Lock()
        self._level: int | None = None

    def level(self, size: Callable[[Data, int], int]) -> int:
        """``size``: of the sample at a level."""
        with self._lock:
            if self._level is None:
                own = _DEFAULT_LEVEL["gzip"]
                made = size(self._sample, own)
                # One that hardly shrinks says nothing of the pieces after it.
                shrinks = made < len(self._sample) * 31 // 32
                faster = shrinks and size(self._sample, _FASTER) <= made * _ALLOWANCE
                self._level = _FASTER if faster else own
            return self._level


class _Deflate:
    """Makes one piece of a deflate stream."""

    def __init__(self, level: int) -> None:
        from zlib_ng import zlib_ng

        self._zlib: Any = zlib_ng
        self._level = level

    def __call__(self, piece: Data, before: Data, last: bool, choice: _Choice | None) -> bytes:
        if self._level and not self._compressible(piece):
            return _stored(piece, last=last)
        level = choice.level(self._size) if choice is not None and len(piece) == PIECE else self._level
        parts = self._deflate(piece, level, before, last=last)
        made = sum(map(len, parts))
        return b"".join(parts) if made < len(piece) or len(piece) < _PROBE else _stored(piece, last=last)

    def _deflate(self, piece: Data, level: int, before: Data, *, last: bool) -> tuple[bytes, bytes]:
        zlib = self._zlib
        options = {"zdict": before} if before else {}
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, **options)
        return deflate.compress(piece), deflate.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    def _size(self, sample: Data, level: int) -> int:
        return sum(map(len, self._deflate(sample, level, b"", last=True)))

    def _compressible(self, piece: Data) -> bool:
        """Whether any of four samples shrinks at the fastest level: saves compressing what cannot be."""
        if len(piece) < PIECE:
            return True
        for start in range(0, PIECE, PIECE // 4):
            sample = piece[start : start + _PROBE]
            if self._size(sample, 1) < _PROBE - _PROBE // 32:
                return True
        return False


def _stored(piece: Data, *, last: bool) -> bytes:
    """``piece`` as stored blocks; pieces begin at a byte's begin, so the three header bits fill one byte."""
    parts: list[Data] = []
    for start in range(0, len(piece), _STORED_MAX):
        block = piece[start : start + _STORED_MAX]
        final = last and start + _STORED_MAX >= len(piece)
        parts += (struct.pack("<BHH", final, len(block), len(block) ^ 0xFFFF), block)
    return b"".join(parts)


class _ZstdWriter:
    """One frame with a checksum. Always made by the library's workers: their output does not depend on their number."""

    def __init__(self, write: Callable[[Data], object], level: int) -> None:
        import zstandard

        parameters = zstandard.ZstdCompressionParameters.from_level(
            level,
            threads=max(1, min(processors(), 8)),
            job_size=_ZSTD_JOB,
            write_checksum=True,
            write_content_size=False,
        )
        self._write = write
        self._stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()

    def write(self, data: Data) -> None:
        if made := self._stream.compress(data):
            self._write(made)

    def close(self) -> None:
        self._write(self._stream.flush())

    def cancel(self) -> None:
        pass


_MAGIC = ((b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\x00", "xz"))
MAGIC_LENGTH = 6
"""How many first bytes ``detect`` looks at."""


def detect(first_bytes: bytes) -> str:
    """``none``, ``gzip``, ``zstd``, ``bzip2`` or ``xz`` by the first bytes of a stream."""
    for magic, kind in _MAGIC:
        if first_bytes.startswith(magic):
            return kind
    if first_bytes[1:4] == b"\x2a\x4d\x18" and first_bytes[0] >> 4 == 5:
        return "zstd"  # a skippable frame (RFC 8878, 3.1.2), as zstd:chunked layers may begin with
    if first_bytes.startswith(b"BZh") and first_bytes[3:4].isdigit():
        return "bzip2"
    return "none"


def open_reader(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A ``read(n)`` of the plain bytes of the stream that ``read`` gives, detected by its first bytes.

    Gives at most n bytes, b"" at the end, and reads ``read`` to its end before saying so. Corrupt or truncated data
    raises IntegrityError.
    """
    first = b""
    while len(first) < MAGIC_LENGTH and (more := read(MAGIC_LENGTH - len(first))):
        first += more
    kind = detect(first)

    def read_all(size: int) -> bytes:
        nonlocal first
        if not first:
            return read(size)
        data, first = first[:size], first[size:]
        return data

    return read_all if kind == "none" else Reader(inflate(kind, _codec(kind), read_all)).read


def _codec(kind: str) -> Codec:
    match kind:
        case "gzip":
            from zlib_ng import zlib_ng

            return Codec(lambda: zlib_ng.decompressobj(16 + zlib_ng.MAX_WBITS), feed_zlib, (zlib_ng.error,), True)
        case "zstd":
            import zstandard

            return Codec(zstandard.ZstdDecompressor().decompressobj, feed_zstd, (zstandard.ZstdError,), False)
        case "bzip2":
            import bz2

            return Codec(bz2.BZ2Decompressor, feed_stdlib, (OSError, ValueError), False)
        case _:
            import lzma

            return Codec(
                lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY), feed_stdlib, (lzma.LZMAError,), True
            )
