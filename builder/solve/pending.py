"""A tree with changes on top that are not a layer yet: archives name files in any order and may name them twice, so
what they come to is known only at their end. Only entries are held, never bytes."""

from collections.abc import Iterator

from layers.entry import Entry, Kind
from layers.tree import Tree


class Pending:
    """A ``Tree``: ``below`` with what was put over it. ``entries`` gives the changes as a stream in order."""

    def __init__(self, below: Tree) -> None:
        self._below = below
        self._entries: dict[bytes, Entry] = {}
        self._names: dict[bytes, set[bytes]] = {}
        self._fresh: set[bytes] = set()
        """Directories that show nothing of what is below."""
        self._gone: set[bytes] = set()
        """What was replaced by something of another kind."""
        self._group_of: dict[bytes, int] = {}
        self._groups: list[list[bytes]] = []
        """Paths that are one file."""

    # -- Tree

    def lookup(self, path: bytes) -> Entry | None:
        here = self._entries.get(path)
        if here is not None:
            return here
        return self._below.lookup(path) if not path or self._shows(path) else None

    def children(self, path: bytes) -> list[Entry]:
        here = self.lookup(path)
        if here is None or here.kind is not Kind.DIRECTORY:
            return []
        found = {name: self._entries[name] for name in self._names.get(path, ())}
        if path not in self._fresh:
            for entry in self._below.children(path):
                found.setdefault(entry.path, entry)
        return [found[name] for name in sorted(found)]

    def sha256(self, entry: Entry) -> bytes:
        return self._below.sha256(entry)

    def _shows(self, path: bytes) -> bool:
        """Whether what is below at ``path`` can be seen."""
        if path in self._gone:
            return False
        above = path
        while above:
            above = above.rpartition(b"/")[0]
            if above in self._fresh or above in self._gone:
                return False
            here = self._entries.get(above)
            if here is not None:
                return here.kind is Kind.DIRECTORY
        return True

    # -- changes

    def put(self, entry: Entry) -> None:
        """Puts ``entry`` at its path. A directory on a directory keeps what is in it; anything else is replaced.

        The directories above must be there, and put as well when they are to be in the stream.
        """
        path = entry.path
        there = self.lookup(path)
        keeps = there is not None and there.kind is Kind.DIRECTORY and entry.kind is Kind.DIRECTORY
        if there is not None and not keeps:
            self._drop(path)
            self._gone.add(path)
        if entry.kind is Kind.DIRECTORY and not keeps:
            self._fresh.add(path)
        self._entries[path] = entry
        self._names.setdefault(path.rpartition(b"/")[0], set()).add(path)

    def link(self, entry: Entry, target: bytes) -> None:
        """Puts another name for the FILE at ``target`` (which must be put already), with the metadata of ``entry``."""
        file = self._entries[target]
        self.put(entry._replace(kind=Kind.FILE, link=None, size=file.size, source=file.source))
        number = self._group_of.get(target)
        if number is None:
            number = self._group_of[target] = len(self._groups)
            self._groups.append([target])
        self._group_of[entry.path] = number
        self._groups[number].append(entry.path)
        for name in self._groups[number]:
            self._entries[name] = self._entries[entry.path]._replace(path=name)

    def has(self, path: bytes) -> bool:
        """Whether ``path`` itself was put."""
        return path in self._entries

    def _drop(self, path: bytes) -> None:
        for name in self._names.pop(path, ()):
            self._drop(name)
        self._entries.pop(path, None)
        self._fresh.discard(path)
        self._names.get(path.rpartition(b"/")[0], set()).discard(path)
        number = self._group_of.pop(path, None)
        if number is not None:
            self._groups[number].remove(path)

    def entries(self) -> Iterator[Entry]:
        first: dict[int, bytes] = {}
        for path in sorted(self._entries, key=lambda path: path.replace(b"/", b"\0")):
            entry = self._entries[path]
            number = self._group_of.get(path)
            if number is not None and first.setdefault(number, path) != path:
                entry = entry._replace(kind=Kind.HARDLINK, link=first[number], size=0, source=None)
            yield entry
            if path in self._fresh and path in self._gone and self._hides(path):
                yield Entry(path, Kind.OPAQUE)

    def _hides(self, path: bytes) -> bool:
        below = self._below.lookup(path)
        return below is not None and below.kind is Kind.DIRECTORY
