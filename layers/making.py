"""Files made in the directory of a layer while it is packed: a RUN that stands on it need not wait for an archive to be
unpacked. Comes to what ``layers.unpack`` makes of the archive, or to nothing.

Meant for streams in order (layers.entry) of plain files, directories and links into a directory in which nothing is
yet: there is then no link on any path. What is anything else, and any trouble, makes the whole no longer ``kept``.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from layers import owners
from layers.content import SMALL
from layers.entry import Entry, Kind, is_reserved
from layers.tuples import NamedTuple

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SECOND = 1_000_000_000
_LATEST = 1 << 31
"""Seconds; beyond, file systems differ."""
_LINK_MODE = 0o777
_HOLE = 64 << 10
"""Runs of zeros of this length are not written; the file system's own blocks are smaller."""
_ZEROS = bytes(_HOLE)
_DEFAULT_ACL = "system.posix_acl_default"


class _Folder(NamedTuple):
    """A directory whose mode and time are set at the end."""

    path: bytes
    mode: int
    mtime_ns: int


class Maker:
    """Context manager. Several may work below one ``root``, each on other names; all must have made theirs before one
    of them has its ``finish``. ``exact``: this process has no umask."""

    def __init__(self, root: bytes, *, exact: bool = False) -> None:
        self.root = root
        self.kept = True
        """Whether everything so far is there."""
        self._top = os.open(root, _DIRECTORY)
        status = os.stat(root)
        self._mtime_ns = status.st_mtime_ns
        self._owner = status.st_uid, status.st_gid
        inherits = bool(status.st_mode & stat.S_ISGID) or self._owner != (os.geteuid(), os.getegid())
        inherits = inherits or _has_default_acl(root)
        self._owned = not inherits
        """Whether what is made here belongs to ``_owner`` by itself."""
        self._exact = exact and not inherits
        self._path: bytes | None = None
        self._folder = -1
        self._file = -1
        self._large = False
        """Whether holes are left in the file."""
        self._folders: list[_Folder] = []

    def file(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int, data: bytes | memoryview) -> None:
        """One without extended attributes."""
        self._try(lambda: self._make_file(path, mode, owner, mtime_ns, data))

    def directory(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        self._try(lambda: self._make_directory(path, mode, owner, mtime_ns))

    def begin(self, entry: Entry) -> None:
        """Anything; the bytes of a FILE come by ``write``, and then its ``end``."""
        self._try(lambda: self._begin(entry))

    def write(self, data: bytes | memoryview) -> None:
        if self._file >= 0:
            self._try(lambda: self._write(data))

    def end(self, entry: Entry) -> None:
        if self._file >= 0:
            self._try(lambda: self._end(self._file, entry))
            os.close(self._file)
            self._file = -1

    def finish(self) -> bool:
        """Sets what making files in directories has changed of them. Whether all was kept."""
        self._try(self._finish)
        return self.kept

    def _try(self, work: Callable[[], None]) -> None:
        if not self.kept:
            return
        try:
            work()
        except (OSError, NotKeptError):
            self.kept = False

    def _make_file(
        self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int, data: bytes | memoryview
    ) -> None:
        name = self._enter(path)
        descriptor = os.open(name, _CREATE, mode & 0o777 if self._exact else 0o600, dir_fd=self._folder)
        try:
            if len(data) > SMALL:
                write_sparse(descriptor, bytes(data))
                os.ftruncate(descriptor, len(data))
            else:
                write_all(descriptor, data)
            self._settle(descriptor, mode, owner, mtime_ns)
        finally:
            os.close(descriptor)

    def _write(self, data: bytes | memoryview) -> None:
        if self._large:
            write_sparse(self._file, bytes(data))
        else:
            write_all(self._file, data)

    def _end(self, descriptor: int, entry: Entry) -> None:
        if self._large:
            os.ftruncate(descriptor, entry.size)
        self._settle(descriptor, entry.mode, (entry.uid, entry.gid), entry.mtime_ns)

    def _settle(self, descriptor: int, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        if not self._owned or owner != self._owner:
            _check_owner(owner)
            os.fchown(descriptor, *owner)
        if not self._exact or mode > 0o777:
            os.fchmod(descriptor, mode)
        time = _time(mtime_ns)
        os.utime(descriptor, ns=(time, time))

    def _make_directory(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        name = self._enter(path)
        with suppress(FileExistsError):  # another one had files to make in it
            os.mkdir(name, 0o700, dir_fd=self._folder)
        if not self._owned or owner != self._owner:
            _check_owner(owner)
            os.chown(name, *owner, dir_fd=self._folder, follow_symlinks=False)
        self._folders.append(_Folder(path, mode, _time(mtime_ns)))

    def _begin(self, entry: Entry) -> None:
        path, kind, mode, uid, gid, mtime_ns, _, link, _, xattrs, _ = entry
        if xattrs:
            raise NotKeptError
        match kind:
            case Kind.FILE:
                name = self._enter(path)
                self._large = entry.size > SMALL
                self._file = os.open(name, _CREATE, mode & 0o777 if self._exact else 0o600, dir_fd=self._folder)
            case Kind.DIRECTORY:
                self._make_directory(path, mode, (uid, gid), mtime_ns)
            case Kind.SYMLINK:
                self._make_link(path, mode, (uid, gid), mtime_ns, link or b"")
            case Kind.HARDLINK:
                name = self._enter(path)
                os.link(link or b"", name, src_dir_fd=self._top, dst_dir_fd=self._folder, follow_symlinks=False)
            case _:
                raise NotKeptError

    def _make_link(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int, text: bytes) -> None:
        if mode != _LINK_MODE:
            raise NotKeptError  # links have no mode of their own
        name = self._enter(path)
        os.symlink(text, name, dir_fd=self._folder)
        if not self._owned or owner != self._owner:
            _check_owner(owner)
            os.chown(name, *owner, dir_fd=self._folder, follow_symlinks=False)
        time = _time(mtime_ns)
        os.utime(name, ns=(time, time), dir_fd=self._folder, follow_symlinks=False)

    def _enter(self, path: bytes) -> bytes:
        """The name of ``path`` in the directory that is then ``_folder``."""
        directory, _, name = path.rpartition(b"/")
        if directory != self._path:
            self._leave()
            if directory:
                self._folder = self._open(directory)
            else:
                self._folder = os.dup(self._top)
            self._path = directory
        return name

    def _open(self, directory: bytes) -> int:
        try:
            return os.open(directory, _DIRECTORY, dir_fd=self._top)
        except FileNotFoundError:
            parts = directory.split(b"/")
            for count in range(1, len(parts) + 1):
                with suppress(FileExistsError):  # made by another one meanwhile
                    os.mkdir(b"/".join(parts[:count]), 0o700, dir_fd=self._top)
            return os.open(directory, _DIRECTORY, dir_fd=self._top)

    def _leave(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
        self._folder, self._path = -1, None

    def _finish(self) -> None:
        self._leave()
        for path, mode, mtime_ns in reversed(
            self._folders
        ):  # one that may not be entered keeps nobody from those in it
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top)
            try:
                os.fchmod(descriptor, mode)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            finally:
                os.close(descriptor)
        os.utime(self.root, ns=(self._mtime_ns, self._mtime_ns))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._leave()
        if self._file >= 0:
            os.close(self._file)
        os.close(self._top)


class Unmade:
    """Makes nothing."""

    root = b""
    kept = False

    def file(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int, data: bytes | memoryview) -> None:
        pass

    def directory(self, path: bytes, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        pass

    def begin(self, entry: Entry) -> None:
        pass

    def write(self, data: bytes | memoryview) -> None:
        pass

    def end(self, entry: Entry) -> None:
        pass

    def finish(self) -> bool:
        return False


UNMADE = Unmade()


class NotKeptError(Exception):
    """An entry would not be the same in a directory."""


def as_archived(entries: Iterable[Entry]) -> Iterator[Entry]:
    """With times as an archive has them: a step sees the same whether the layer below was one before or not. Raises
    NotKeptError for what a directory does not keep, or no tar could hold."""
    for entry in entries:
        if not _lasts(entry):
            raise NotKeptError
        time = _time(entry.mtime_ns)
        yield entry._replace(mtime_ns=time) if time != entry.mtime_ns else entry


def _lasts(entry: Entry) -> bool:
    """But for its time. Links and FIFOs cannot have every owner (``layers.owners``), links no mode of their own."""
    if entry.kind in {Kind.SYMLINK, Kind.FIFO} and not owners.can_have(entry.uid, entry.gid):
        return False
    if entry.kind is Kind.SYMLINK and entry.mode != _LINK_MODE:
        return False
    if any(b"=" in name for name, _ in entry.xattrs):
        return False
    return not is_reserved(entry.path)


def _has_default_acl(root: bytes) -> bool:
    try:
        return _DEFAULT_ACL in os.listxattr(root)
    except OSError:
        return False


def _check_owner(owner: tuple[int, int]) -> None:
    if not owners.can_have(*owner):
        raise NotKeptError


def _time(mtime_ns: int) -> int:
    """As archives have it."""
    seconds = mtime_ns // _SECOND
    if not 0 <= seconds < _LATEST:
        raise NotKeptError
    return seconds * _SECOND


def write_all(fd: int, data: bytes | memoryview) -> None:
    written = os.write(fd, data)
    while written < len(data):
        data = memoryview(data)[written:]
        written = os.write(fd, data)


def write_sparse(fd: int, chunk: bytes) -> None:
    """Long runs of zeros are left out: what is behind the last byte that was written is for ``ftruncate``."""
    start = 0
    for at in range(0, len(chunk), _HOLE):
        if not chunk[at] and _ZEROS.startswith(piece := chunk[at : at + _HOLE]):
            if at > start:
                write_all(fd, memoryview(chunk)[start:at])
            os.lseek(fd, len(piece), os.SEEK_CUR)
            start = at + len(piece)
    if start < len(chunk):
        write_all(fd, memoryview(chunk)[start:])
