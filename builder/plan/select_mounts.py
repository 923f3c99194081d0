"""What a RUN mounts of its inputs: each source found in its tree, and the content digest of all of them."""

import errno
import hashlib

from builder.errors import PlanError, Span
from builder.plan.content import other_row
from builder.plan.context import Context
from builder.plan.graph import RunOp
from builder.plan.mounts import BindMount, CacheMount
from builder.plan.select import Root, Selection
from layers.digest import Rootfs
from layers.entry import Entry, Kind
from layers.tree import Tree, resolve
from layers.tuples import NamedTuple

VERSION = b"pybuild-mounts-1"


class Chosen(NamedTuple):
    """What one mount shows: ``entry`` of ``tree`` with all below it. ``rootfs`` is what the tree is of, None for a
    context."""

    tree: Tree
    entry: Entry
    rootfs: Rootfs | None

    def digest(self) -> bytes:
        """As of a COPY of it (``Selection.digest``); the metadata of a directory at the top counts as well."""
        state = hashlib.sha256(VERSION)
        if self.entry.kind is Kind.DIRECTORY:
            state.update(other_row(b"", self.entry))
        state.update(Selection(self.tree, (Root(b"", self.entry),), ()).digest())
        return state.digest()


class MountSelection:
    """By mount of a RUN; None for those that show nothing of an input (or whose input is not there yet)."""

    __slots__ = ("_digest", "chosen")

    def __init__(self, chosen: tuple[Chosen | None, ...]) -> None:
        self.chosen = chosen
        self._digest: bytes | None = None

    def digest(self) -> bytes:
        """Raw SHA-256 of what is mounted, and where."""
        if self._digest is None:
            state = hashlib.sha256(VERSION)
            for number, chosen in enumerate(self.chosen):
                if chosen is not None:
                    state.update(b"\0mount %d\0%b" % (number, chosen.digest()))
            self._digest = state.digest()
        return self._digest


def sources(op: RunOp) -> tuple[tuple[int, str] | None, ...]:
    """By mount: the place of its input among the node's, and the path in it; None for those without one."""
    return tuple(
        (mount.input, mount.source) if isinstance(mount, BindMount | CacheMount) and mount.input is not None else None
        for mount in op.mounts
    )


def choose(path: str, tree: Tree, rootfs: Rootfs | None, span: Span | None) -> Chosen:
    """Links are followed inside of the tree. Raises PlanError for a source that is not there."""
    wanted = path.encode(errors="surrogateescape").strip(b"/")
    try:
        entry = tree.lookup(resolve(tree, wanted))
    except OSError as error:
        hint = "its links lead in a circle" if error.errno == errno.ELOOP else None
        about = wanted.decode(errors="replace")
        raise PlanError(f"RUN --mount: source {path}: {error.strerror}", span=span, hint=hint, about=about) from error
    if entry is None:
        raise _missing(path, wanted, tree, span)
    return Chosen(tree, entry, rootfs)


def _missing(path: str, wanted: bytes, tree: Tree, span: Span | None) -> PlanError:
    about = wanted.decode(errors="replace")
    if not isinstance(tree, Context):
        hint = "source is a path from the root of what from names"
        return PlanError(f"RUN --mount: source {path}: not found", span=span, hint=hint, about=about)
    pattern = tree.why_missing(wanted)
    if pattern is None:
        hint = "source is relative to the root of the build context; from=NAME takes it from a stage or an image"
        message = f"RUN --mount: source {path}: not found in the build context"
        return PlanError(message, span=span, hint=hint, about=about)
    return PlanError(
        f"RUN --mount: source {path}: not found: it is left out of the build context",
        span=span,
        hint=f"the ignore file's pattern {pattern!r} leaves it out; add !{about} below it",
        about=about,
    )
