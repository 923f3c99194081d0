"""Entries into a directory of the user's: beside what is there, everything in place at once or nothing."""

import errno
import os
import stat
from collections.abc import Iterable

from layers.atomic import staging, sweep
from layers.entry import Entry
from layers.errors import PybuildError
from layers.unpack import unpack


class InTheWay(PybuildError):
    """Something in the directory that no file of the entries can replace."""

    code = "in-the-way"


def parent_of(path: str) -> str:
    """The nearest directory above ``path`` that exists."""
    parent = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    return parent


def write_files(entries: Iterable[Entry], dest: str) -> None:
    """Puts every entry below ``dest``, made with its parents if missing; files of the same name are replaced.

    All is unpacked into a hidden directory first, then renamed: with an error up to there ``dest`` is untouched.
    Raises InTheWay when a directory stands where a file goes, or the other way round.
    """
    new = not os.path.lexists(dest)
    # A rename must suffice: inside the directory when it exists, for it may be a mount point.
    where = os.path.dirname(os.path.abspath(dest)) if new else dest
    os.makedirs(where, exist_ok=True)
    sweep(where)
    with staging(where) as stage:
        unpack(entries, stage)
        if new and _renamed(stage, dest):
            return
        _check(stage, dest)
        _merge(stage, dest)


def _renamed(stage: str, dest: str) -> bool:
    """False when somebody else has made ``dest`` meanwhile."""
    try:
        os.rename(stage, dest)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        raise
    return True


def _check(stage: str, dest: str) -> None:
    for name in os.listdir(stage):
        new, old = os.path.join(stage, name), os.path.join(dest, name)
        if not os.path.lexists(old):
            continue
        directory = stat.S_ISDIR(os.lstat(new).st_mode)
        if directory != stat.S_ISDIR(os.lstat(old).st_mode):
            kind = "a directory" if directory else "not a directory"
            raise InTheWay(f"{old} is in the way: in the image it is {kind}", hint="remove it, or write elsewhere")
        if directory:
            _check(new, old)


def _merge(stage: str, dest: str) -> None:
    for name in sorted(os.listdir(stage)):
        new, old = os.path.join(stage, name), os.path.join(dest, name)
        status = os.lstat(new)
        if not stat.S_ISDIR(status.st_mode) or not os.path.lexists(old):
            os.replace(new, old)
            continue
        _merge(new, old)
        os.chmod(old, stat.S_IMODE(status.st_mode))
        os.utime(old, ns=(status.st_atime_ns, status.st_mtime_ns))
