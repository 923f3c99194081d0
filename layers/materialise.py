"""Layers as something to look into: snapshots unpacked from blobs, indexes made from blobs, and views of both.

Blobs that were left at a registry are fetched here, all that are needed at once: a layer is unpacked while those above
it are still on their way.
"""

import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from layers.descent import MAX_DEPTH
from layers.digest import DiffId, LayerId, Rootfs
from layers.entry import Entry
from layers.errors import NotInStore
from layers.index import Index
from layers.leases import remove_tree
from layers.records import LayerRecord
from layers.storecontext import StoreContext
from layers.tarstream import TarStream
from layers.view import LayerFiles, Stack
from layers.workspace import Workspace, make_root, stack_names

if TYPE_CHECKING:
    from layers.downloads import Listener
    from layers.snapshots import Snapshot


_AT_ONCE = max(os.sysconf("SC_OPEN_MAX") // MAX_DEPTH - 1, 1)
"""Directories that are made by steps at once: each may need a descriptor for every level of its tree."""


class Materialiser:
    """Thread-safe. Work on one layer is done once in a process; two processes may do it twice, and one result stays."""

    def __init__(self, context: StoreContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._indexes: dict[LayerId, Index] = {}
        self._snapshots: dict[LayerId, Snapshot] = {}
        """Of layers whose directory is there: held by the lease, they stay as they are while the store is open."""
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    def workspace(self, rootfs: Rootfs, listener: "Listener | None" = None) -> Workspace:
        self._unpacked(rootfs, listener)
        return Workspace(self._context, rootfs)

    def add_directory(self, entries: Iterable[Entry], below: Rootfs) -> LayerId | None:
        from layers.making import NotKeptError, as_archived
        from layers.unpack import Manner, unpack

        context = self._context
        context.hold(below)
        temporary = context.lease.temporary("snapshot")
        make_root(temporary)
        try:
            tree = self.tree(below, contents=False)
            with self._room:
                unpack(as_archived(entries), temporary, below=tree, manner=Manner(True, context.supply.check))
            with context.placing():
                layer = context.layers.add(below, snapshot=context.boot)
                context.lease.hold_layers((layer,))
                context.place(temporary, context.snapshot_path(layer))
        except NotKeptError:
            return None
        finally:
            remove_tree(temporary)
        return layer

    def stacked(self, rootfs: Rootfs, listener: "Listener | None" = None) -> tuple[str, tuple[str, ...]]:
        self._unpacked(rootfs, listener)
        return self._context.snapshots, stack_names(self._context, rootfs)

    def _unpacked(self, rootfs: Rootfs, listener: "Listener | None") -> None:
        """Every layer has its directory then."""
        self._context.hold(rootfs)
        self._begin(rootfs, True, listener)
        for layer in rootfs:
            if layer not in self._snapshots:
                self._files(layer, contents=True, listener=listener)

    def tree(self, rootfs: Rootfs, *, contents: bool, listener: "Listener | None" = None) -> Stack:
        self._context.hold(rootfs)
        self._begin(rootfs, contents, listener)
        return Stack([self._files(layer, contents=contents, listener=listener) for layer in rootfs])

    def _begin(self, rootfs: Rootfs, contents: bool, listener: "Listener | None") -> None:
        """Starts the transfer of what will be read and is not here."""
        wanted = []
        for layer in rootfs:
            if self._known(layer, contents) is None:
                record = self._context.record(layer)
                if record.imported is not None and not record.snapshot and (contents or not record.indexed):
                    wanted.append(record.imported)
        self._context.supply.begin_layers(wanted, listener)

    def snapshot(self, layer: LayerId, listener: "Listener | None" = None) -> str:
        """The directory of a layer, unpacked if it is not there. Everything below it must be there already."""
        context = self._context
        path = context.snapshot_path(layer)
        if layer in self._snapshots or context.record(layer).snapshot:
            return path
        with context.once(("snapshot", layer)):
            record = context.record(layer)
            if not record.snapshot:
                self._unpack(record, path, listener)
        return path

    def _unpack(self, record: LayerRecord, path: str, listener: "Listener | None") -> None:
        """Makes the snapshot, and the index on the way: later builds may need to know the layer's files when neither
        snapshot nor blob is here any more."""
        from layers.indexing import Indexer, lasting
        from layers.tarfmt import read_tar
        from layers.threads import ReadAhead
        from layers.unpack import Manner, unpack

        context = self._context
        below = self.tree(record.below, contents=True, listener=listener)
        temporary, index = context.lease.temporary("snapshot"), context.lease.temporary("index")
        manner = Manner(True, context.supply.check)
        make_root(temporary)
        try:
            # Decompression and hashing run beside the making of files.
            with open_blob(context, record, listener) as stream, ReadAhead(stream.read) as ahead:
                if record.indexed:
                    unpack(read_tar(ahead.read), temporary, below=below, manner=manner)
                else:
                    with Indexer(index, lambda: below) as indexer:
                        entries = lasting(read_tar(ahead.read))
                        unpack(entries, temporary, below=below, seen=indexer.add, manner=manner)
                        indexer.finish()
                ahead.drain()
            with context.placing():
                now = context.layers.get(record.id)
                if now is not None and not now.snapshot:
                    context.place(temporary, path)
                    context.layers.set_snapshot(record.id, context.boot)
                    context.layers.set_verified(record.id)
                if now is not None and not now.indexed and not record.indexed:
                    context.place(index, context.index_path(record.id))
                    context.layers.set_indexed(record.id, context.boot)
        finally:
            remove_tree(temporary)
            remove_tree(index)

    def _files(self, layer: LayerId, *, contents: bool, listener: "Listener | None") -> LayerFiles:
        known = self._known(layer, contents)
        if known is not None:
            return known
        record = self._context.record(layer)
        index = self._open_index(layer) if record.indexed else None
        if contents or (index is None and record.snapshot):
            from layers.snapshots import Snapshot

            path = self.snapshot(layer, listener)
            made = Snapshot(path, self._context.files, self._context.clock, index)
            return self._snapshots.setdefault(layer, made)
        return index if index is not None else self._index(layer, listener)

    def _known(self, layer: LayerId, contents: bool) -> LayerFiles | None:
        """Without asking the database: a long chain of steps asks for all layers below at each one."""
        return self._snapshots.get(layer) or (None if contents else self._indexes.get(layer))

    def _open_index(self, layer: LayerId) -> Index:
        with self._lock:
            index = self._indexes.get(layer)
            if index is None:
                index = self._indexes[layer] = Index(self._context.index_path(layer))
            return index

    def _index(self, layer: LayerId, listener: "Listener | None") -> Index:
        """Makes the index of a layer that has neither index nor snapshot, by reading its blob."""
        from layers.indexing import index_archive
        from layers.tarfmt import read_tar

        context = self._context
        with context.once(("index", layer)):
            record = context.record(layer)
            if not record.indexed:
                temporary = context.lease.temporary("index")
                try:
                    with open_blob(context, record, listener) as stream:
                        index_archive(read_tar(stream.read), temporary, lambda: self.tree(record.below, contents=False))
                        stream.drain()
                    with context.placing():
                        context.place(temporary, context.index_path(layer))
                        context.layers.set_indexed(layer, context.boot)
                        context.layers.set_verified(layer)
                finally:
                    remove_tree(temporary)
        return self._open_index(layer)


def unclamped(context: StoreContext, record: LayerRecord) -> DiffId | None:
    """The diff id of a layer's own bytes, when it is known: of an imported one, the one its image gave."""
    if record.imported is not None:
        return record.imported
    packing = context.layers.packing(record.id, None)
    return packing.diff_id if packing is not None else None


def open_blob(context: StoreContext, record: LayerRecord, listener: "Listener | None" = None) -> TarStream:
    """The unclamped tar of a layer; its blob is fetched if it is not here. Raises NotInStore when there is none."""
    diff_id = unclamped(context, record)
    if diff_id is None:
        raise NotInStore(f"the bytes of layer {record.id} are not in the store", hint="load or build the image again")
    blob = context.supply.blob(diff_id, listener)
    return TarStream(context.blobs.open(blob.digest, blob.size), blob, diff_id)
