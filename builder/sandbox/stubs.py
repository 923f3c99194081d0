"""Mount points that a root filesystem lacks: made before a command, removed after it if still empty.

Both ends leave the time of the directory around them as it was, so that they leave no trace in the layer. /proc, /sys
and /dev are made for good (``enter``), unless something is to be mounted below one that is missing.
"""

import errno
import os
import stat

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Stub = tuple[bytes, int]
"""Absolute path inside the root, no part of it a link; the time of last change of the directory that it is made in, in
ns, or -1 when that is made as well."""


def missing(targets: list[bytes]) -> list[Stub]:
    """Everything that there is not yet of ``targets`` and their parents, parents first. Raises OSError.

    Only for a process whose root directory is the root filesystem, before anything is mounted in it.
    """
    found: dict[bytes, int] = {}
    for target in targets:
        path = os.path.realpath(target)
        while not os.path.lexists(path) and path not in found:
            parent = os.path.dirname(path)
            found[path] = os.stat(parent).st_mtime_ns if os.path.lexists(parent) else -1
            path = parent
    return sorted(found.items())


def make(target: bytes, directory: bool) -> bytes:
    """Makes ``target`` and its parents where they are missing. Raises OSError.

    Returns ``target`` with all links followed, here and not by the kernel: it would take ``..`` at the top of a root
    that is being set up for the old root, mounted there.
    """
    target = path = os.path.realpath(target)
    names: list[bytes] = []
    while not os.path.lexists(path):
        names.append(path)
        path = os.path.dirname(path)
    if not names:
        return target
    before = os.stat(path)
    for name in reversed(names):
        if directory or name != target:
            os.mkdir(name, 0o755)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return target


def remove(upper: bytes, made: list[Stub]) -> None:
    """Removes what is still empty of ``made`` from an overlay's upper directory, when the overlay is unmounted.

    The command may have put links in the way: every path is walked by descriptors, and given up at a link.
    """
    for path, time in reversed(made):
        parent = _open_parent(upper, path)
        if parent is None:
            continue
        try:
            _remove_empty(parent, os.path.basename(path), time)
        finally:
            os.close(parent)


def _open_parent(upper: bytes, path: bytes) -> int | None:
    here = os.open(upper, _DIRECTORY)
    for part in path.split(b"/")[1:-1]:
        try:
            below = os.open(part, _DIRECTORY, dir_fd=here)
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            os.close(here)
        here = below
    return here


def _remove_empty(parent: int, name: bytes, time: int) -> None:
    """``time`` as in Stub: where something stays in a directory of before, that directory has changed now."""
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    before = os.stat(b".", dir_fd=parent)
    if _removed(parent, name, found):
        os.utime(b".", dir_fd=parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif before.st_mtime_ns == time:
        os.utime(b".", dir_fd=parent)


def _removed(parent: int, name: bytes, found: os.stat_result) -> bool:
    if stat.S_ISDIR(found.st_mode):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        return True
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:
        os.unlink(name, dir_fd=parent)
        return True
    return False
