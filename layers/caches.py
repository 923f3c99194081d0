"""Cache mounts: directories that builds leave to later builds, which are no part of any layer.

::

    caches/<identity>/about     what it is, for people (JSON)
    caches/<identity>/<n>/      the directory, n = 0, 1, ...
    caches/<identity>/<n>.lock  flock: shared by users of a ``shared`` mount, alone by others; its time is the last use
    caches/<identity>/<n>.making  flock: held by the one of several users of a ``shared`` mount that makes it

A lock belongs to a process, so whoever dies has let go. What it had started may live a moment longer, so whoever has a
directory alone writes into the lock file which process stands for that, and who comes after it waits for its end.

Only the holder of a lock creates or removes its directory; the lock files go with it, hence the look at the inode
after every lock (``_lock``). Locks are taken while ``caches/<identity>`` itself is locked (``_gate``), and whoever
holds one for a moment only, to look or to remove, lets go of it before the gate opens: nobody takes a directory for
busy because it is being listed.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator

from layers.leases import remove_tree
from layers.storecontext import StoreContext
from layers.tuples import NamedTuple

FOLDER = "caches"
POLL_SECONDS = 0.05
"""How long a lock that is free may go unnoticed."""

REMAINS_SECONDS = 10.0
"""How long what a dead holder had started is waited for: it is killed by the kernel, which takes a moment."""

_DATA = "m"
"""What is mounted lies one level below, so that its own mode and owner can be anything."""


class CacheKind(NamedTuple):
    """``identity``: 64 hexadecimal digits; mounts with the same one share their files. ``id`` is for people."""

    identity: str
    id: str


class CacheUse(NamedTuple):
    """One directory of a cache, as ``prune`` and listings see it. ``used``: seconds since 1970."""

    path: str
    id: str
    bytes: int
    used: float
    busy: bool


class CacheHold:
    """A directory in use; ``release`` lets go of it, once nothing works in it any more."""

    def __init__(self, path: str, descriptor: int, *, alone: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._alone = alone

    def works(self, pid: int) -> None:
        """``pid`` is the process whose end is the end of all that will work in the directory."""
        if self._alone:
            os.pwrite(self._descriptor, _identity(pid).encode(), 0)

    def left(self) -> str:
        """What the holder before wrote, if it died."""
        return os.pread(self._descriptor, 4096, 0).decode(errors="replace")

    def forget(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            if self._alone and os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


class Stopped(Exception):
    """Waiting was given up because ``stopped`` said so."""


class Caches:
    """The cache mounts of a store. Thread-safe: every hold opens its lock file anew."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._top = os.path.join(context.root, FOLDER)

    def acquire(
        self, kind: CacheKind, sharing: str, fill: Callable[[str], None], stopped: Callable[[], bool]
    ) -> CacheHold:
        """A directory of the cache. ``shared``: one that others may hold as well; ``private``: one that nobody else
        has; ``locked``: always the same one, which nobody else has. Only that last one waits for others.

        ``fill(path)`` makes a new directory at ``path``. Raises Stopped while waiting.
        """
        folder = os.path.join(self._top, kind.identity)
        how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
        number = 0
        while not stopped():
            os.makedirs(folder, 0o700, exist_ok=True)
            path = os.path.join(folder, str(number))
            with _gate(folder):
                descriptor = _lock(f"{path}.lock", how)
            if descriptor is not None:
                hold = CacheHold(os.path.join(path, _DATA), descriptor, alone=how == fcntl.LOCK_EX)
                try:
                    self._make(path, fill, stopped)
                    self._use(kind, hold, descriptor, stopped)
                except BaseException:
                    hold.release()
                    raise
                return hold
            if sharing == "locked":
                time.sleep(POLL_SECONDS)
            else:
                number += 1
        raise Stopped

    def _use(self, kind: CacheKind, hold: CacheHold, descriptor: int, stopped: Callable[[], bool]) -> None:
        now = self._context.clock()
        os.utime(descriptor, (now, now))
        _wait_for_remains(hold, stopped)
        self._describe(os.path.join(self._top, kind.identity), kind)

    def _make(self, path: str, fill: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        """Makes the directory, unless it is there or another user of it makes it meanwhile."""
        while not os.path.lexists(path):
            making = _lock(f"{path}.making", fcntl.LOCK_EX)
            if making is not None:
                try:
                    if not os.path.lexists(path):
                        self._fill(path, fill)
                finally:
                    os.close(making)
            elif stopped():
                raise Stopped
            else:
                time.sleep(POLL_SECONDS)

    def _fill(self, path: str, fill: Callable[[str], None]) -> None:
        temporary = self._context.lease.temporary("cache")
        try:
            os.mkdir(temporary, 0o700)
            fill(os.path.join(temporary, _DATA))
            os.rename(temporary, path)
        finally:
            remove_tree(temporary)

    def _describe(self, folder: str, kind: CacheKind) -> None:
        path = os.path.join(folder, "about")
        if not os.path.lexists(path):
            temporary = self._context.lease.temporary("about")
            with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump({"id": kind.id}, file)
            os.rename(temporary, path)

    def uses(self) -> Iterator[CacheUse]:
        """Every directory there is, with what it takes on the disk."""
        for folder, number in self._directories():
            path = os.path.join(folder, number)
            with _gate(folder):
                if not os.path.lexists(path):
                    continue  # pruned meanwhile
                descriptor = _lock(f"{path}.lock", fcntl.LOCK_EX)
                if descriptor is not None:
                    os.close(descriptor)
                used = os.stat(f"{path}.lock").st_mtime
            yield CacheUse(path, _id(folder), disk_usage(path), used, descriptor is None)

    def prune(self, *, idle: float = 0, id: str | None = None) -> tuple[int, int]:
        """Removes the directories that nobody holds, nor used within ``idle`` seconds; of all caches or those with
        this id. How many, and the bytes of disk that came free."""
        count = freed = 0
        before = self._context.clock() - idle
        for folder, number in self._directories():
            trash = self._context.lease.temporary("trash")
            if id in {None, _id(folder)} and _take_away(os.path.join(folder, number), trash, before):
                count += 1
                freed += remove_tree(trash)
        return count, freed

    def _directories(self) -> Iterator[tuple[str, str]]:
        if not os.path.isdir(self._top):
            return
        for identity in sorted(os.listdir(self._top)):
            folder = os.path.join(self._top, identity)
            yield from ((folder, name) for name in sorted(os.listdir(folder)) if name.isdecimal())


@contextlib.contextmanager
def _gate(folder: str) -> Iterator[None]:
    """Held for a few system calls only."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _take_away(path: str, trash: str, before: float) -> bool:
    """Moves a directory that nobody holds, nor used after ``before``, to ``trash``."""
    with _gate(os.path.dirname(path)):
        descriptor = _lock(f"{path}.lock", fcntl.LOCK_EX)
        if descriptor is None:
            return False
        try:
            if not os.path.lexists(path) or os.fstat(descriptor).st_mtime > before:
                return False
            os.rename(path, trash)
            for lock in (f"{path}.making", f"{path}.lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(lock)
        finally:
            os.close(descriptor)
    return True


def _identity(pid: int) -> str:
    """A process, told from a later one of the same number by its start, and from those of other pid namespaces; ""
    for one that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            started = file.read().rpartition(b")")[2].split()[19].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return f"{pid} {started} {os.readlink('/proc/self/ns/pid')}"


def _wait_for_remains(hold: CacheHold, stopped: Callable[[], bool]) -> None:
    """Until nothing works in the directory any more that a holder who died had started. Raises Stopped."""
    deadline = time.monotonic() + REMAINS_SECONDS
    while left := hold.left():  # seldom
        same_namespace = left.endswith(os.readlink("/proc/self/ns/pid"))
        pid = left.partition(" ")[0]
        if (same_namespace and _identity(int(pid)) != left) or time.monotonic() > deadline:
            break
        if stopped():
            raise Stopped
        time.sleep(POLL_SECONDS)
    if left:
        hold.forget()


def _lock(path: str, how: int) -> int | None:
    """A descriptor that holds the lock; None when somebody else does."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(descriptor, how):
            os.close(descriptor)
            return None
        try:
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass  # pruned between the two calls
        os.close(descriptor)


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _id(folder: str) -> str:
    try:
        with open(os.path.join(folder, "about"), encoding="utf-8", errors="surrogateescape") as file:
            return str(json.load(file)["id"])
    except (OSError, ValueError, KeyError):
        return ""  # its maker died before it was written


def disk_usage(path: str) -> int:
    """Bytes on the disk of a directory tree; what vanishes meanwhile counts as nothing."""
    total = 0
    todo = [path]
    while todo:
        try:
            with os.scandir(todo.pop()) as found:
                for entry in found:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512 // max(1, status.st_nlink)
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(entry.path)
        except FileNotFoundError:
            continue
    return total
