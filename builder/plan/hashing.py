"""SHA-256 of many files: small ones in batches across two threads, large ones each in a thread of its own turn."""

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from layers.errors import PybuildError, SourceChanged
from layers.filedigests import StatKey, stat_key
from layers.tuples import NamedTuple

SMALL = 64 << 10
"""Files up to this size are read with one call; setting up a loop for each costs more than their bytes."""

BATCH = 256
"""Small files handed to a thread at once: switching threads for each of them costs more than hashing it."""

WORKERS = 2

_PIECE = 1 << 20
Check = Callable[[], None]

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Wanted(NamedTuple):
    """A regular file ``name`` of ``directory``; ``key`` is what its stat said when it was listed."""

    directory: bytes
    name: bytes
    key: StatKey


def unchecked() -> None:
    """Nobody can give up."""


def hash_files(root: bytes, wanted: Sequence[Wanted], check: Check = unchecked) -> Iterator[bytes]:
    """Raw digests in the order asked for; directories are relative to ``root``. ``check`` is called often, by several
    threads, and may raise.

    Raises SourceChanged for a file that is not the one that was listed.
    """
    jobs = list(_jobs(wanted))
    work = partial(_hash_all, root, check)
    if len(jobs) < 2:
        for job in jobs:
            yield from work(job)
        return
    from concurrent.futures import ThreadPoolExecutor  # costs a millisecond that a build without changes does without

    with ThreadPoolExecutor(WORKERS, "pybuild-hash") as pool:
        for digests in pool.map(work, jobs):
            yield from digests


def _jobs(wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    """Runs of neighbours that are worth a thread's while: many small files, or few large ones."""
    start = size = 0
    for at, file in enumerate(wanted):
        size += file.key[2] + SMALL
        if size >= BATCH * SMALL:
            yield wanted[start : at + 1]
            start, size = at + 1, 0
    if start < len(wanted):
        yield wanted[start:]


def _hash_all(root: bytes, check: Check, files: Iterable[Wanted]) -> list[bytes]:
    check()
    return [
        hash_file(b"%b/%b/%b" % (root, directory, name) if directory else b"%b/%b" % (root, name), key, check)
        for directory, name, key in files
    ]


def hash_file(path: bytes, key: StatKey, check: Check = unchecked) -> bytes:
    descriptor = _open(path)
    try:
        if key[2] <= SMALL:
            data = os.read(descriptor, SMALL + 1)
            digest = hashlib.sha256(data).digest() if len(data) == key[2] else None
        else:
            digest = _large(descriptor, check)
        if digest is None or stat_key(os.fstat(descriptor)) != key:
            raise SourceChanged(path)
        return digest
    except IsADirectoryError as error:
        raise SourceChanged(path) from error
    finally:
        os.close(descriptor)


def _large(descriptor: int, check: Check) -> bytes:
    digest = hashlib.sha256()
    buffer = bytearray(_PIECE)
    view = memoryview(buffer)
    while count := os.readv(descriptor, [view]):
        digest.update(view[:count])
        check()
    return digest.digest()


def _open(path: bytes) -> int:
    try:
        return os.open(path, READ_FLAGS)
    except PermissionError as error:
        raise unreadable(path) from error
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR}:
            raise SourceChanged(path) from error
        raise


def unreadable(path: bytes) -> PybuildError:
    return PybuildError(
        f"cannot read {path.decode(errors='backslashreplace')}: permission denied",
        hint="make it readable, or leave it out with .dockerignore",
        code="unreadable",
    )
