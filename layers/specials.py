"""Links, FIFOs and device nodes, as ``unpack`` makes them."""

import os
import stat

from layers import owners
from layers.content import show
from layers.entry import Entry, Kind
from layers.errors import PybuildError, UnsafeArchive


def make_special(directory: int, name: bytes, entry: Entry, *, stand_ins: bool) -> bool:
    """Makes it in the directory with this descriptor. False when a file stands for it (``layers.owners``), which has
    its metadata already.

    Raises PybuildError for a device that cannot be made, unless ``stand_ins`` are allowed.
    """
    try:
        _make(directory, name, entry)
    except PermissionError:
        if entry.kind not in {Kind.CHAR, Kind.BLOCK}:
            raise
        if not stand_ins:
            raise PybuildError(
                f"{show(entry.path)} is a device node, which an ordinary user cannot make",
                hint="build as root, or write an archive (-o type=tar,dest=FILE) instead of a directory",
                code="device",
            ) from None
        owners.make_device(name, directory, entry)
        return False
    return True


def _make(directory: int, name: bytes, entry: Entry) -> None:
    match entry.kind:
        case Kind.SYMLINK:
            os.symlink(entry.link or b"", name, dir_fd=directory)
        case Kind.FIFO:
            os.mkfifo(name, 0o600, dir_fd=directory)
        case _:
            kind = stat.S_IFCHR if entry.kind is Kind.CHAR else stat.S_IFBLK
            os.mknod(name, kind | 0o600, os.makedev(*(entry.device or (0, 0))), dir_fd=directory)


def refuse_whiteout(entry: Entry) -> None:
    """Raises UnsafeArchive for a device that overlayfs would take for the mark of a deleted file."""
    if entry.kind in {Kind.CHAR, Kind.BLOCK} and entry.device in {None, (0, 0)}:
        raise UnsafeArchive(f"{show(entry.path)} is a device 0:0, which marks deleted files in overlay directories")
