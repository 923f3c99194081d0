"""Workspace: the writable layer of one RUN, in overlay format, from an empty directory to a layer of the store."""

import os

from layers.digest import LayerId, Rootfs
from layers.leases import remove_tree
from layers.storecontext import StoreContext
from layers.view import ROOT

EMPTY = "empty"
"""A directory beside the snapshots, for a root filesystem without layers: overlay needs a lower directory."""


def make_root(path: str) -> None:
    """Makes a directory that will be the root of a layer: commands see its mode, so our umask has no say."""
    os.mkdir(path)
    os.chmod(path, ROOT.mode)


def _once(rootfs: Rootfs) -> Rootfs:
    """Without layers that come again higher up: overlayfs refuses one directory twice. Only a layer that stands on
    nothing, and so deletes nothing, can be there twice; what it hides and what it shows is decided at the upper place.
    """
    return tuple(reversed(dict.fromkeys(reversed(rootfs))))


def stack_names(context: StoreContext, rootfs: Rootfs) -> tuple[str, ...]:
    """Names of the layers' directories, relative to that of the snapshots, lowest first."""
    if rootfs:
        return tuple(map(str, _once(rootfs)))
    os.makedirs(os.path.join(context.snapshots, EMPTY), 0o755, exist_ok=True)
    return (EMPTY,)


class Workspace:
    """``lowers`` are names relative to ``directory``, lowest first; ``upper`` and ``work`` are absolute.

    Ends with ``commit`` or ``discard``, when nothing is mounted on it any more.
    """

    def __init__(self, context: StoreContext, rootfs: Rootfs) -> None:
        self._context = context
        self._rootfs = rootfs
        self._top = context.lease.temporary("workspace")
        self.directory = context.snapshots
        self.lowers = stack_names(context, rootfs)
        self.upper = os.path.join(self._top, "upper")
        self.work = os.path.join(self._top, "work")
        os.mkdir(self._top, 0o700)
        make_root(self.upper)
        os.mkdir(self.work, 0o700)

    def commit(self) -> LayerId:
        """Makes the upper directory a snapshot, by rename, and gives the new layer on top of the root filesystem."""
        context = self._context
        with context.placing():
            layer = context.layers.add(self._rootfs, snapshot=context.boot)
            context.lease.hold_layers((layer,))
            context.place(self.upper, context.snapshot_path(layer))
        remove_tree(self._top)
        return layer

    def discard(self) -> None:
        """Removes everything. Does nothing after ``commit``."""
        remove_tree(self._top)
