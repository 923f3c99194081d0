"""Blobs: bytes named by their digest, one file each under ``blobs/<algorithm>/<hex>``.

Written beside, synced, renamed; verified on the way out. Nothing gives out a path to read.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError, NotInStore

if TYPE_CHECKING:
    from layers.partial import Partial
    from layers.passing import Passing

CHUNK = 1 << 20

Progress = Callable[[int], None]
"""Told how many bytes have just moved."""


class Holder(Protocol):
    """What keeps a blob from being pruned while this process relies on it (see layers.store)."""

    def temporary(self, kind: str) -> str: ...

    def hold_blob(self, digest: BlobDigest) -> None: ...


class BlobReader:
    """Reads a blob once, from begin to end. The read that finds the end verifies digest and size.

    Bytes handed out before that are unverified: who uses them must read on to the end before believing them.
    """

    def __init__(self, descriptor: int, digest: BlobDigest, size: int | None) -> None:
        self._descriptor = descriptor
        self._digest = digest
        self._size = size
        self._hash = hashlib.new(digest.algorithm, usedforsecurity=True)
        self._read = 0
        self.size = os.fstat(descriptor).st_size

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; b"" at the end. Raises IntegrityError there if the bytes are not the digest's."""
        data = os.read(self._descriptor, size)
        if data:
            self._read += len(data)
            self._hash.update(data)
        elif size:
            self._verify()
        return data

    def drain(self) -> None:
        """Reads what is left, so that the blob is verified."""
        while self.read(CHUNK):
            pass

    def _verify(self) -> None:
        if self._size is not None and self._read != self._size:
            raise IntegrityError(f"blob {self._digest} has {self._read} bytes in the store, not {self._size}")
        if self._hash.hexdigest() != self._digest.hex:
            raise IntegrityError(
                f"blob {self._digest} is damaged in the store",
                hint="run 'pybuild prune --all' and build again; if it happens again, check the disk",
            )

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


_BEGUN = 8 << 20
"""After so many bytes the disk is told to begin with them: else it would do so when ``commit`` waits for all."""


class BlobWriter:
    """A blob that is being written. Nothing is in the store until ``commit``."""

    def __init__(self, blobs: "Blobs", path: str, passing: "Callable[[int], Passing] | None") -> None:
        self._blobs = blobs
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._passing = passing(self._descriptor) if passing is not None else None
        self.size = 0
        self._begun = 0

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        if self._passing is not None:
            self._passing.write(view)
            self.size += len(view)
        else:
            while view:
                written = os.write(self._descriptor, view)
                self.size += written
                view = view[written:]
        if self.size - self._begun >= _BEGUN:
            with suppress(OSError):  # some kernels take no advice
                # Of what is not on the disk yet Linux only starts the writing (mm/fadvise.c), and forgets nothing.
                os.posix_fadvise(self._descriptor, self._begun, self.size - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = self.size

    def commit(self, digest: BlobDigest, size: int) -> None:
        """Puts what was written in place as ``digest``: the caller has hashed it. Raises IntegrityError on the size."""
        if size != self.size:
            raise IntegrityError(f"blob {digest}: {self.size} bytes were written, not {size}")
        if self._passing is not None:
            self._passing.end()
        os.fsync(self._descriptor)
        self._blobs.place(self._path, digest)

    def close(self) -> None:
        """Gives up what was not committed."""
        os.close(self._descriptor)
        if os.path.lexists(self._path):
            os.unlink(self._path)


Fetch = Callable[[BlobDigest, int], None]
"""Puts a blob of that many bytes where it belongs, or raises."""


class Blobs:
    """The blobs of one store. ``gate`` opens the moment in which looking and holding belong together."""

    def __init__(
        self, root: str, holder: Holder, gate: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._root = root
        self._holder = holder
        self._gate = gate
        self._partial = os.path.join(os.path.dirname(os.path.abspath(root)), "partial")
        self._fetch: Fetch | None = None

    def fetch_with(self, fetch: Fetch) -> None:
        """Who is asked for blobs that are to be read and are not there."""
        self._fetch = fetch

    def path(self, digest: BlobDigest) -> str:
        """Where a blob is; for the store's own housekeeping, never for reading."""
        return os.path.join(self._root, digest.algorithm, digest.hex)

    def has(self, digest: BlobDigest) -> bool:
        """Whether it is there; then it stays there as long as this store is open."""
        with self._gate():
            if not os.path.exists(self.path(digest)):
                return False
            self._holder.hold_blob(digest)
            return True

    def size(self, digest: BlobDigest) -> int:
        """In bytes. Raises NotInStore."""
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def open(self, digest: BlobDigest, size: int | None = None) -> BlobReader:
        """``size``, when given, is verified too; then a blob that is not there is fetched, if it is known where from.

        Raises NotInStore, and what fetching fails with.
        """
        try:
            descriptor = self._open(digest)
        except FileNotFoundError:
            if self._fetch is None or size is None:
                raise _missing(digest) from None
            self._fetch(digest, size)
            descriptor = self._open(digest)
        return BlobReader(descriptor, digest, size)

    def _open(self, digest: BlobDigest) -> int:
        return os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def writer(self, *, read_soon: bool = True) -> Iterator[BlobWriter]:
        """For who hashes while writing; ends with ``commit`` or leaves nothing. Without ``read_soon`` it need not stay
        in memory."""
        passing = None
        if not read_soon:
            from layers.passing import Passing

            passing = Passing
        writer = BlobWriter(self, self._holder.temporary("blob"), passing)
        try:
            yield writer
        finally:
            writer.close()

    def partial(self, digest: BlobDigest, check: Callable[[], None]) -> "AbstractContextManager[Partial | None]":
        """What is there of a blob that is being fetched, locked; None once all of it is. See ``layers.partial``."""
        from layers.partial import open_partial

        return open_partial(self, self._partial, digest, check)

    def sweep(self) -> int:
        """Removes parts of blobs that nobody is fetching; returns the bytes freed."""
        from layers.partial import sweep_partial

        return sweep_partial(self._partial)

    def put(
        self,
        read: Callable[[int], bytes],
        expected: BlobDigest | None = None,
        *,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[BlobDigest, int]:
        """Stores what ``read(n)`` gives until b"". Raises IntegrityError when it is not ``expected`` or ``size``."""
        algorithm = expected.algorithm if expected is not None else "sha256"
        content = hashlib.new(algorithm, usedforsecurity=True)
        with self.writer() as writer:
            while data := read(CHUNK):
                content.update(data)
                writer.write(data)
                if size is not None and writer.size > size:
                    break
                if progress is not None:
                    progress(len(data))
            if size is not None and writer.size != size:
                raise IntegrityError(f"{expected or 'a blob'}: {writer.size} bytes or more came, not {size}")
            digest = BlobDigest(Digest(algorithm, content.hexdigest()))
            if expected is not None and digest != expected:
                raise IntegrityError(f"the bytes of {expected} have the digest {digest}")
            writer.commit(digest, writer.size)
            return digest, writer.size

    def put_bytes(self, data: bytes) -> BlobDigest:
        with self.writer() as writer:
            writer.write(data)
            digest = BlobDigest(Digest.of(data))
            writer.commit(digest, len(data))
            return digest

    def place(self, path: str, digest: BlobDigest) -> None:
        """Renames a synced file of the right bytes to its place; replaces a blob that is there (it may be damaged)."""
        target = self.path(digest)
        directory = os.path.dirname(target)
        with self._gate():
            self._holder.hold_blob(digest)
            os.makedirs(directory, 0o700, exist_ok=True)
            os.rename(path, target)
        sync_directory(directory)

    def delete(self, digest: BlobDigest) -> int:
        """Returns the bytes freed, 0 when it was not there. Held blobs are the caller's business."""
        path = self.path(digest)
        try:
            freed = os.stat(path).st_blocks * 512
            os.unlink(path)
        except FileNotFoundError:
            return 0
        return freed

    def __iter__(self) -> Iterator[BlobDigest]:
        for algorithm in sorted(os.listdir(self._root)):
            for name in sorted(os.listdir(os.path.join(self._root, algorithm))):
                yield BlobDigest(Digest(algorithm, name))


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(digest: BlobDigest) -> NotInStore:
    return NotInStore(f"blob {digest} is not in the store", hint="load or build the image again")
