"""The bytes of a FILE entry, from wherever its source says they are, checked while they are read."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator

from layers.entry import BytesSource, Entry, FileSource, StreamSource
from layers.errors import IntegrityError, PybuildError, SourceChanged

Seen = Callable[[Entry, bytes | None], None]
"""Told of each entry that went by, with the raw SHA-256 of a FILE's bytes."""

CHUNK = 1 << 20
SMALL = 128 << 10
"""Up to this many bytes a file is read in one go."""

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""NONBLOCK: a file that became a FIFO meanwhile must not stop the build."""
_CHANGED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EAGAIN})


def small(entry: Entry) -> bytes:
    """All bytes of a FILE of at most ``SMALL``. Raises as ``chunks``."""
    source = entry.source
    if not isinstance(source, FileSource):
        return b"".join(chunks(entry))
    path, expected = source
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            data = os.read(descriptor, entry.size + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _read_error(path, error) from error
    if len(data) < entry.size:
        return b"".join(_file_chunks(path, entry.size, expected))
    if len(data) != entry.size or (expected is not None and hashlib.sha256(data).digest() != expected):
        raise SourceChanged(path)
    return data


def chunks(entry: Entry) -> Iterator[bytes]:
    """The bytes of a FILE, in pieces of at most 1 MiB.

    Raises SourceChanged when a file of the host has another size or digest than the entry says, IntegrityError when a
    stream ends early, ValueError for an entry that only describes.
    """
    match entry.source:
        case FileSource(path, expected):
            yield from _file_chunks(path, entry.size, expected)
        case BytesSource(data):
            if len(data) != entry.size:
                raise ValueError(f"{entry.path!r}: {len(data)} bytes given, {entry.size} announced")
            for start in range(0, len(data), CHUNK):
                yield data[start : start + CHUNK]
        case StreamSource(read):
            left = entry.size
            while left:
                data = read(min(left, CHUNK))
                if not data:
                    raise IntegrityError(f"{show(entry.path)} ends {left} bytes early")
                left -= len(data)
                yield data
        case None:
            raise ValueError(f"{entry.path!r} has no source")


def _file_chunks(path: bytes, size: int, expected: bytes | None) -> Iterator[bytes]:
    digest = hashlib.sha256() if expected is not None else None
    try:
        descriptor = os.open(path, _FLAGS)
        try:
            left = size
            while left:
                data = os.read(descriptor, min(left, CHUNK))
                if not data:
                    raise SourceChanged(path)
                left -= len(data)
                if digest is not None:
                    digest.update(data)
                yield data
            if os.read(descriptor, 1):
                raise SourceChanged(path)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _read_error(path, error) from error
    if digest is not None and digest.digest() != expected:
        raise SourceChanged(path)


def _read_error(path: bytes, error: OSError) -> PybuildError:
    if error.errno in _CHANGED:
        return SourceChanged(path)
    return PybuildError(f"cannot read {show(path)}: {error.strerror}", code="unreadable")


def show(path: bytes) -> str:
    """A path for a message."""
    return path.decode(errors="backslashreplace")
