"""Tree: how a file system is asked about, whether it is a build context, a directory or a stack of layers."""

import errno
import os
from collections.abc import Sequence
from typing import Protocol

from layers.entry import BytesSource, Entry, FileSource, Kind


class Tree(Protocol):
    """A read-only file system. Paths are as in ``Entry``; ``b""`` is the root, which ``lookup`` also answers.

    Entries come with a ``source`` when their bytes can be read now. Links are never followed, but by ``resolve``.
    """

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at exactly ``path`` (no part of which is followed as a link), or None."""

    def children(self, path: bytes) -> Sequence[Entry]:
        """What is directly in directory ``path``, sorted by name; empty when it is not a directory."""

    def sha256(self, entry: Entry) -> bytes:
        """Raw digest of a FILE's bytes (of a HARDLINK: of the file it names); remembered where possible."""


MAX_LINKS = 255
"""Links followed in one resolution before it counts as a loop (BuildKit's continuity/fs uses the same)."""


def resolve(tree: Tree, path: bytes, *, follow_last: bool = True) -> bytes:
    """``path`` (any form) with every link followed as if ``tree`` were the root directory; ``..`` stops at the root.

    Parts that do not exist are kept as they are, so the result may name nothing. Raises OSError(ELOOP) for loops.
    """
    done: list[bytes] = []
    todo = [part for part in reversed(path.split(b"/")) if part not in {b"", b"."}]
    followed = 0
    while todo:
        part = todo.pop()
        if part == b"..":
            if done:
                done.pop()
            continue
        here = b"/".join((*done, part))
        entry = tree.lookup(here) if todo or follow_last else None
        if entry is None or entry.kind is not Kind.SYMLINK:
            done.append(part)
            continue
        followed += 1
        if followed > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        link = entry.link or b""
        if link.startswith(b"/"):
            done = []
        todo += [step for step in reversed(link.split(b"/")) if step not in {b"", b"."}]
    return b"/".join(done)


def read_file(tree: Tree, path: bytes, limit: int) -> bytes | None:
    """The bytes of the FILE at exactly ``path``; None when there is no file whose bytes can be read now.

    Raises ValueError for a file of more than ``limit`` bytes.
    """
    entry = tree.lookup(path)
    if entry is None or entry.kind is not Kind.FILE:
        return None
    if entry.size > limit:
        raise ValueError(f"{path.decode(errors='replace')} has more than {limit} bytes")
    match entry.source:
        case BytesSource(data):
            return data
        case FileSource(host_path):
            descriptor = os.open(host_path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                return file.read(limit)
        case _:
            return None
