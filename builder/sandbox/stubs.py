"""Mount points that a root filesystem lacks: made before a command, removed after it if still empty.

Both ends leave the time of the directory around them as it was, so that they leave no trace in the layer.
"""

import errno
import os
import stat

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Stub = tuple[bytes, bool]
"""Absolute path inside the root, no part of it a link when it was made; whether it is a directory."""


def make(target: bytes, directory: bool, made: list[Stub], root: bytes = b"/") -> bytes:
    """Makes ``target`` and its parents where they are missing, and appends them to ``made``, outermost first.

    Only for a process whose root directory is the root filesystem. Returns ``target`` with all links followed, here and
    not by the kernel: it would take ``..`` at the top of a root that is being set up for the old root, mounted there.
    What lies on another file system than ``root`` (a mount of ours) goes away with it and is not noted. Raises OSError.
    """
    target = path = os.path.realpath(target)
    missing: list[Stub] = []
    while not os.path.lexists(path):
        missing.append((path, True if missing else directory))
        path = os.path.dirname(path)
    if not missing:
        return target
    before = os.stat(path)
    for name, is_directory in reversed(missing):
        if is_directory:
            os.mkdir(name, 0o755)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if before.st_dev == os.stat(root).st_dev:
        made += reversed(missing)
    return target


def remove(upper: bytes, made: list[Stub]) -> None:
    """Removes what is still empty of ``made`` from an overlay's upper directory, when the overlay is unmounted.

    The command may have put links in the way: every path is walked by descriptors, and given up at a link.
    """
    for path, is_directory in reversed(made):
        parent = _open_parent(upper, path)
        if parent is None:
            continue
        try:
            _remove_empty(parent, os.path.basename(path), is_directory)
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


def _remove_empty(parent: int, name: bytes, is_directory: bool) -> None:
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return
    before = os.stat(b".", dir_fd=parent)
    if is_directory and stat.S_ISDIR(found.st_mode):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return
            raise
    elif not is_directory and stat.S_ISREG(found.st_mode) and found.st_size == 0:
        os.unlink(name, dir_fd=parent)
    else:
        return
    os.utime(b".", dir_fd=parent, ns=(before.st_atime_ns, before.st_mtime_ns))
