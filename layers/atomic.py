"""Files that appear whole or not at all: written without a name, then linked and renamed into place.

A file without a name (O_TMPFILE) leaves nothing behind when the process is killed. File systems that have none get
a hidden file beside the target, which ``sweep`` removes once its writer is gone.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator

from layers.leases import remove_tree

_PREFIX = ".pybuild-"
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL})

Write = Callable[[bytes | memoryview], object]


def hidden(directory: str) -> str:
    """A new path in ``directory`` that ``sweep`` knows."""
    return os.path.join(directory, _PREFIX + os.urandom(8).hex())


@contextlib.contextmanager
def replacing(path: str) -> Iterator[Write]:
    """A function that writes what becomes the file ``path`` when the context ends without an exception.

    A link is followed. What exists and is not a regular file (a pipe, ``/dev/null``) is written to directly. Not
    synced: a crash of the machine may lose it, as with any file a command was told to write.
    """
    target = os.path.realpath(path)
    if os.path.lexists(target) and not os.path.isfile(target):
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        with _closing(descriptor):
            yield _writer(descriptor)
        return
    directory = os.path.dirname(target)
    descriptor, name = _open_beside(directory)
    try:
        yield _writer(descriptor)
        _place(descriptor, name, target)
    except BaseException:
        if name is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def write_to(descriptor: int) -> Write:
    """A function that writes all it is given to an open descriptor."""
    return _writer(descriptor)


def _writer(descriptor: int) -> Write:
    def write(data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    return write


def _open_beside(directory: str) -> tuple[int, str | None]:
    """A locked descriptor, and the name of the file when it has one."""
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
        sweep(directory)
        return _locked_file(directory)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # it may get a name of ours before it takes its place
    return descriptor, None


def _locked_file(directory: str) -> tuple[int, str]:
    """Made anew when a sweeper took it in the moment before it was locked."""
    while True:
        name = hidden(directory)
        descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(name):
            return descriptor, name
        os.close(descriptor)


def _place(descriptor: int, name: str | None, target: str) -> None:
    if name is None:
        try:
            _link(descriptor, target)
        except FileExistsError:
            directory = os.path.dirname(target)
            sweep(directory)
            name = hidden(directory)
            _link(descriptor, name)
    if name is not None:
        os.replace(name, target)


def _link(descriptor: int, name: str) -> None:
    # Only linkat with AT_SYMLINK_FOLLOW can name an unnamed file through /proc; os.link uses it when given a
    # directory, which the absolute paths then ignore.
    directory = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{descriptor}", os.path.abspath(name), src_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)


@contextlib.contextmanager
def staging(directory: str) -> Iterator[str]:
    """A hidden directory in ``directory``, to be renamed or emptied by the caller; gone at the end in any case."""
    stage, descriptor = _locked_stage(directory)
    try:
        yield stage
    finally:
        try:
            remove_tree(stage)
        finally:
            os.close(descriptor)  # last: without the lock a sweeper would remove it at the same time


def _locked_stage(directory: str) -> tuple[str, int]:
    """Made anew when a sweeper took it in the moment before it was locked."""
    while True:
        stage = hidden(directory)
        os.mkdir(stage)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.lexists(stage):
                return stage, descriptor
            os.close(descriptor)


@contextlib.contextmanager
def locked_directory(path: str) -> Iterator[None]:
    """Holds a lock that keeps two writers from one directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(directory: str) -> None:
    """Removes what killed writers left in ``directory``; what another user left is that user's to remove."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if name.startswith(_PREFIX):
            _remove_abandoned(path)


def _remove_abandoned(path: str) -> None:
    """Under its lock, if that can be had: whoever has just made it and waits for the lock then sees that it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        with contextlib.suppress(BlockingIOError, PermissionError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_tree(path)
    finally:
        os.close(descriptor)
