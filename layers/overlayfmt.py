"""The overlay format of a layer's directory: what the kernel leaves in an upper directory and reads in a lower.

A deleted file is a character device 0:0; a directory that hides what is below it has the attribute
``user.overlay.opaque`` (``trusted.overlay.opaque`` where the kernel refused ``userxattr``) with the value ``y``
(kernel documentation, filesystems/overlayfs.rst, "whiteouts and opaque directories"). This is the only place that
knows.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import zip_longest

from layers.content import chunks
from layers.entry import Entry, FileSource, Kind
from layers.errors import StoreError
from layers.owners import PREFIX, device, owner
from layers.tree import Tree

_NAMESPACES = (b"user.overlay.", b"trusted.overlay.")
_RESERVED = (*_NAMESPACES, PREFIX)
OPAQUE_XATTR = b"user.overlay.opaque"
_OPAQUE = frozenset((name + b"opaque", b"y") for name in _NAMESPACES)
_INCOMPLETE = frozenset(name + feature for name in _NAMESPACES for feature in (b"redirect", b"metacopy"))
_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
}


def is_overlay_xattr(name: bytes) -> bool:
    """Whether the attribute belongs to overlayfs itself and so to no image."""
    return name.startswith(_NAMESPACES)


def is_reserved_xattr(name: bytes) -> bool:
    """Whether the attribute is overlayfs's or ours (``layers.owners``): no image has it."""
    return name.startswith(_RESERVED)


def is_portable_xattr(name: bytes) -> bool:
    """Whether a layer carries the attribute: not what the host's security modules and ACLs wrote beside the file.

    BuildKit leaves out all of ``security.`` and ``system.`` but the capabilities.
    """
    if name.startswith(_RESERVED):
        return False
    return name == b"security.capability" or not name.startswith((b"security.", b"system."))


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def write_whiteout(name: bytes, directory: int) -> None:
    """Makes the mark of a deleted ``name`` in the directory with this descriptor. FileExistsError if it is there."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=directory)


def write_opaque(directory: int) -> None:
    """Marks the directory with this descriptor as hiding what is below it."""
    os.setxattr(directory, OPAQUE_XATTR, b"y")


def is_opaque(directory: int | bytes) -> bool:
    names = os.listxattr(directory)
    return any(
        name.endswith(".overlay.opaque") and (os.fsencode(name), os.getxattr(directory, name)) in _OPAQUE
        for name in names
    )


def read_xattrs(path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """All extended attributes of a file (links are not followed), sorted by name."""
    names = os.listxattr(path, follow_symlinks=False)
    if not names:
        return ()
    return tuple(sorted((os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)) for name in names))


def entry_of(path: bytes, status: os.stat_result, host: bytes, xattrs: tuple[tuple[bytes, bytes], ...]) -> Entry:
    """The entry of the file at ``host``, which is neither a whiteout nor a socket; not portable xattrs are left out."""
    stood_for = device(path, status, xattrs) if xattrs else None
    if stood_for is not None:
        return stood_for
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    is_file = kind is Kind.FILE
    uid, gid = owner(status, xattrs)
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        uid,
        gid,
        status.st_mtime_ns,
        status.st_size if is_file else 0,
        os.readlink(host) if kind is Kind.SYMLINK else None,
        (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in {Kind.CHAR, Kind.BLOCK} else None,
        tuple(pair for pair in xattrs if is_portable_xattr(pair[0])) if xattrs else (),
        FileSource(host) if is_file else None,
    )


def read_upper(upper: str, below: Tree) -> Iterator[Entry]:
    """The changes an upper directory makes to the tree ``below``, in stream order.

    What equals the tree below is left out (a copy-up that changed nothing, a deletion of nothing), but for the
    directories above a change. Times count in whole seconds, all that a layer keeps; a directory's own time does not
    count: as with BuildKit, a step that only used /tmp changes nothing. Names of one inode are HARDLINKs with the
    metadata of the first; sockets are skipped. The root has no entry, even when its metadata changed.

    Raises StoreError for directories written with overlay features (redirect, metacopy) whose layers are incomplete.
    """
    return _Walk(below).entries(os.fsencode(upper))


class _Walk:
    def __init__(self, below: Tree) -> None:
        self._below = below
        self._links: dict[tuple[int, int], bytes] = {}

    def entries(self, upper: bytes) -> Iterator[Entry]:
        stack = [_Level(upper, None, hidden=False)]
        while stack:
            level = stack[-1]
            item = next(level.items, None)
            if item is None:
                stack.pop()
                continue
            path = level.prefix + item.name
            was = None if level.hidden else self._below.lookup(path)
            status = item.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                yield from self._directory(item.path, path, status, was, stack)
            else:
                entry = self._entry(item.path, path, status, was)
                if entry is not None:
                    yield from _flush(stack)
                    yield entry

    def _directory(
        self, host: bytes, path: bytes, status: os.stat_result, was: Entry | None, stack: list["_Level"]
    ) -> Iterator[Entry]:
        """Enters a directory; yields it at once when it is a change itself."""
        xattrs = read_xattrs(host)
        _refuse_incomplete(host, xattrs)
        entry = entry_of(path, status, host, xattrs)
        merges = was is not None and was.kind is Kind.DIRECTORY
        opaque = merges and not _OPAQUE.isdisjoint(xattrs)
        stack.append(_Level(host, entry, hidden=opaque or not merges))
        if opaque or was is None or not same_metadata(entry, was):
            yield from _flush(stack)
        if opaque:
            yield Entry(path, Kind.OPAQUE)

    def _entry(self, host: bytes, path: bytes, status: os.stat_result, was: Entry | None) -> Entry | None:
        if is_whiteout(status) or stat.S_ISSOCK(status.st_mode):
            # A socket is in no layer, but what it replaced is gone.
            return Entry(path, Kind.WHITEOUT) if was is not None else None
        xattrs = read_xattrs(host)
        _refuse_incomplete(host, xattrs)
        entry = entry_of(path, status, host, xattrs)
        if status.st_nlink > 1:
            # All names stay, changed or not: to drop one would part it from the others.
            inode = status.st_dev, status.st_ino
            first = self._links.setdefault(inode, path)
            if first != path:
                return entry._replace(kind=Kind.HARDLINK, link=first, size=0, source=None, device=None)
            return entry
        return None if was is not None and self._same(entry, was) else entry

    def _same(self, entry: Entry, was: Entry) -> bool:
        if was.kind is Kind.HARDLINK and entry.kind is Kind.FILE and was.link is not None:
            first = self._below.lookup(was.link)
            if first is None or first.kind is not Kind.FILE:
                return False
            was = first
        return (
            same_metadata(entry, was)
            and entry.mtime_ns // 1_000_000_000 == was.mtime_ns // 1_000_000_000
            and (entry.size, entry.link, entry.device) == (was.size, was.link, was.device)
            and (entry.kind is not Kind.FILE or not entry.size or self._same_content(entry, was))
        )

    def _same_content(self, entry: Entry, was: Entry) -> bool:
        if isinstance(was.source, FileSource):
            return all(new == old for new, old in zip_longest(chunks(entry), chunks(was)))
        digest = hashlib.sha256()
        for chunk in chunks(entry):
            digest.update(chunk)
        return digest.digest() == self._below.sha256(was)


class _Level:
    """A directory being walked. ``entry`` is its own, until it is yielded; ``hidden``: nothing below is seen in it."""

    __slots__ = ("entry", "hidden", "items", "prefix")

    def __init__(self, host: bytes, entry: Entry | None, *, hidden: bool) -> None:
        with os.scandir(host) as items:
            self.items = iter(sorted(items, key=_name))
        self.prefix = entry.path + b"/" if entry is not None else b""
        self.entry = entry
        self.hidden = hidden


def _flush(stack: list[_Level]) -> Iterator[Entry]:
    """The directories that lead to a change and were not yielded yet, outermost first."""
    if stack[-1].entry is None:
        return
    for level in stack:
        if level.entry is not None:
            yield level.entry
            level.entry = None


def _name(item: os.DirEntry[bytes]) -> bytes:
    return item.name


def same_metadata(entry: Entry, was: Entry) -> bool:
    """Whether both are of one kind, with the same mode, owner and attributes."""
    return (entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs) == (
        was.kind,
        was.mode,
        was.uid,
        was.gid,
        was.xattrs,
    )


def _refuse_incomplete(host: bytes, xattrs: tuple[tuple[bytes, bytes], ...]) -> None:
    for name, _ in xattrs:
        if name in _INCOMPLETE:
            raise StoreError(
                f"{os.fsdecode(host)} was written by an overlay mount with redirect_dir or metacopy on",
                hint="pybuild mounts with both off; remove the layer with `pybuild prune` and build again",
            )
