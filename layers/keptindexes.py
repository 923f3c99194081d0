"""Indexes that outlive their layers: an image that is pruned and looked up again need not be fetched to know its files.

An index says what a layer holds on top of those below it, so it is kept under the diff ids of all of them: a file
``indexes/<hex>`` beside those of the layers that are there, whose names are numbers.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from layers.digest import LayerId, Rootfs
from layers.storecontext import StoreContext

KEPT_SECONDS = 28 * 24 * 3600
"""An index that nobody took for so long goes with the next prune."""

_KEPT = re.compile(r"[0-9a-f]{64}\Z")


def _name(chain: Sequence[str | None]) -> str | None:
    """For the last of these layers, lowest first; None when one of them was made here: such have snapshots."""
    return None if None in chain else hashlib.sha256("\n".join(filter(None, chain)).encode()).hexdigest()


def keepable(gone: Iterable[LayerId], places: Mapping[LayerId, Rootfs], context: StoreContext) -> dict[LayerId, str]:
    """Those of the layers in ``gone`` whose index can be kept: images', all the way down. Before they are deleted."""
    diff_ids = {layer: str(diff_id) for layer, diff_id in context.layers.diff_ids().items()}
    indexed = context.layers.with_index()
    found = {}
    for layer in gone:
        name = _name([diff_ids.get(one) for one in (*places[layer], layer)])
        if layer in indexed and name is not None:
            found[layer] = name
    return found


def keep(layers: Mapping[LayerId, str], context: StoreContext) -> None:
    """After their records are gone, before their files are swept."""
    now = context.clock()
    for layer, name in layers.items():
        path = context.index_path(layer)
        try:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            os.utime(path, (now, now))
            os.rename(path, os.path.join(context.indexes, name))
        except FileNotFoundError:
            continue


def adopt(layer: LayerId, chain: Sequence[str | None], context: StoreContext) -> None:
    """Gives a new layer the index that was kept of it, if there is one. ``chain``: the diff ids of what is below,
    lowest first, and its own. Within ``context.placing``."""
    name = _name(chain)
    if name is None:
        return
    try:
        os.rename(os.path.join(context.indexes, name), context.index_path(layer))
    except FileNotFoundError:
        return
    context.layers.set_indexed(layer, context.boot)


def outdated(context: StoreContext, *, everything: bool) -> list[str]:
    """Paths of those that nobody took for long; with ``everything``, of all."""
    since = context.clock() - KEPT_SECONDS
    paths = [os.path.join(context.indexes, name) for name in os.listdir(context.indexes) if _KEPT.match(name)]
    return [path for path in paths if everything or os.stat(path).st_mtime < since]
