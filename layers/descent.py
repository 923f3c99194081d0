"""Where ``unpack`` stands in the directory it fills: a chain of open descriptors, from the root to one directory.

Every step opens one name, with O_NOFOLLOW, in the directory before it. Links that lie in a path are read and resolved
here, as if the layer's merged file system were the root directory, so that nothing outside can be reached.
"""

import os
import stat
from typing import Self

from layers import overlayfmt, owners
from layers.content import Seen, show
from layers.entry import Entry, Kind
from layers.errors import UnsafeArchive
from layers.tree import MAX_LINKS, Tree

MAX_PATH = 4096
"""PATH_MAX: longer ones no program could open."""
MAX_DEPTH = 256
"""Each directory of a path holds one descriptor while something is written below it; 1024 are a usual limit."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """One open directory. Its mtime is set when it is left, so that what was written in it does not show.

    ``hidden``: nothing of the layers below is seen in it.
    """

    __slots__ = ("fd", "hidden", "mtime_ns", "path")

    def __init__(self, path: bytes, fd: int, mtime_ns: int, *, hidden: bool) -> None:
        self.path = path
        self.fd = fd
        self.mtime_ns = mtime_ns
        self.hidden = hidden

    def child(self, name: bytes) -> bytes:
        return self.path + b"/" + name if self.path else name

    def leave(self) -> None:
        os.utime(self.fd, ns=(self.mtime_ns, self.mtime_ns))
        os.close(self.fd)


class Descent:
    """The chain. ``place`` is where it ends."""

    def __init__(self, root: str, below: Tree | None, seen: Seen | None) -> None:
        fd = os.open(root, DIRECTORY)
        self._below = below
        self._seen = seen
        self.place = Place(b"", fd, os.fstat(fd).st_mtime_ns, hidden=below is None)
        self._chain = [self.place]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self._up_to_root()
            self.root.leave()
        else:
            for place in self._chain:
                os.close(place.fd)

    @property
    def root(self) -> Place:
        return self._chain[0]

    def below(self, place: Place, path: bytes) -> Entry | None:
        """What the layers below show at ``path``, which lies in ``place``."""
        return None if place.hidden or self._below is None else self._below.lookup(path)

    def children_below(self) -> list[Entry]:
        """What the layers below have in the root."""
        return list(self._below.children(b"")) if self._below is not None else []

    def at(self, directory: bytes) -> Place:
        """Goes to ``directory`` and gives where that is, which is elsewhere when the path goes through links.

        Missing directories are made, with the metadata they have below, else 0755 of root. Raises UnsafeArchive when
        something else than a directory or link is in the way.
        """
        if directory == self.place.path:
            return self.place
        while self.place.path not in {b"", directory} and not directory.startswith(self.place.path + b"/"):
            self._up()
        todo = directory[len(self.place.path) :].split(b"/")
        todo.reverse()
        followed = 0
        while todo:
            part = todo.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":  # only links' texts have it: unpack refuses it in names
                self._up()
                continue
            link = self._down(part)
            if link is None:
                continue
            followed += 1
            if followed > MAX_LINKS:
                raise UnsafeArchive(f"{show(directory)} goes through a loop of links")
            if link.startswith(b"/"):
                self._up_to_root()
            todo += reversed(link.split(b"/"))
        return self.place

    def make(self, name: bytes, mtime_ns: int, *, opaque: bool) -> Place:
        """Makes directory ``name``, which is not there, and goes into it. ``opaque``: it hides what is below."""
        parent = self.place
        os.mkdir(name, 0o700, dir_fd=parent.fd)
        place = self._open(name, hidden=parent.hidden or opaque)
        place.mtime_ns = mtime_ns
        if opaque:
            overlayfmt.write_opaque(place.fd)
        return place

    def enter(self, name: bytes) -> Place:
        """Goes into directory ``name``. Raises OSError when it is missing or no directory."""
        place = self._open(name, hidden=self.place.hidden)
        place.hidden = place.hidden or overlayfmt.is_opaque(place.fd)
        return place

    def _open(self, name: bytes, *, hidden: bool) -> Place:
        if len(self._chain) > MAX_DEPTH:
            raise UnsafeArchive(f"{show(self.place.path[:80])}... lies in more than {MAX_DEPTH} directories")
        path = self.place.child(name)
        fd = os.open(name, DIRECTORY, dir_fd=self.place.fd)
        self.place = Place(path, fd, os.fstat(fd).st_mtime_ns, hidden=hidden)
        self._chain.append(self.place)
        return self.place

    def _up(self) -> None:
        if len(self._chain) > 1:
            self.place.leave()
            self._chain.pop()
            self.place = self._chain[-1]

    def _up_to_root(self) -> None:
        while len(self._chain) > 1:
            self._up()

    def _down(self, name: bytes) -> bytes | None:
        """Goes into ``name``, made if it is missing; gives a link's text instead of following it."""
        try:
            self.enter(name)
        except FileNotFoundError:
            return self._missing(name)
        except OSError:
            return self._obstacle(name)
        return None

    def _missing(self, name: bytes) -> bytes | None:
        path = self.place.child(name)
        was = self.below(self.place, path)
        if was is None:
            self._implicit(Entry(path, Kind.DIRECTORY, 0o755), name, opaque=False)
            return None
        match was.kind:
            case Kind.DIRECTORY:
                self._implicit(was, name, opaque=False)
                return None
            case Kind.SYMLINK:
                return was.link or b""
            case _:
                raise UnsafeArchive(f"{show(path)} is a {was.kind.value} in a layer below, and a directory here")

    def _obstacle(self, name: bytes) -> bytes | None:
        path = self.place.child(name)
        status = os.stat(name, dir_fd=self.place.fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=self.place.fd)
        if not overlayfmt.is_whiteout(status):
            raise UnsafeArchive(f"{show(path)} is no directory, but the archive has files below it")
        os.unlink(name, dir_fd=self.place.fd)
        self._implicit(Entry(path, Kind.DIRECTORY, 0o755), name, opaque=True)
        return None

    def _implicit(self, entry: Entry, name: bytes, *, opaque: bool) -> None:
        place = self.make(name, entry.mtime_ns, opaque=opaque)
        set_metadata(place.fd, entry)
        if self._seen is not None:
            self._seen(entry._replace(path=place.path, source=None), None)
            if opaque:
                self._seen(Entry(place.path, Kind.OPAQUE), None)


def set_metadata(fd: int, entry: Entry) -> None:
    """Owner, mode and attributes of an open file, in this order: a change of owner drops setuid and capabilities."""
    owners.give(fd, entry.uid, entry.gid)
    os.fchmod(fd, entry.mode)
    if entry.xattrs:
        set_xattrs(fd, entry)


def set_xattrs(file: int | str, entry: Entry) -> None:
    """``file``: a descriptor, or a path that is not followed if it is a link."""
    for name, value in entry.xattrs:
        if overlayfmt.is_reserved_xattr(name):
            continue  # from a foreign layer, they would hide files, redirect elsewhere or give to others
        try:
            os.setxattr(file, name, value, follow_symlinks=isinstance(file, int))
        except OSError as error:
            raise UnsafeArchive(
                f"{show(entry.path)}: cannot set the extended attribute {show(name)}: {error.strerror}",
                hint="the store's file system must support extended attributes, and this one must be valid",
            ) from error
