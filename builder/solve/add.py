"""ADD: as COPY, but local archives among the sources are unpacked at the destination (reference 1.10, "ADD archive").

A source is an archive when a tar header can be read from it, compressed or not, whatever its name. Members are applied
in their order, as Docker does: below links of the destination, a directory over a link replaces it.
"""

import errno
import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from typing import IO

from builder.plan.graph import AddOp, WebFile
from builder.plan.listing import carried_xattr
from builder.plan.select import Root, Selection
from builder.solve.copy import placed_items
from builder.solve.pending import Pending
from builder.solve.placing import CannotPlace, NewDirectory, Owner, chain, destination, find_owner, show
from layers.entry import Entry, FileSource, Kind, StreamSource
from layers.errors import IntegrityError, SourceChanged, UnsafeArchive
from layers.listed import Item, expanded
from layers.tree import Tree, resolve

_HEADER = 512
_IN_MEMORY = 8 << 20
"""Bytes of unpacked files that are held in memory; more go to a temporary file without a name."""

_LARGE_FILES = "/var/tmp"  # noqa: S108 - only the directory: files in it have no name
_CHUNK = 1 << 20

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""NONBLOCK: a file that became a FIFO since it was listed must not stop the build."""
_CHANGED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})

Reader = Callable[[int], bytes]


def add_entries(op: AddOp, selection: Selection, dest: Tree, now_ns: int) -> Iterator[Entry]:
    """``add_items``, entry by entry."""
    return expanded(add_items(op, selection, dest, now_ns))


def add_items(op: AddOp, selection: Selection, dest: Tree, now_ns: int) -> Iterator[Item]:
    """The layer of ``op`` over ``dest``. Raises as ``copy_items`` does; UnsafeArchive and IntegrityError for an
    archive that cannot be read to its end."""
    owner = find_owner(op.chown, dest) if op.chown is not None and (selection.roots or selection.inline) else None
    archives = {number for number, root in enumerate(selection.roots) if _unpacks(root)}
    if not archives:
        yield from placed_items(op, selection, dest, owner, now_ns)
        return
    import tempfile

    pending = Pending(dest)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=_large_files()) as spool:
        unpacking = _Unpacking(pending, destination(op.dest, dest), owner, now_ns, spool)
        for number, root in enumerate(selection.roots):
            if number in archives:
                unpacking.unpack(root)
            else:
                _put_all(pending, expanded(placed_items(op, _only(selection, root), pending, owner, now_ns)))
        if selection.inline:
            inline = Selection(selection.tree, (), selection.inline)
            _put_all(pending, expanded(placed_items(op, inline, pending, owner, now_ns)))
        yield from pending.entries()


def _unpacks(root: Root) -> bool:
    """Archives over HTTP stay as they are, unless they were asked to be unpacked."""
    if isinstance(root.remote, WebFile) and not root.remote.unpack:
        return False
    return is_archive(root.entry)


def is_archive(entry: Entry) -> bool:
    """Whether a tar header comes first in the file, once decompressed."""
    if entry.kind is not Kind.FILE or not isinstance(entry.source, FileSource):
        return False
    from layers.compress import open_reader
    from layers.tarfmt import read_tar

    with open(_open(entry.source.path), "rb") as file:
        try:
            read = open_reader(file.read)
            first = _exactly(read, _HEADER)
            if len(first) < _HEADER or not any(first):
                return False
            next(read_tar(_Before(first, read).read, whiteouts=False), None)
        except (UnsafeArchive, IntegrityError):
            return False
    return True


def _open(path: bytes) -> int:
    """Raises SourceChanged for what is no regular file any more."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        if error.errno in _CHANGED:
            raise SourceChanged(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceChanged(path)
    return descriptor


def _only(selection: Selection, root: Root) -> Selection:
    return Selection(selection.tree, (root,), ())


def _put_all(pending: Pending, entries: Iterator[Entry]) -> None:
    for entry in entries:
        if entry.kind is Kind.HARDLINK and entry.link is not None:
            pending.link(entry, entry.link)
        else:
            pending.put(entry)


def _large_files() -> str | None:
    """Where large temporary files belong: /tmp is often memory. None for the platform's default."""
    return _LARGE_FILES if os.access(_LARGE_FILES, os.W_OK) else None


class _Before:
    """A reader with some bytes put back in front."""

    def __init__(self, first: bytes, rest: Reader) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int) -> bytes:
        if not self._first:
            return self._rest(size)
        data, self._first = self._first[:size], self._first[size:]
        return data


class _Hashed:
    """Reads a file and its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.state = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.state.update(data)
        return data


class _Slice:
    """Part of the spool, to be read once from its start (a StreamSource's ``read``); ``again`` gives it anew."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file = file
        self._whole = (start, size)
        self._at = start
        self._end = start + size

    def again(self) -> "_Slice":
        return _Slice(self._file, *self._whole)

    def __call__(self, size: int) -> bytes:
        self._file.seek(self._at)
        data = self._file.read(min(size, self._end - self._at))
        self._at += len(data)
        return data


class _Inside:
    """A directory of a tree as a root: links of an archive are followed inside of its destination only."""

    def __init__(self, tree: Tree, top: bytes) -> None:
        self._tree = tree
        self._top = top

    def lookup(self, path: bytes) -> Entry | None:
        return self._tree.lookup(join(self._top, path))

    def children(self, path: bytes) -> list[Entry]:
        return list(self._tree.children(join(self._top, path)))

    def sha256(self, entry: Entry) -> bytes:
        return self._tree.sha256(entry)


class _Unpacking:
    """Archives on their way into directory ``top`` of ``pending``; the bytes of their files go to ``spool``."""

    def __init__(self, pending: Pending, top: bytes, owner: Owner | None, now_ns: int, spool: IO[bytes]) -> None:
        self._pending = pending
        self._inside = _Inside(pending, top)
        self._top = top
        self._owner = owner
        self._top_rule = NewDirectory(0o755, owner, now_ns)
        # Directories an archive has files in without naming them are root's, whatever --chown says.
        self._implied_rule = NewDirectory(0o755, (0, 0), now_ns)
        self._spool = spool
        self._last: tuple[bytes, bytes] | None = None

    def unpack(self, root: Root) -> None:
        from layers.compress import open_reader
        from layers.tarfmt import read_tar

        source = root.entry.source
        assert isinstance(source, FileSource)
        self._carry(self._top, self._top_rule)
        with open(_open(source.path), "rb") as file:
            hashed = _Hashed(file)
            try:
                for member in read_tar(open_reader(hashed.read), whiteouts=False, whole=False):
                    self._put(member)
                while hashed.read(_CHUNK):
                    pass
            except (UnsafeArchive, IntegrityError) as error:
                name = root.name.decode(errors="backslashreplace")
                raise type(error)(f"cannot unpack {name}: {error.message}", hint=error.hint) from error
        if source.sha256 is not None and hashed.state.digest() != source.sha256:
            raise SourceChanged(source.path)

    def _carry(self, path: bytes, rule: NewDirectory) -> None:
        for entry in chain(self._pending, path, rule):
            if not self._pending.has(entry.path):
                self._pending.put(entry)

    def _put(self, member: Entry) -> None:
        path = _cleaned(member.path)
        if not path:
            return
        entry = self._owned(member._replace(path=self._place(path)))
        there = self._pending.lookup(entry.path)
        match entry.kind:
            case Kind.DIRECTORY:
                if there is not None and there.kind is Kind.DIRECTORY and there.xattrs:
                    xattrs = tuple(sorted({**dict(there.xattrs), **dict(entry.xattrs)}.items()))
                    entry = entry._replace(xattrs=xattrs)
                self._pending.put(entry)
            case Kind.HARDLINK:
                self._link(entry)
            case Kind.FILE:
                self._pending.put(entry._replace(source=self._stored(entry)))
            case _:
                self._pending.put(entry)

    def _owned(self, entry: Entry) -> Entry:
        uid, gid = self._owner or (entry.uid, entry.gid)
        xattrs = tuple(pair for pair in entry.xattrs if carried_xattr(pair[0])) if entry.xattrs else ()
        return entry._replace(uid=uid, gid=gid, xattrs=xattrs)

    def _place(self, path: bytes) -> bytes:
        """Where a member of this name goes: links among the directories above it are followed, the last name is not."""
        head, _, name = path.rpartition(b"/")
        if self._last is None or self._last[0] != head:
            real = join(self._top, resolve(self._inside, head))
            self._carry(real, self._implied_rule)
            self._last = (head, real)
        return join(self._last[1], name)

    def _link(self, entry: Entry) -> None:
        link = _cleaned(entry.link or b"")
        head, _, name = link.rpartition(b"/")
        target = join(join(self._top, resolve(self._inside, head)), name)
        file = self._pending.lookup(target)
        if file is None or file.kind is Kind.DIRECTORY or target == entry.path:
            raise CannotPlace(
                f"{show(entry.path)} is a hard link to {show(target)}, which is not there", hint="pack the archive anew"
            )
        if not self._pending.has(target):
            if file.kind is Kind.FILE and file.source is None:
                raise CannotPlace(
                    f"{show(entry.path)} is a hard link to {show(target)}, which is in an earlier layer",
                    hint="put the file itself into the archive",
                )
            self._carry(target.rpartition(b"/")[0], self._implied_rule)
            self._pending.put(file)
        if file.kind is Kind.FILE:
            self._pending.link(entry, target)
        else:
            self._pending.put(file._replace(path=entry.path))

    def _stored(self, entry: Entry) -> StreamSource:
        assert isinstance(entry.source, StreamSource)
        start = self._spool.seek(0, os.SEEK_END)
        size = 0
        while data := entry.source.read(_CHUNK):
            size += self._spool.write(data)
        if size != entry.size:
            raise IntegrityError(f"{show(entry.path)} has {size} bytes instead of {entry.size}")
        return StreamSource(_Slice(self._spool, start, size))


def join(top: bytes, path: bytes) -> bytes:
    return b"/".join(filter(None, (top, path)))


def _cleaned(path: bytes) -> bytes:
    """``..`` stops at the destination, as if it were the root."""
    return posixpath.normpath(b"/" + path).lstrip(b"/")


def _exactly(read: Reader, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := read(size - len(data))):
        data += more
    return data
