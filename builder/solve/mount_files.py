"""Files that are mounted, as directories of their own: of a context as a layer, and those a new cache begins with.

A context is not mounted itself: it has other owners than the image, what the ignore file hides, and may change while
the step runs.
"""

import hashlib
from collections.abc import Iterator

from builder.plan.select_mounts import Chosen
from builder.solve.copy import Merge
from builder.solve.pouring import Metadata, Pour, Source
from layers.digest import CacheKey, Digest, LayerId
from layers.entry import Entry, Kind
from layers.listed import expanded
from layers.store import Store
from layers.storecontext import KeyedLocks
from layers.unpack import unpack
from layers.view import Stack

TOP = b"m"
"""Name of what is mounted, in its layer: one level below the root, since it may be a file."""

_VERSION = b"pybuild-mounted-1"

_ONCE = KeyedLocks()
"""Two steps that mount the same files have them made once."""


def entries(chosen: Chosen) -> Iterator[Entry]:
    """What was chosen, as ``TOP`` with all below it; everything keeps its owner (in a context that is 0:0)."""
    metadata = Metadata(None, None, keep=True)
    # Looked up again: once the digest was asked for, a context's files come with theirs, and are held to it.
    entry = chosen.tree.lookup(chosen.entry.path) or chosen.entry
    yield metadata.apply(entry, TOP)
    if entry.kind is Kind.DIRECTORY:
        pour = Pour(Source(chosen.tree), entry.path)
        yield from expanded(Merge(Stack(()), metadata).fill(TOP, [pour], new=True))


def context_layer(chosen: Chosen, store: Store, now: float) -> LayerId:
    """A layer that holds what was chosen of a context: an earlier build's, if it is the same, times included.

    Raises SourceChanged when a file has changed since its digest was taken.
    """
    state = hashlib.sha256(_VERSION + chosen.digest())
    for entry in entries(chosen):
        state.update(b"%b\0%d\0" % (entry.path, entry.mtime_ns))
    key = CacheKey(Digest("sha256", state.hexdigest()))
    with _ONCE((store.root, key)):
        found = store.find_steps([key]).get(key)
        if found is not None and found.layer is not None:
            return found.layer
        workspace = store.workspace(())
        try:
            unpack(entries(chosen), workspace.upper)
            layer = workspace.commit()
        except BaseException:
            workspace.discard()
            raise
        store.record_step(key, key, (layer,), layer, now)
        return layer
