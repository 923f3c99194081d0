"""A tree of which only some is taken: what patterns of COPY's ``--parents`` name, without those of ``--exclude``."""

from collections.abc import Sequence

from builder.dockerfile.ignore import Matcher
from layers.entry import Entry, Kind
from layers.tree import Tree
from layers.tuples import NamedTuple


class Only(NamedTuple):
    """Paths are relative to the directory that is poured out. Without ``include`` all is taken but ``exclude``."""

    include: Matcher | None
    exclude: Matcher | None

    def takes(self, path: bytes) -> bool:
        return (self.include is None or self.include.ignored(path)) and not (
            self.exclude is not None and self.exclude.ignored(path)
        )

    def may_take_below(self, path: bytes) -> bool:
        """Whether anything below a directory that is itself not taken may be. True if in doubt."""
        if self.include is not None and not self.include.ignored(path) and not self.include.may_match_below(path):
            return False
        return self.exclude is None or self.exclude.may_descend(path)


class Filtered:
    """A ``Tree``: directory ``top`` of ``tree`` and what of it ``only`` takes. Paths are those of ``tree``.

    A directory that is not taken itself is there when something in it is; its mtime is ``now_ns``, as in BuildKit,
    which makes such directories when it first needs them.
    """

    def __init__(self, tree: Tree, top: bytes, only: Only, now_ns: int) -> None:
        self._tree = tree
        self._start = len(top) + 1 if top else 0
        self._only = only
        self._now_ns = now_ns
        self._hold: dict[bytes, bool] = {}

    def lookup(self, path: bytes) -> Entry | None:
        entry = self._tree.lookup(path)
        if entry is None or len(path) < self._start or not path:
            return entry
        return self._seen(entry)

    def children(self, path: bytes) -> Sequence[Entry]:
        return [seen for entry in self._tree.children(path) if (seen := self._seen(entry)) is not None]

    def sha256(self, entry: Entry) -> bytes:
        return self._tree.sha256(entry)

    def takes(self, path: bytes, is_directory: bool) -> bool:
        """Whether ``path``, which is in the tree, is there."""
        relative = path[self._start :]
        return self._only.takes(relative) or (is_directory and self._holds_something(path, relative))

    def only_leads(self, path: bytes) -> bool:
        """Whether ``path``, a directory that is there, is so only for what is below it."""
        return not self._only.takes(path[self._start :])

    def _seen(self, entry: Entry) -> Entry | None:
        relative = entry.path[self._start :]
        if self._only.takes(relative):
            return entry
        if entry.kind is not Kind.DIRECTORY or not self._holds_something(entry.path, relative):
            return None
        return entry._replace(mtime_ns=self._now_ns)

    def _holds_something(self, path: bytes, relative: bytes) -> bool:
        known = self._hold.get(path)
        if known is None:
            known = self._only.may_take_below(relative) and any(
                self.takes(child.path, child.kind is Kind.DIRECTORY) for child in self._tree.children(path)
            )
            self._hold[path] = known
        return known
