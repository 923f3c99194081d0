"""What files of a layer cannot have on disk when a user namespace lacks it, kept beside them: owners and device nodes.

An owner whose ids are not in the namespace (``layers.idmap``) is kept in the attribute ``user.pybuild.owner`` of a file
or directory that belongs to root. Overlayfs copies such attributes with the file. Links and FIFOs cannot have any: they
come to belong to root. A device node, which nobody can make in a namespace (nor root without CAP_MKNOD), is an empty
file of mode 0 that belongs to root and has the attribute ``user.pybuild.device``.

Commands of an image can set these attributes too. They gain nothing by it: only ids that no command can have are taken
from them, and only what root alone can write to is taken for a device.
"""

import os
import stat

from layers.entry import Entry, Kind
from layers.errors import StoreError
from layers.processids import current

PREFIX = b"user.pybuild."
_TEXT = PREFIX.decode()
OWNER = PREFIX + b"owner"
DEVICE = PREFIX + b"device"

Xattrs = tuple[tuple[bytes, bytes], ...]
_ROOT = (0, 0)
_KINDS = {Kind.CHAR: b"c", Kind.BLOCK: b"b"}
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def give(fd: int, uid: int, gid: int) -> None:
    """Makes an open file or directory belong to these ids, whether the namespace has them or not."""
    if (uid, gid) == _ROOT or current().has(uid, gid):
        os.fchown(fd, uid, gid)
        return
    os.fchown(fd, 0, 0)
    os.setxattr(fd, OWNER, b"%d:%d" % (uid, gid))


def can_have(uid: int, gid: int) -> bool:
    """Whether a file on disk can belong to these ids."""
    return (uid, gid) == _ROOT or current().has(uid, gid)


def owner(status: os.stat_result, xattrs: Xattrs) -> tuple[int, int]:
    """To whom a file of a layer belongs."""
    found = status.st_uid, status.st_gid
    if found != _ROOT or not xattrs:
        return found
    value = dict(xattrs).get(OWNER)
    if value is None:
        return found
    uid, _, gid = value.partition(b":")
    if not (uid.isdigit() and gid.isdigit()) or len(value) > 21 or current().has(int(uid), int(gid)):
        return found
    return int(uid), int(gid)


def owner_of(file: int | bytes, status: os.stat_result) -> tuple[int, int]:
    """``owner`` of an open file, or of one by its path."""
    found = status.st_uid, status.st_gid
    return found if current().whole or found != _ROOT else owner(status, _xattrs(file))


def forget(fd: int) -> None:
    """Takes away what ``give`` may have noted."""
    if not current().whole and OWNER in dict(_xattrs(fd)):
        os.removexattr(fd, OWNER)


def stands_for_device(fd: int) -> bool:
    return DEVICE in dict(_xattrs(fd))


def _xattrs(file: int | bytes) -> Xattrs:
    """Ours."""
    follow = isinstance(file, int)
    names = [name for name in os.listxattr(file, follow_symlinks=follow) if name.startswith(_TEXT)]
    return tuple((os.fsencode(name), os.getxattr(file, name, follow_symlinks=follow)) for name in names)


def make_device(name: bytes, directory: int, entry: Entry) -> None:
    """The stand-in of a CHAR or BLOCK entry, with all of its metadata but the time and attributes."""
    fd = os.open(name, _CREATE, 0, dir_fd=directory)
    try:
        os.fchmod(fd, 0)
        numbers = *(entry.device or (0, 0)), entry.mode, entry.uid, entry.gid
        os.setxattr(fd, DEVICE, b"%s %d %d %o %d %d" % (_KINDS[entry.kind], *numbers))
    finally:
        os.close(fd)


def device(path: bytes, status: os.stat_result, xattrs: Xattrs) -> Entry | None:
    """The CHAR or BLOCK entry that a file stands for; None for all that are what they seem.

    Raises StoreError for one that a command has changed: what it wanted cannot be known.
    """
    value = dict(xattrs).get(DEVICE)
    if value is None or not stat.S_ISREG(status.st_mode):
        return None
    words = value.split()
    changed = stat.S_IMODE(status.st_mode) or status.st_size or (status.st_uid, status.st_gid) != _ROOT
    if changed or len(words) != 6 or words[0] not in _KINDS.values() or not all(map(bytes.isdigit, words[1:])):
        raise StoreError(
            f"/{path.decode(errors='backslashreplace')} is a device node of the image, which a command has changed",
            hint="an ordinary user's builds cannot do that: build as root, or leave the file as it is",
        )
    kind = Kind.CHAR if words[0] == b"c" else Kind.BLOCK
    major, minor, uid, gid = (int(words[place]) for place in (1, 2, 4, 5))
    return Entry(path, kind, int(words[3], 8), uid, gid, status.st_mtime_ns, device=(major, minor))
