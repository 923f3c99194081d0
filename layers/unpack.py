"""Applies an entry stream below a directory, in overlay format, never through a link.

Foreign archives come in any order and with any names. What they can reach is bounded by ``descent``: each name is
opened in the directory before it. A later entry replaces an earlier one of the same path; whiteouts concern only the
layers below, wherever in the stream they come (image-spec layer.md, "Whiteouts").
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable

from layers import overlayfmt, owners
from layers.content import SMALL, Seen, chunks, show, small
from layers.descent import DIRECTORY, MAX_PATH, Descent, Place, set_metadata, set_xattrs
from layers.entry import Entry, Kind
from layers.errors import UnsafeArchive
from layers.making import write_all, write_sparse
from layers.specials import make_special, refuse_whiteout
from layers.tree import Tree
from layers.tuples import NamedTuple

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ARCHIVES_FAULT = frozenset(
    {errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EMLINK, errno.ENOENT}
)


def _go_on() -> None:
    """Nobody ends it."""


class Manner(NamedTuple):
    """``stand_ins``: device nodes that cannot be made are kept as files (``layers.owners``), else they are an error.
    ``check`` is called for every entry and every MiB: what it raises ends the work."""

    stand_ins: bool = False
    check: Callable[[], None] = _go_on


PLAIN = Manner()


def unpack(
    entries: Iterable[Entry],
    root: str,
    *,
    below: Tree | None = None,
    seen: Seen | None = None,
    manner: Manner = PLAIN,
) -> None:
    """Applies ``entries`` to the empty directory ``root``.

    ``below``: the layers below, merged. Directories that the stream lacks get their metadata from there, links in
    paths are resolved there, and hard links to a file of it copy that up. ``seen`` gets each entry as it was applied
    (and those implied), with the raw SHA-256 of a FILE's bytes.

    Raises UnsafeArchive for what would reach outside, what overlayfs would misread, and what cannot be applied;
    the errors of ``layers.content.chunks``; OSError (no space). The directory is then incomplete.
    """
    with Descent(root, below, seen) as descent:
        unpacker = _Unpacker(descent, seen, manner)
        for entry in entries:
            try:
                unpacker.apply(entry)
            except OSError as error:
                if error.errno in _ARCHIVES_FAULT:
                    raise UnsafeArchive(f"{show(entry.path[:200])}: {error.strerror}") from error
                raise
        unpacker.finish()


def _split(path: bytes, what: str = "") -> tuple[bytes, bytes]:
    """(directory, name). Raises UnsafeArchive for a path that leaves the root or that no system could open."""
    if len(path) > MAX_PATH:
        raise UnsafeArchive(f"{show(path[:80])}...{what} is {len(path)} bytes long; Linux allows {MAX_PATH}")
    if b".." in path and b".." in path.split(b"/"):
        raise UnsafeArchive(f"{show(path)}{what} leads out of the archive's root directory")
    if path[:1] in b"/":  # also true for an empty path
        raise UnsafeArchive(f"{path[:80]!r}{what} is not a name inside the archive's root directory")
    directory, _, name = path.rpartition(b"/")
    if name in {b"", b"."}:
        raise UnsafeArchive(f"{path[:80]!r}{what} names no file")
    return directory, name


class _Unpacker:
    def __init__(self, descent: Descent, seen: Seen | None, manner: Manner) -> None:
        self._descent = descent
        self._seen = seen
        self._stand_ins, self._check = manner
        self._root_opaque = False

    def apply(self, entry: Entry) -> None:
        self._check()
        if entry.kind is Kind.OPAQUE:
            self._tell(self._opaque(entry))
            return
        directory, name = _split(entry.path)
        place = self._descent.at(directory)
        if place.path != directory:
            entry = entry._replace(path=place.child(name))
        match entry.kind:
            case Kind.FILE:
                self._tell(entry, self._file(place, name, entry))
            case Kind.DIRECTORY:
                opaque = self._directory(place, name, entry)
                self._tell(entry)
                self._tell(opaque)
            case Kind.HARDLINK:
                self._tell(self._hardlink(place, name, entry))
            case Kind.WHITEOUT:
                self._tell(self._whiteout(place, name))
            case _:
                self._special(place, name, entry)
                self._tell(entry)

    def _tell(self, entry: Entry | None, digest: bytes | None = None) -> None:
        if self._seen is not None and entry is not None:
            self._seen(entry, digest)

    def finish(self) -> None:
        """An opaque root: overlayfs always merges roots, so each name below gets its own mark."""
        if not self._root_opaque:
            return
        place = self._descent.at(b"")
        for was in self._descent.children_below():
            self._whiteout(place, was.path)

    def _file(self, place: Place, name: bytes, entry: Entry) -> bytes | None:
        fd = self._create(place, name)
        try:
            digest = _write(fd, entry, self._check, hashed=self._seen is not None)
            set_metadata(fd, entry)
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(fd)
        return digest

    def _create(self, place: Place, name: bytes) -> int:
        try:
            return os.open(name, _CREATE, 0o600, dir_fd=place.fd)
        except FileExistsError:
            _remove(place.fd, name)
            return os.open(name, _CREATE, 0o600, dir_fd=place.fd)

    def _directory(self, place: Place, name: bytes, entry: Entry) -> Entry | None:
        """Gives an OPAQUE entry when the directory had to become one."""
        opaque = None
        try:
            made = self._descent.make(name, entry.mtime_ns, opaque=False)
        except FileExistsError:
            status = os.stat(name, dir_fd=place.fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                made = self._descent.enter(name)
                made.mtime_ns = entry.mtime_ns
                _clear_xattrs(made.fd)
            else:
                # What was there hid a directory below, whose content must not come back.
                os.unlink(name, dir_fd=place.fd)
                made = self._descent.make(name, entry.mtime_ns, opaque=True)
                opaque = Entry(made.path, Kind.OPAQUE)
        set_metadata(made.fd, entry)
        return opaque

    def _special(self, place: Place, name: bytes, entry: Entry) -> None:
        """Links, devices and FIFOs."""
        refuse_whiteout(entry)
        try:
            made = make_special(place.fd, name, entry, stand_ins=self._stand_ins)
        except FileExistsError:
            _remove(place.fd, name)
            made = make_special(place.fd, name, entry, stand_ins=self._stand_ins)
        if made:
            if owners.can_have(entry.uid, entry.gid):
                os.chown(name, entry.uid, entry.gid, dir_fd=place.fd, follow_symlinks=False)
            if entry.kind is not Kind.SYMLINK:
                os.chmod(name, entry.mode, dir_fd=place.fd)  # was just made: not a link
            if entry.xattrs:
                set_xattrs(f"/proc/self/fd/{place.fd}/{os.fsdecode(name)}", entry)
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=place.fd, follow_symlinks=False)

    def _whiteout(self, place: Place, name: bytes) -> Entry | None:
        """What this layer has itself stays; a directory of it no longer shows what is below."""
        try:
            overlayfmt.write_whiteout(name, place.fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=place.fd, follow_symlinks=False).st_mode):
                return None
            return self._opaque(Entry(place.child(name), Kind.OPAQUE))
        return Entry(place.child(name), Kind.WHITEOUT)

    def _opaque(self, entry: Entry) -> Entry:
        if not entry.path:
            self._root_opaque = True
            self._descent.root.hidden = True
            return entry
        _split(entry.path)
        place = self._descent.at(entry.path)
        overlayfmt.write_opaque(place.fd)
        place.hidden = True
        return entry._replace(path=place.path)

    def _hardlink(self, place: Place, name: bytes, entry: Entry) -> Entry:
        """Gives the entry with the first path as it was resolved."""
        directory, first = _split(entry.link or b"", f" (the link {show(entry.path)})")
        home = self._descent.at(directory)
        source = os.dup(home.fd)
        try:
            status = self._linked(home, first, entry)
            link = home.child(first)
            place = self._descent.at(place.path)
            if link != entry.path:
                _link(source, first, place.fd, name)
        finally:
            os.close(source)
        if stat.S_ISREG(status.st_mode):
            _apply_differences(place.fd, name, entry, status)
        return entry._replace(link=link)

    def _linked(self, home: Place, first: bytes, entry: Entry) -> os.stat_result:
        """The file a hard link names; copied up when only a layer below has it."""
        try:
            status = os.stat(first, dir_fd=home.fd, follow_symlinks=False)
        except FileNotFoundError:
            path = home.child(first)
            was = self._descent.below(home, path)
            if was is not None and was.kind is Kind.HARDLINK and was.link is not None:
                was = self._descent.below(home, was.link)
            if was is None or was.kind not in {Kind.FILE, Kind.SYMLINK} or (was.kind is Kind.FILE and not was.source):
                raise UnsafeArchive(
                    f"{show(entry.path)} is a hard link to {show(path)}, which is not in the archive"
                ) from None
            self.apply(was._replace(path=path))
            status = os.stat(first, dir_fd=self._descent.at(home.path).fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) or overlayfmt.is_whiteout(status):
            raise UnsafeArchive(f"{show(entry.path)} is a hard link to {show(entry.link or b'')}, which is no file")
        return status


def _apply_differences(directory: int, name: bytes, entry: Entry, status: os.stat_result) -> None:
    """What a hard link's header says otherwise than the file's, as containerd applies it.

    Nothing is set that is so already: any change of owner would drop capabilities, which not all writers repeat.
    """
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if owners.stands_for_device(fd):
            return
        if (*owners.owner_of(fd, status), stat.S_IMODE(status.st_mode)) != (entry.uid, entry.gid, entry.mode):
            owners.forget(fd)
            set_metadata(fd, entry)
        elif entry.xattrs:
            set_xattrs(fd, entry)
        if status.st_mtime_ns != entry.mtime_ns:
            os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
    finally:
        os.close(fd)


def _link(source: int, first: bytes, directory: int, name: bytes) -> None:
    def link() -> None:
        os.link(first, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)

    try:
        link()
    except FileExistsError:
        _remove(directory, name)
        link()


def _write(fd: int, entry: Entry, check: Callable[[], None], *, hashed: bool) -> bytes | None:
    """Writes a FILE's bytes, leaving out long runs of zeros; gives their digest when it is asked for."""
    if entry.size <= SMALL:
        data = small(entry)
        if data:
            write_all(fd, data)
        return hashlib.sha256(data).digest() if hashed else None
    digest = hashlib.sha256() if hashed else None
    for chunk in chunks(entry):
        check()
        if digest is not None:
            digest.update(chunk)
        write_sparse(fd, chunk)
    os.ftruncate(fd, entry.size)
    return None if digest is None else digest.digest()


def _clear_xattrs(fd: int) -> None:
    """Drops what an implied or earlier directory had, but the mark that hides what is below."""
    for name in os.listxattr(fd):
        if not overlayfmt.is_overlay_xattr(os.fsencode(name)):
            os.removexattr(fd, name)


def _remove(directory: int, name: bytes) -> None:
    """Removes what an earlier entry made, whatever it is."""
    try:
        os.unlink(name, dir_fd=directory)
    except IsADirectoryError:
        _remove_tree(directory, name)


def _remove_tree(directory: int, name: bytes) -> None:
    """By descriptors, and without recursion; the tree is at most ``descent.MAX_DEPTH`` deep."""
    fds: list[int] = [directory]
    names: list[bytes] = []
    inside = [[name]]
    try:
        while inside:
            if not inside[-1]:
                inside.pop()
                if len(fds) > 1:
                    os.close(fds.pop())
                    os.rmdir(names.pop(), dir_fd=fds[-1])
                continue
            part = inside[-1].pop()
            try:
                os.unlink(part, dir_fd=fds[-1])
            except IsADirectoryError:
                fds.append(os.open(part, DIRECTORY, dir_fd=fds[-1]))
                names.append(part)
                inside.append([os.fsencode(found) for found in os.listdir(fds[-1])])
    finally:
        for fd in fds[1:]:
            os.close(fd)
