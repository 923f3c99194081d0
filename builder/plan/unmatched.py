"""Wildcards without a match: passed over only where a build has the directory they stand in (reference 1.10). Pure.

Of a context BuildKit sees the paths that the steps of a build name, and what is above and below them. A wildcard that
matches nothing is no error when its directory is among them, so other steps decide.
"""

from collections.abc import Iterable, Iterator

from builder.errors import PlanError, Span
from builder.plan.context import Context
from builder.plan.select import Root, Selection
from builder.plan.select_mounts import MountSelection
from layers.tree import Tree

Selected = tuple[Span | None, Selection | MountSelection]


def refuse_unmatched(selected: Iterable[Selected]) -> None:
    """``selected``: what each step takes of contexts. Raises PlanError for a wildcard that BuildKit would refuse."""
    everything = list(selected)
    for span, selection in everything:
        if not isinstance(selection, Selection):
            continue
        for word, place in selection.unmatched:
            if _is_partly_seen(selection.tree) and not _is_seen(place, selection.tree, everything):
                raise PlanError(
                    f"{word}: nothing matches, and no step takes anything else of {place.decode(errors='replace')}",
                    span=span,
                    hint="name something of that directory that is always there beside it, or copy the directory",
                    about=word,
                )


def _is_partly_seen(tree: Tree) -> bool:
    """Archives and repositories are fetched whole."""
    return not (isinstance(tree, Context) and tree.owners)


def _is_seen(place: bytes, tree: Tree, everything: Iterable[Selected]) -> bool:
    return not place or any(_covers(root, place) for root in _taken(tree, everything))


def _taken(tree: Tree, everything: Iterable[Selected]) -> Iterator[Root]:
    for _, selection in everything:
        if isinstance(selection, Selection):
            if selection.tree is tree:
                yield from selection.roots
            continue
        yield from (
            Root(b"", chosen.entry) for chosen in selection.chosen if chosen is not None and chosen.tree is tree
        )


def _covers(root: Root, place: bytes) -> bool:
    if root.remote is not None:
        return False
    path = root.entry.path
    if root.only is not None and root.only.include is not None:
        below = place.removeprefix(path).lstrip(b"/")
        return not below or root.only.may_take_below(below)
    return not path or path == place or path.startswith(place + b"/") or place.startswith(path + b"/")
