"""What a COPY or ADD takes: its source words resolved in a tree, and the content digest of all that is taken.

Rules: reference 1.10. A word is cut at the root of the tree; a link that is named or matched is followed (inside the
tree); a wildcard matches part by part; a literal that is not there is an error, a wildcard without a match is not.
"""

import errno
import hashlib
import posixpath
from collections.abc import Iterator, Sequence

from builder.dockerfile.ignore import Matcher, parse_patterns
from builder.dockerfile.ignore_expressions import PatternError
from builder.errors import PlanError, Span
from builder.plan.content import HASHED, Described, describe, entry_row, hashed
from builder.plan.context import Context
from builder.plan.filtered import Filtered, Only
from builder.plan.graph import AddOp, CopyOp, GitTree, InlineFile, RemoteSource, WebFile
from builder.plan.wildcards import BadPattern, Pattern, compile_part, has_wildcard
from layers.entry import Entry, FileSource, Kind
from layers.tree import Tree, resolve
from layers.tuples import NamedTuple

VERSION = b"pybuild-selection-2"


class Root(NamedTuple):
    """One thing that is taken. ``name``: how it is called below a destination directory (before links are followed).

    ``entry``: what it is after they were, at its own path in the tree. A directory gives its contents.
    """

    name: bytes
    entry: Entry
    only: Only | None = None
    """Of a directory: what of its contents is taken; None for all."""
    tree: Tree | None = None
    """Where it is, when that is not the selection's tree."""
    remote: RemoteSource | None = None
    """What is to be fetched first: until then the rest only keeps its place. Its identity is in the operation."""


class Selection:
    """``roots`` of ``tree``, in the order they are copied, then ``inline`` files (BuildKit copies those last)."""

    __slots__ = ("_digest", "inline", "roots", "tree", "unmatched")

    def __init__(
        self,
        tree: Tree,
        roots: tuple[Root, ...],
        inline: tuple[InlineFile, ...],
        unmatched: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        self.tree = tree
        self.roots = roots
        self.inline = inline
        self.unmatched = unmatched
        """Words with wildcards that match nothing, each with the directory in which it was looked for."""
        self._digest: bytes | None = None

    def digest(self) -> bytes:
        """Raw SHA-256 of names, kinds, modes, owners, link texts, devices, xattrs and contents (reference 5.2, 9.1).

        Not of times, of what is a hard link to what, nor of the metadata of a directory whose contents are poured out.
        The bytes of inline files are in the step's key with the operation, so they are not read here. From then on the
        sources of context files carry their digests, so that other bytes are noticed when they are packed.
        """
        if self._digest is None:
            state = hashlib.sha256(VERSION)
            self.roots = tuple(self._fold(state, number, root) for number, root in enumerate(self.roots))
            self._digest = state.digest()
        return self._digest

    def view(self, root: Root, now_ns: int) -> Tree:
        """``tree`` as far as it is taken by ``root``. ``now_ns``: mtime of directories that only stand above what is
        taken."""
        tree = root.tree or self.tree
        return tree if root.only is None else Filtered(tree, root.entry.path, root.only, now_ns)

    def _described(self, root: Root) -> Iterator[Described]:
        view = self.view(root, 0)
        if not isinstance(self.tree, Context):
            return describe(view, root.entry.path)
        return self.tree.describe(root.entry.path, view.takes if isinstance(view, Filtered) else None)

    def _fold(self, state: "hashlib._Hash", number: int, root: Root) -> Root:
        if root.remote is not None:
            return root
        tree, entry = self.tree, root.entry
        state.update(b"\0root %d %b\0" % (number, root.name))
        if entry.kind is not Kind.DIRECTORY:
            digests = hashed(tree, [entry] if entry.kind in HASHED else [])
            state.update(entry_row(entry, iter(digests)))
            if digests and isinstance(entry.source, FileSource):
                return Root(root.name, entry._replace(source=FileSource(entry.source.path, digests[0])))
            return root
        top = len(entry.path) + 1 if entry.path else 0
        for path, rows in self._described(root):
            state.update(b"\0in %b\0" % path[top:])
            state.update(rows)
        return root


def select(op: CopyOp | AddOp, source: Tree, span: Span | None) -> Selection:
    """Raises PlanError for a source that is not there, and for a pattern that cannot be understood."""
    roots: list[Root] = []
    unmatched: list[tuple[str, bytes]] = []
    exclude = parse_patterns(op.exclude) if op.exclude else None
    for word in op.sources:
        if isinstance(word, WebFile | GitTree):
            only = Only(None, exclude) if exclude is not None and isinstance(word, GitTree) else None
            roots.append(_kept_place(word)._replace(only=only))
        if not isinstance(word, str):
            continue
        if op.parents:
            roots += _kept(word, source, exclude, span)
            continue
        place, patterns = _place(word, source, span)
        found = list(_roots(word, place, patterns, source, span))
        if not found:
            unmatched.append((word, place))
        roots += found if exclude is None else [root._replace(only=Only(None, exclude)) for root in found]
    inline = tuple(word for word in op.sources if isinstance(word, InlineFile))
    return Selection(source, tuple(roots), inline, tuple(unmatched))


def _kept_place(source: RemoteSource) -> Root:
    if isinstance(source, WebFile):
        name = _encode(source.name)
        return Root(name, Entry(name, Kind.FILE), remote=source)
    return Root(b"", Entry(b"", Kind.DIRECTORY), remote=source)


def _kept(word: str, tree: Tree, exclude: Matcher | None, span: Span | None) -> Iterator[Root]:
    """``--parents``: the directory before ``/./`` (without it, the root) gives what the rest matches, paths kept.

    Links in the rest are neither followed nor looked through: they are copied as they are.
    """
    top, pivot, rest = word.partition("/./")
    if not pivot:
        top, rest = "/", word
    rest = posixpath.normpath("/" + rest).lstrip("/")
    try:
        only = Only(parse_patterns((rest,)) if rest else None, exclude)
    except PatternError as error:
        raise PlanError(f"{word}: {error.message}", span=span, hint=error.hint) from error
    place, patterns = _place(top or "/", tree, span)
    for root in _roots(top or "/", place, patterns, tree, span):
        below = root._replace(only=only)
        if rest and not has_wildcard(rest):
            path = b"/".join(filter(None, (root.entry.path, _encode(rest))))
            if not _takes(tree, below, path):
                raise _missing(word, path, tree, span)
        yield below


def _takes(tree: Tree, root: Root, path: bytes) -> bool:
    entry = tree.lookup(path)
    if entry is None or root.only is None or root.entry.kind is not Kind.DIRECTORY:
        return False
    return Filtered(tree, root.entry.path, root.only, 0).takes(path, entry.kind is Kind.DIRECTORY)


def _place(word: str, tree: Tree, span: Span | None) -> tuple[bytes, tuple[Pattern, ...]]:
    """The path before the first part with a wildcard, and the patterns from there on. With patterns, the path has its
    links followed, and is there."""
    cleaned = posixpath.normpath("/" + word).lstrip("/")
    parts = cleaned.split("/") if cleaned else []
    fixed = next((at for at, part in enumerate(parts) if has_wildcard(part)), len(parts))
    try:
        patterns = tuple(compile_part(part) for part in parts[fixed:])
    except BadPattern as error:
        hint = _LIST_HINT if word.startswith("[") else "write [[] for a bracket that is part of a name"
        raise PlanError(f"{word}: {error}", span=span, hint=hint, about=word) from error
    path = _encode("/".join(parts[:fixed]))
    if not patterns:
        return path, ()
    place = _resolved(word, path, tree, span)
    if tree.lookup(place) is None:
        raise _missing(word, path, tree, span, f"{word}: {'/'.join(parts[:fixed])}")
    return place, patterns


def _roots(word: str, path: bytes, patterns: Sequence[Pattern], tree: Tree, span: Span | None) -> Iterator[Root]:
    for match in _matches(tree, path, patterns) if patterns else (path,):
        yield _root(word, match, tree, span)


def _root(word: str, path: bytes, tree: Tree, span: Span | None) -> Root:
    entry = tree.lookup(_resolved(word, path, tree, span))
    if entry is None:
        raise _missing(word, path, tree, span)
    return Root(path.rpartition(b"/")[2], entry)


def _resolved(word: str, path: bytes, tree: Tree, span: Span | None) -> bytes:
    try:
        return resolve(tree, path)
    except OSError as error:
        hint = "its links lead in a circle" if error.errno == errno.ELOOP else None
        raise PlanError(f"{word}: {error.strerror}", span=span, hint=hint) from error


def _missing(word: str, path: bytes, tree: Tree, span: Span | None, shown: str = "") -> PlanError:
    """``shown``: what is not there, when that is not all of ``word``."""
    shown = shown or word
    there = tree.lookup(path)
    if there is not None and there.kind is Kind.SYMLINK:
        target = (there.link or b"").decode(errors="backslashreplace")
        return PlanError(f"{shown}: is a link to {target}, which is not there", span=span, hint=_LINK_HINT, about=word)
    if isinstance(tree, Context):
        pattern = tree.why_missing(path)
        if pattern is not None:
            return PlanError(
                f"{shown}: not found: it is left out of the build context",
                span=span,
                hint=f"the ignore file's pattern {pattern!r} leaves it out; add !{word.lstrip('./')} below it",
                about=word,
            )
        hint = _near(path, tree) or _odd(word) or _CONTEXT_HINT
        return PlanError(f"{shown}: not found in the build context", span=span, hint=hint, about=word)
    hint = _near(path, tree) or "paths are looked up from the root of the source"
    return PlanError(f"{shown}: not found", span=span, hint=hint, about=word)


def _near(path: bytes, tree: Tree) -> str | None:
    """A name that is there and is nearly the one that is not."""
    import difflib  # for error messages only

    above, _, name = path.rpartition(b"/")
    names = {entry.path.rpartition(b"/")[2].decode(errors="replace") for entry in tree.children(above)}
    wanted = name.decode(errors="replace")
    same = [each for each in names if each.casefold() == wanted.casefold()]
    close = same or difflib.get_close_matches(wanted, sorted(names), n=1, cutoff=0.75)
    return f"did you mean {posixpath.join(above.decode(errors='replace'), close[0])}?" if close else None


def _odd(word: str) -> str | None:
    """What a word seems to be instead of a path."""
    if word.startswith("-"):
        return "flags have two dashes and stand before the sources; directories are copied whole without one"
    if "://" in word:
        return "ADD fetches http, https, git and ssh addresses only"
    return None


_LIST_HINT = 'a JSON list is written ["SOURCE", "DESTINATION"]; write [[] for a bracket that is part of a name'
_LINK_HINT = "links of a source are followed inside of it only; an absolute one starts at its root"
_CONTEXT_HINT = "sources are relative to the root of the build context, and cannot be outside of it"


def _matches(tree: Tree, base: bytes, patterns: Sequence[Pattern]) -> Iterator[bytes]:
    """Paths below ``base`` that match part by part, in order of names. Links on the way are not followed."""
    first, rest = patterns[0], patterns[1:]
    for entry in tree.children(base):
        if not first.matches(entry.path.rpartition(b"/")[2]):
            continue
        if not rest:
            yield entry.path
        elif entry.kind is Kind.DIRECTORY:
            yield from _matches(tree, entry.path, rest)


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
