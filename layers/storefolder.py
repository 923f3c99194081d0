"""The directory of a store: where one can be, whose it is, and what a new one gets."""

import fcntl
import os
import struct
from contextlib import suppress

from layers.errors import StoreError
from layers.leases import Gate
from layers.schema import VERSION, Database

FOLDERS = ("blobs", "snapshots", "indexes", "leases", "tmp")

MOUNTS = "/proc/self/mountinfo"

_LONG = struct.calcsize("l")
_GET_FLAGS, _SET_FLAGS = (2 << 30 | _LONG << 16 | 0x6601), (1 << 30 | _LONG << 16 | 0x6602)
_TOP_DIRECTORY = 0x20000
"""FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_TOPDIR_FL: linux/fs.h; ioctl_iflags(2)."""


def prepare(root: str, database: Database, gate: Gate) -> None:
    """Makes the folders and the tables of a new store, and the tables that an older one lacks.

    Raises StoreError for a place where no store can be, one of a newer version, and one of somebody else.
    """
    if os.path.isdir(root) and not os.access(root, os.W_OK | os.X_OK):
        raise StoreError(
            f"the store {root} is not writable: it is another user's, or on a read-only file system",
            hint="choose another one with --root or PYBUILD_ROOT",
        )
    if not _is_ours(os.path.join(root, "store.db"), root) or database.version() < VERSION:
        _make_folder(root)
        refuse_overlay(root)
        for folder in FOLDERS:
            os.makedirs(os.path.join(root, folder), 0o700, exist_ok=True)
        spread(os.path.join(root, "tmp"))
        with gate.exclusive():
            database.create()
    version = database.version()
    if version != VERSION:
        raise StoreError(
            f"{root} is a store of version {version}; this pybuild knows version {VERSION}",
            hint="use the pybuild that made it, or another --root",
        )


def spread(directory: str) -> None:
    """Asks ext4 to begin each directory made in ``directory`` in another part of the disk, where much is free. Without
    it new layers go where others were just deleted; an ext4 without a journal takes none of their inodes for minutes
    and looks at each one again for each new file, which makes thousands of files several times slower. Other file
    systems do not know the flag.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            flags = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(4)))[0]
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags | _TOP_DIRECTORY))
    finally:
        os.close(descriptor)


def _is_ours(path: str, root: str) -> bool:
    """False when the store is not there yet. Raises StoreError when it is somebody else's."""
    try:
        owner = os.stat(path).st_uid
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        owner = -1
    if owner != os.geteuid():
        raise StoreError(
            f"the store {root} belongs to another user",
            hint="choose another one with --root or PYBUILD_ROOT, or run pybuild as its owner",
        )
    return True


def _make_folder(root: str) -> None:
    try:
        os.makedirs(root, 0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the store {root} cannot be made: {error.strerror}",
            hint="choose another place with --root or PYBUILD_ROOT",
        ) from error


def refuse_overlay(path: str) -> None:
    """Raises StoreError on overlayfs, on which no overlay can be mounted (proc(5), mountinfo)."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == number and fields[fields.index("-") + 1] == "overlay":
                raise StoreError(
                    f"{path} is on an overlay file system, on which layers cannot be stacked",
                    hint="in a container, put the store on a volume: -v pybuild:/var/lib/pybuild",
                )
