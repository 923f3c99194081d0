"""Leases: what a living process uses in a store, so that others neither delete it nor mistake it for rubbish.

A lease is a file ``leases/<name>`` under an exclusive flock, which the kernel drops when its process ends, however it
ends. Its lines name the layers and blobs the process relies on; ``tmp/<name>/`` holds everything it is still writing.
A lease that can be locked belongs to nobody: it and its directory are removed by whoever opens the store next.

The *gate* is what keeps "found it" and "wrote down that I need it" together: lookers hold it shared for a moment,
deleters exclusively. Order of locks: gate, then the database's write lock.
"""

import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from layers.digest import BlobDigest, Digest, LayerId
from layers.tuples import NamedTuple

LINGER_SECONDS = 0.2
"""How long a lock may outlive its process: a child that was just forked to execute a program holds it until then."""


class Held(NamedTuple):
    layers: frozenset[LayerId]
    blobs: frozenset[BlobDigest]


class Gate:
    """A lock of all processes that use one store. Every entry opens the file anew, so threads count separately."""

    def __init__(self, path: str) -> None:
        self._path = path

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
            yield
        finally:
            os.close(descriptor)


class Lease:
    """This process's lease. Thread-safe."""

    def __init__(self, leases: str, temporary: str) -> None:
        self._lock = threading.Lock()
        self._layers: set[LayerId] = set()
        self._blobs: set[BlobDigest] = set()
        self._count = 0
        self._made = False
        self.name, self._descriptor = _create(leases)
        self._path = os.path.join(leases, self.name)
        self.directory = os.path.join(temporary, self.name)
        """Where this process writes what is not finished; removed with the lease."""

    def temporary(self, kind: str) -> str:
        """A fresh path in the lease's directory; the caller makes it."""
        with self._lock:
            if not self._made:
                os.mkdir(self.directory, 0o700)
                self._made = True
            self._count += 1
            return os.path.join(self.directory, f"{kind}-{self._count}")

    def has_layers(self, layers: Iterable[LayerId]) -> bool:
        """Whether all of them are held already."""
        return self._layers.issuperset(layers)

    def hold_layers(self, layers: Iterable[LayerId]) -> None:
        with self._lock:
            new = dict.fromkeys(layer for layer in layers if layer not in self._layers)
            if new:
                self._write("".join(f"layer {layer}\n" for layer in new).encode())
                self._layers.update(new)

    def hold_blob(self, digest: BlobDigest) -> None:
        with self._lock:
            if digest not in self._blobs:
                self._write(f"blob {digest}\n".encode())
                self._blobs.add(digest)

    def _write(self, lines: bytes) -> None:
        """All of them or none: half a line would be read as something else, and what it names would not be held."""
        start = os.fstat(self._descriptor).st_size
        try:
            while lines:
                lines = lines[os.write(self._descriptor, lines) :]
        except OSError:
            os.ftruncate(self._descriptor, start)
            raise

    def release(self) -> None:
        """Removes the lease's directory, then the lease."""
        with self._lock:
            # A thread that is late must not write to what gets the descriptor's number next.
            descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        try:
            if self._made:
                remove_tree(self.directory)
            os.unlink(self._path)
        finally:
            os.close(descriptor)


def _create(leases: str) -> tuple[str, int]:
    while True:
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(os.path.join(leases, name), flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return name, descriptor
        os.close(descriptor)  # somebody's sweep took it for a stale one before it was locked


def sweep(leases: str, temporary: str) -> int:
    """Removes leases of dead processes and what they left unfinished; returns how many there were."""
    stale = 0
    for name in os.listdir(leases):
        descriptor = _lock_stale(os.path.join(leases, name))
        if descriptor is None:
            continue
        try:
            remove_tree(os.path.join(temporary, name))
            os.unlink(os.path.join(leases, name))
            stale += 1
        finally:
            os.close(descriptor)
    for name in os.listdir(temporary):
        # A lease is made before its directory and removed after it: a directory without one is nobody's.
        if not os.path.lexists(os.path.join(leases, name)):
            remove_tree(os.path.join(temporary, name))
            stale += 1
    return stale


def _lock_stale(path: str) -> int | None:
    """A descriptor that holds the lock of a lease whose process is gone; None for a living or vanished one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    deadline = time.monotonic() + LINGER_SECONDS
    locked = _try_lock(descriptor)
    while not locked and not _alive(path) and time.monotonic() < deadline:
        time.sleep(0.005)
        locked = _try_lock(descriptor)
    if not locked or os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        return None
    return descriptor


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _alive(path: str) -> bool:
    """Whether the process that a lease is named for is there. In another pid namespace it seems not to be."""
    return os.path.exists(f"/proc/{os.path.basename(path).partition('-')[0]}")


def held(leases: str) -> Held:
    """What all leases name. A stale one, not yet swept, counts too: it only keeps a little more."""
    layers: set[LayerId] = set()
    blobs: set[BlobDigest] = set()
    for name in os.listdir(leases):
        try:
            with open(os.path.join(leases, name), encoding="ascii") as lines:
                for line in lines:
                    kind, _, what = line.rstrip("\n").partition(" ")
                    if kind == "layer":
                        layers.add(LayerId(int(what)))
                    else:
                        blobs.add(BlobDigest(Digest.parse(what)))
        except FileNotFoundError:
            continue
    return Held(frozenset(layers), frozenset(blobs))


MAX_DEPTH = 64
"""Directories open at once while a tree is removed; what is deeper is first moved up (configure scripts make
directories thousands of levels deep)."""


def remove_tree(path: str) -> int:
    """Removes a file or directory tree, if it is there; returns the bytes it took on disk. Follows no link."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(path)
        return status.st_blocks * 512
    freed = 0
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while names := os.listdir(top):
            for name in names:
                freed += _remove(name, top, top, 0)
    finally:
        os.close(top)
    os.rmdir(path)
    return freed + status.st_blocks * 512


def _remove(name: str, parent: int, top: int, depth: int) -> int:
    status = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=parent)
        return status.st_blocks * 512 // max(1, status.st_nlink)
    if depth == MAX_DEPTH:
        os.rename(name, f"deep-{os.urandom(8).hex()}", src_dir_fd=parent, dst_dir_fd=top)
        return 0
    here = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        freed = sum(_remove(below, here, top, depth + 1) for below in os.listdir(here))
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=parent)
    return freed + status.st_blocks * 512
