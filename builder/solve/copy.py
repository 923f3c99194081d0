"""COPY: a selection and a destination become the entries of a layer. Rules: reference 1.10.

The entries come out in stream order with every parent directory, whatever the number of sources: directories that
several sources pour into are merged name by name, so only one listing a level is held.
"""

from collections.abc import Iterator, Mapping, Sequence

from builder.plan.filtered import Filtered
from builder.plan.graph import AddOp, CopyOp, InlineFile
from builder.plan.modes import parse_mode
from builder.plan.select import Root, Selection
from builder.solve.placing import (
    CannotPlace,
    NewDirectory,
    Owner,
    chain,
    check_depth,
    destination,
    encode,
    find_owner,
    show,
)
from builder.solve.pouring import Metadata, Pour, Source, pour_listed
from layers.entry import BytesSource, Entry, Kind
from layers.listed import Item, expanded
from layers.tree import Tree
from layers.tuples import NamedTuple

_FEW = 16
"""Up to this many names are looked up one by one below; for more, the directory below is listed once."""


class Single(NamedTuple):
    """One file on its way into a directory of the destination, by its name there."""

    name: bytes
    entry: Entry


Part = Pour | Single


class _Child(NamedTuple):
    """What one source has under one name."""

    entry: Entry
    source: Source | None
    number: tuple[int, int] | None


class Merge:
    """Entries of a destination directory that parts are copied into, in the order of the parts."""

    def __init__(self, dest: Tree, metadata: Metadata) -> None:
        self._dest = dest
        self._metadata = metadata

    def fill(self, path: bytes, parts: Sequence[Part], *, new: bool) -> Iterator[Item]:
        """Everything below directory ``path``. ``new``: nothing of it is in the destination yet.

        Raises CannotPlace for a directory over what is none, and for anything else over a directory.
        """
        if new and len(parts) == 1 and isinstance(parts[0], Pour):
            yield from pour_listed(path, parts[0], self._metadata)
            return
        check_depth(path)
        prefix = path + b"/" if path else b""
        names = _by_name(parts)
        below = {} if new else self._below(path, prefix, names)
        for name in sorted(names):
            yield from self._place(prefix + name, names[name], below.get(name))

    def _below(self, path: bytes, prefix: bytes, names: Mapping[bytes, object]) -> dict[bytes, Entry]:
        if len(names) > _FEW:
            return {entry.path[len(prefix) :]: entry for entry in self._dest.children(path)}
        found = {name: self._dest.lookup(prefix + name) for name in names}
        return {name: entry for name, entry in found.items() if entry is not None}

    def _place(self, path: bytes, children: Sequence[_Child], below: Entry | None) -> Iterator[Item]:
        there = below
        for number, child in enumerate(children):
            if there is not None and there.kind is Kind.DIRECTORY and _only_leads(child):
                there = self._led_through(path, child, there, children[:number])
            else:
                there = self._over(path, child.entry, there)
        last = children[-1]
        if there is None or last.entry.kind is not Kind.DIRECTORY:
            entry = self._metadata.apply(last.entry, path)
            yield last.source.linked(entry, last.number) if last.source is not None else entry
            return
        yield there
        pours = [Pour(child.source, child.entry.path) for child in children if child.source is not None]
        yield from self.fill(path, pours, new=below is None)

    def _led_through(self, path: bytes, child: _Child, there: Entry, before: Sequence[_Child]) -> Entry:
        """A directory that is there, and that a source only leads through (``--parents``): BuildKit gives it that
        one's mode as it is, and nothing else; the time is of now when a name in it is made."""
        assert child.source is not None
        start = len(child.entry.path)
        made = any(
            entry.kind is not Kind.DIRECTORY or not self._is_there(path, entry.path[start:], before)
            for entry in child.source.tree.children(child.entry.path)
        )
        return there._replace(mode=child.entry.mode, mtime_ns=child.entry.mtime_ns if made else there.mtime_ns)

    def _is_there(self, path: bytes, name: bytes, before: Sequence[_Child]) -> bool:
        sources = [(child.source.tree, child.entry.path) for child in before if child.source is not None]
        return any(tree.lookup(top + name) is not None for tree, top in ((self._dest, path), *sources))

    def _over(self, path: bytes, entry: Entry, there: Entry | None) -> Entry | None:
        """What is at ``path`` once ``entry`` is copied over ``there``."""
        if entry.kind is not Kind.DIRECTORY:
            if there is not None and there.kind is Kind.DIRECTORY:
                raise CannotPlace(
                    f"cannot copy a {_noun(entry)} over the directory {show(path)}", hint="copy it under another name"
                )
            return self._metadata.apply(entry, path)
        if there is not None and there.kind is not Kind.DIRECTORY:
            raise over_other(path, there)
        return self._metadata.apply(entry, path, there.xattrs if there is not None else ())


def _only_leads(child: _Child) -> bool:
    """Whether it is a directory that is not taken itself, but something below it."""
    tree = child.source.tree if child.source is not None else None
    return isinstance(tree, Filtered) and child.entry.kind is Kind.DIRECTORY and tree.only_leads(child.entry.path)


def over_other(path: bytes, there: Entry) -> CannotPlace:
    hint = "links inside of a copied directory's destination are not followed" if there.kind is Kind.SYMLINK else None
    return CannotPlace(f"cannot copy a directory over {show(path)}, which is a {_noun(there)}", hint=hint)


def _noun(entry: Entry) -> str:
    return {Kind.SYMLINK: "link", Kind.CHAR: "device", Kind.BLOCK: "device"}.get(entry.kind, entry.kind.value)


def _by_name(parts: Sequence[Part]) -> dict[bytes, list[_Child]]:
    names: dict[bytes, list[_Child]] = {}
    for part in parts:
        match part:
            case Single(name, entry):
                names.setdefault(name, []).append(_Child(entry, None, None))
            case Pour(source, directory):
                entries = source.tree.children(directory)
                numbers = source.file_ids(directory, entries)
                start = len(directory) + 1 if directory else 0
                for entry in entries:
                    child = _Child(entry, source, numbers.get(entry.path) if numbers else None)
                    names.setdefault(entry.path[start:], []).append(child)
    return names


class Destination(NamedTuple):
    """Where ``dest`` leads once links are followed. ``inside``: it was written as a directory (a slash at its end)."""

    path: bytes
    inside: bool

    @classmethod
    def of(cls, dest: str, tree: Tree) -> "Destination":
        return cls(destination(dest, tree), dest.endswith(("/", "/.")))


class _Plan:
    """What the sources come to at the destination, taken in order as BuildKit would copy them."""

    __slots__ = ("mtime_ns", "parts", "single", "there")

    def __init__(self, there: Entry | None) -> None:
        self.there = there
        """What is at the destination so far."""
        self.parts: list[Part] = []
        self.single: Entry | None = None
        """The file that becomes the destination itself: the last one, if there are several."""
        self.mtime_ns: int | None = None
        """Of the last directory source."""


def _plan(selection: Selection, where: Destination, there: Entry | None, new: Entry, now_ns: int) -> _Plan:
    plan = _Plan(there)
    if where.inside and there is None:
        plan.there = new
    for root in (*selection.roots, *(_inline(file, now_ns) for file in selection.inline)):
        name, entry = root.name, root.entry
        if entry.kind is Kind.DIRECTORY:
            if plan.there is not None and plan.there.kind is not Kind.DIRECTORY:
                raise over_other(where.path, plan.there)
            plan.there = plan.there or new
            plan.parts.append(Pour(Source(selection.view(root, now_ns), root.tree or selection.tree), entry.path))
            # The root directory of an image has no entry in any layer, so its time is not known.
            plan.mtime_ns = entry.mtime_ns if entry.path or entry.mtime_ns else now_ns
        elif plan.there is not None and plan.there.kind is Kind.DIRECTORY:
            plan.parts.append(Single(name, entry))
        else:
            plan.there = plan.single = entry
    return plan


def _inline(file: InlineFile, now_ns: int) -> Root:
    name = encode(file.name)
    entry = Entry(name, Kind.FILE, 0o644, mtime_ns=now_ns, size=len(file.data), source=BytesSource(file.data))
    return Root(name.rpartition(b"/")[2], entry)


def copy_entries(op: CopyOp | AddOp, selection: Selection, dest: Tree, now_ns: int) -> Iterator[Entry]:
    """``copy_items``, entry by entry."""
    return expanded(copy_items(op, selection, dest, now_ns))


def copy_items(op: CopyOp | AddOp, selection: Selection, dest: Tree, now_ns: int) -> Iterator[Item]:
    """The layer of ``op`` over ``dest``; ``now_ns`` is the time of new directories and heredocs.

    Raises CannotPlace (sources that do not fit what is there) and PybuildError (an owner that cannot be).
    """
    owner = find_owner(op.chown, dest) if op.chown is not None and (selection.roots or selection.inline) else None
    yield from placed_items(op, selection, dest, owner, now_ns)


def placed_items(
    op: CopyOp | AddOp, selection: Selection, dest: Tree, owner: Owner | None, now_ns: int
) -> Iterator[Item]:
    """``copy_items`` with the owner of ``--chown`` already looked up."""
    if not selection.roots and not selection.inline:
        return
    mode = parse_mode(op.chmod) if op.chmod is not None else None
    where = Destination.of(op.dest, dest)
    # A linked layer's directories may be there below: a mode meant for files would take the search bit from them.
    new = NewDirectory(mode.for_parents if mode is not None and not op.link else 0o755, owner, now_ns)
    above = where.path.rpartition(b"/")[0]
    directories = list(chain(dest, above, new))
    there = dest.lookup(where.path)
    if where.inside and there is not None and there.kind is not Kind.DIRECTORY:
        raise CannotPlace(
            f"cannot copy into {show(where.path)}: it is a {_noun(there)}, not a directory",
            hint="leave out the slash at the end to replace it",
        )
    parent = directories[-1] if directories else dest.lookup(b"")
    plan = _plan(selection, where, there, new.make(where.path, parent), now_ns)
    metadata = Metadata(owner, mode, op.keep_owner)
    yield from directories
    if plan.single is not None:
        yield metadata.apply(plan.single, where.path)
        return
    assert plan.there is not None
    if where.path:
        yield plan.there if plan.mtime_ns is None else plan.there._replace(mtime_ns=plan.mtime_ns)
    yield from Merge(dest, metadata).fill(where.path, plan.parts, new=there is None)
