"""The root filesystem without layers: ``type=tar`` (an archive) and ``type=local`` (a directory).

Deleted files are absent and owners are kept in archives; a directory belongs to whoever runs pybuild. With
SOURCE_DATE_EPOCH every file has that time, as with BuildKit.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from builder.output.target import Finished, Progress, check_directory, check_file, opened
from layers.compress import Compression
from layers.entry import Entry, FileSource, Kind
from layers.image import Descriptor
from layers.localdir import parent_of, write_files
from layers.store import Store
from layers.tarwrite import write_tar
from layers.tree import Tree
from layers.tuples import NamedTuple


class Owner(NamedTuple):
    uid: int
    gid: int


def flatten(tree: Tree, *, epoch: int | None = None, owner: Owner | None = None) -> Iterator[Entry]:
    """Every file of ``tree`` in stream order. Names of one file of one layer become hard links again."""
    first: dict[tuple[int, int], bytes] = {}
    pending = [iter(tree.children(b""))]
    while pending:
        entry = next(pending[-1], None)
        if entry is None:
            pending.pop()
            continue
        if entry.kind is Kind.DIRECTORY:
            pending.append(iter(tree.children(entry.path)))
        changed = _linked(entry, first)
        if epoch is not None:
            changed = changed._replace(mtime_ns=epoch * 1_000_000_000)
        if owner is not None:
            changed = changed._replace(uid=owner.uid, gid=owner.gid)
        yield changed


def _linked(entry: Entry, first: dict[tuple[int, int], bytes]) -> Entry:
    if entry.kind is not Kind.FILE or not isinstance(entry.source, FileSource):
        return entry
    status = os.lstat(entry.source.path)
    if status.st_nlink == 1:
        return entry
    path = first.setdefault((status.st_dev, status.st_ino), entry.path)
    return entry if path == entry.path else entry._replace(kind=Kind.HARDLINK, link=path, size=0, source=None)


class RootTar:
    compression: Compression | None = None

    def __init__(self, dest: str) -> None:
        self._dest = dest

    def check(self) -> None:
        check_file(self._dest)

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor | None:
        tree = store.tree(image.rootfs, contents=True, listener=progress.fetching)
        with opened(self._dest) as write:
            write_tar(flatten(tree, epoch=image.epoch), progress.counting(write))
        return None


def _checked(entries: Iterable[Entry], check: Callable[[], None]) -> Iterator[Entry]:
    for entry in entries:
        check()
        yield entry


class LocalDirectory:
    """Files are put among what is in the directory and replace those of the same name; nothing else is touched."""

    compression: Compression | None = None

    def __init__(self, dest: str) -> None:
        self._dest = dest

    def check(self) -> None:
        path = Path(self._dest)
        there = path.exists() or path.is_symlink()
        check_directory(self._dest if there else parent_of(self._dest), self._dest)

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor | None:
        owner = Owner(os.geteuid(), os.getegid())
        tree = store.tree(image.rootfs, contents=True, listener=progress.fetching)
        write_files(_checked(flatten(tree, epoch=image.epoch, owner=owner), progress.check), self._dest)
        return None
