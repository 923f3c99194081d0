"""Blobs that are on their way: one file each under ``partial/``, locked by whoever writes it.

A transfer that breaks off, or whose process is killed, leaves what came; the next one takes it up there. Two processes
that want the same blob share one transfer: the second waits for the lock. Nothing in such a file is believed before all
of it has the blob's digest.
"""

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layers.digest import BlobDigest

if TYPE_CHECKING:
    from layers.blobs import Blobs

_POLL_S = 0.1
_CHUNK = 1 << 20


class Partial:
    """The bytes of a blob so far. ``size`` of them are there; ``write`` adds more."""

    def __init__(self, blobs: "Blobs", digest: BlobDigest, path: str, descriptor: int) -> None:
        self._blobs = blobs
        self._digest = digest
        self._path = path
        self._descriptor = descriptor
        self._hash = hashlib.new(digest.algorithm, usedforsecurity=True)
        self._settled = False
        self.size = 0
        while data := os.pread(descriptor, _CHUNK, self.size):
            self._hash.update(data)
            self.size += len(data)
        os.lseek(descriptor, self.size, os.SEEK_SET)

    def write(self, data: bytes | memoryview) -> None:
        """Raises OSError; of a disk that is full nothing is kept: what came would keep everybody else from writing."""
        view = memoryview(data)
        self._hash.update(view)
        while view:
            try:
                written = os.write(self._descriptor, view)
            except OSError as error:
                if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                    self.restart()
                raise
            self.size += written
            view = view[written:]

    @property
    def found(self) -> str:
        """The digest of what is there."""
        return f"{self._digest.algorithm}:{self._hash.hexdigest()}"

    @property
    def complete(self) -> bool:
        return self._hash.hexdigest() == self._digest.hex

    def restart(self) -> None:
        """Throws away what is there."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self._hash = hashlib.new(self._digest.algorithm, usedforsecurity=True)
        self.size = 0

    def commit(self) -> None:
        """Makes it a blob of the store. The caller has seen that it is complete."""
        os.fsync(self._descriptor)
        self._blobs.place(self._path, self._digest)
        self._settled = True

    def close(self) -> None:
        """What is not committed stays for the next transfer, if there is any of it. Then the lock is given up."""
        if not self._settled and not self.size:
            os.unlink(self._path)
        os.close(self._descriptor)


@contextmanager
def open_partial(
    blobs: "Blobs", directory: str, digest: BlobDigest, check: Callable[[], None]
) -> Iterator[Partial | None]:
    """Locked; None when the blob is in ``blobs`` by then. ``check`` is called while another transfer is waited for, and
    ends the waiting by raising."""
    os.makedirs(directory, 0o700, exist_ok=True)
    path = os.path.join(directory, f"{digest.algorithm}-{digest.hex}")
    descriptor = _locked(path, check)
    partial = None
    try:
        if blobs.has(digest):
            os.unlink(path)
            yield None
            return
        partial = Partial(blobs, digest, path, descriptor)
        yield partial
    finally:
        if partial is not None:
            partial.close()
        else:
            os.close(descriptor)


def _locked(path: str, check: Callable[[], None]) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _try_lock(descriptor):
                check()
                time.sleep(_POLL_S)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # renamed or removed by who had the lock


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: str) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def sweep_partial(directory: str) -> int:
    """Removes what no transfer is writing; returns the bytes freed."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    freed = 0
    for name in names:
        path = os.path.join(directory, name)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        try:
            if _try_lock(descriptor) and _is_at(descriptor, path):
                freed += os.fstat(descriptor).st_blocks * 512
                os.unlink(path)
        finally:
            os.close(descriptor)
    return freed
