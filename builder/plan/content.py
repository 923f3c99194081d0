"""How the content of selected files enters a step's key: one row a file, grouped by directory (reference 5.2, 9.1).

A row holds name, kind, mode, owner, link text, device numbers, xattrs and the digest of the bytes; no times, no inode.
Rows are unambiguous: fields that may hold any byte come with their length, names hold neither NUL nor "/".
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol, runtime_checkable

from layers.entry import Entry, Kind
from layers.tree import Tree
from layers.tuples import NamedTuple

BATCH = 4096
"""Files whose digests are asked for at once; also bounds the entries held while digesting."""

HASHED = frozenset({Kind.FILE, Kind.HARDLINK})

_KIND_NUMBERS = {kind: number for number, kind in enumerate(Kind)}


class Described(NamedTuple):
    """``rows``: the digest (``digest_rows``) of what is directly in ``directory``, in order of names."""

    directory: bytes
    rows: bytes


@runtime_checkable
class HashesMany(Protocol):
    """A tree that is faster asked for many digests at once."""

    def sha256_many(self, entries: Sequence[Entry], /) -> list[bytes]: ...


def describe(tree: Tree, top: bytes) -> Iterator[Described]:
    """Directory ``top`` of ``tree`` and all below it: parents first, siblings in order of names."""
    batch: list[tuple[bytes, Sequence[Entry]]] = []
    waiting = 0
    todo = [top]
    while todo:
        path = todo.pop()
        entries = tree.children(path)
        todo += [entry.path for entry in reversed(entries) if entry.kind is Kind.DIRECTORY]
        batch.append((path, entries))
        waiting += len(entries)
        if waiting >= BATCH:
            yield from _described(tree, batch)
            batch, waiting = [], 0
    yield from _described(tree, batch)


def _described(tree: Tree, batch: Sequence[tuple[bytes, Sequence[Entry]]]) -> Iterator[Described]:
    digests = iter(hashed(tree, [entry for _, entries in batch for entry in entries if entry.kind in HASHED]))
    for path, entries in batch:
        own = islice(digests, sum(entry.kind in HASHED for entry in entries))
        yield Described(path, digest_rows([entry_row(entry, own) for entry in entries]))


def digest_rows(rows: Sequence[bytes]) -> bytes:
    return hashlib.sha256(b"".join(rows)).digest()


def hashed(tree: Tree, files: Sequence[Entry]) -> list[bytes]:
    # For one file the question would take as long as the rest of a COPY that is looked up.
    if len(files) > 1 and isinstance(tree, HashesMany):
        return tree.sha256_many(files)
    return [tree.sha256(entry) for entry in files]


def entry_row(entry: Entry, digests: Iterator[bytes]) -> bytes:
    """``digests`` gives the next FILE's. A hard link counts as the file it names."""
    name = entry.path[entry.path.rfind(b"/") + 1 :]
    if entry.kind in HASHED:
        return file_row(name, entry.mode, (entry.uid, entry.gid), entry.xattrs, next(digests))
    return other_row(name, entry)


def plain_row(name: bytes, mode: int, digest: bytes) -> bytes:
    """``file_row`` of a file of 0:0 without xattrs: of most."""
    return b"%b\0f %o 0 0\0%b\0" % (name, mode, digest)


def file_row(
    name: bytes, mode: int, owner: tuple[int, int], xattrs: tuple[tuple[bytes, bytes], ...], digest: bytes
) -> bytes:
    row = b"%b\0f %o %d %d\0%b" % (name, mode, *owner, digest)
    return row + _xattr_part(xattrs) if xattrs else row + b"\0"


def other_row(name: bytes, entry: Entry) -> bytes:
    link = entry.link or b""
    major, minor = entry.device or (0, 0)
    fields = (name, _KIND_NUMBERS[entry.kind], entry.mode, entry.uid, entry.gid, major, minor, len(link), link)
    return b"%b\0%d %o %d %d %d %d %d\0%b" % fields + _xattr_part(entry.xattrs)


def _xattr_part(xattrs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join([b"x%d %d\0%b%b" % (len(name), len(value), name, value) for name, value in xattrs]) + b"\0"
