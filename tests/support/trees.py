"""File systems for tests: in memory, and on disk from the same descriptions."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from layers.entry import BytesSource, Entry, Kind, parents

ROOT = Entry(b"", Kind.DIRECTORY, 0o755, mtime_ns=10**9)
Content = bytes | Entry | None


def file(data: bytes = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0, mtime: int = 1) -> Entry:
    """A FILE without a path; ``mtime`` in seconds."""
    return Entry(b"", Kind.FILE, mode, uid, gid, mtime * 10**9, len(data), source=BytesSource(data))


def directory(*, mode: int = 0o755, uid: int = 0, gid: int = 0, mtime: int = 1) -> Entry:
    return Entry(b"", Kind.DIRECTORY, mode, uid, gid, mtime * 10**9)


def link(text: str, *, uid: int = 0, gid: int = 0, mtime: int = 1) -> Entry:
    return Entry(b"", Kind.SYMLINK, 0o777, uid, gid, mtime * 10**9, link=os.fsencode(text))


def same_as(path: str) -> Entry:
    """Another name for the file at ``path``."""
    return Entry(b"", Kind.HARDLINK, link=os.fsencode(path))


class MemoryTree:
    """A ``Tree``. ``content``: path to bytes (a file), an Entry (its path is filled in) or None (a directory).

    Directories above are made. ``same_as`` gives two names to one file, as ``shared_files`` tells.
    """

    def __init__(self, content: Mapping[str, Content] | None = None) -> None:
        self._entries: dict[bytes, Entry] = {b"": ROOT}
        self._names: dict[bytes, set[bytes]] = {}
        self._groups: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        """Paths whose digests were asked for."""
        for name, what in (content or {}).items():
            self.add(name, what)

    def add(self, name: str, what: Content) -> None:
        path = os.fsencode(name.strip("/"))
        entry = _entry(what)._replace(path=path)
        if entry.kind is Kind.HARDLINK and entry.link is not None:
            self._groups[entry.link] = self._groups[path] = entry.link
            entry = self._entries[entry.link]._replace(path=path)
        for above in parents(path):
            self._put(self._entries.get(above, directory()._replace(path=above)))
        self._put(entry)

    def _put(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        if entry.path:
            self._names.setdefault(entry.path.rpartition(b"/")[0], set()).add(entry.path)

    def lookup(self, path: bytes) -> Entry | None:
        return self._entries.get(path)

    def children(self, path: bytes) -> Sequence[Entry]:
        return [self._entries[name] for name in sorted(self._names.get(path, ()))]

    def sha256(self, entry: Entry) -> bytes:
        self.asked.append(entry.path)
        source = self._entries[entry.path].source
        assert isinstance(source, BytesSource)
        return hashlib.sha256(source.data).digest()

    def shared_files(self, directory: bytes) -> dict[bytes, tuple[int, int]]:
        numbers = {first: number for number, first in enumerate(sorted(set(self._groups.values())))}
        return {
            path.rpartition(b"/")[2]: (0, numbers[self._groups[path]])
            for path in self._names.get(directory, ())
            if path in self._groups
        }


def _entry(what: Content) -> Entry:
    match what:
        case None:
            return directory()
        case bytes():
            return file(what)
        case _:
            return what


def apply(tree: MemoryTree, entries: Iterable[Entry]) -> MemoryTree:
    """``tree`` with a layer on top, as another tree (no WHITEOUT or OPAQUE)."""
    result = MemoryTree()
    for path in sorted(tree._entries):
        if path:
            result.add(os.fsdecode(path), tree._entries[path])
    for entry in entries:
        result.add(os.fsdecode(entry.path), entry)
    return result


def write_tree(root: Path, content: Mapping[str, bytes | str | None]) -> Path:
    """Files (bytes), links (text) and directories (None) below ``root``, with fixed modes."""
    root.mkdir(exist_ok=True)
    for name, what in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            path.mkdir(exist_ok=True)
        elif isinstance(what, str):
            path.symlink_to(what)
        else:
            path.write_bytes(what)
            path.chmod(0o644)
    return root


class NoDigests:
    """A memory of digests that forgets."""

    def __init__(self) -> None:
        self.put: list[tuple[int, int, int, int, int]] = []

    def get_many(self, keys: Iterable[tuple[int, int, int, int, int]]) -> dict[tuple[int, int, int, int, int], bytes]:
        return {}

    def put_many(self, found: Mapping[tuple[int, int, int, int, int], bytes], scanned_ns: int) -> None:
        self.put += found
