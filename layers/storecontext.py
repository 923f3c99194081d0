"""What the parts of one open store share: paths, database, lease, blobs, and locks between threads."""

import os
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from layers.blobs import Blobs
from layers.digest import DiffId, Digest, LayerId, Rootfs
from layers.directories import Directories
from layers.errors import NotInStore
from layers.filedigests import FileDigests
from layers.leases import Gate, Lease
from layers.records import LayerRecord, LayerRecords, Packing, clamp_text
from layers.schema import Database
from layers.supply import Supply
from layers.tuples import NamedTuple


class KeyedLocks:
    """A lock per key, there only while somebody uses it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def __call__(self, key: Hashable) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)


class StoreContext(NamedTuple):
    root: str
    boot: str
    """Identity of the running kernel: what was made in another boot and not synced may be damaged."""
    clock: Callable[[], float]
    database: Database
    layers: LayerRecords
    lease: Lease
    gate: Gate
    blobs: Blobs
    supply: Supply
    files: FileDigests
    directories: Directories
    once: KeyedLocks
    """Held while a layer is unpacked, indexed or packed, so that other threads wait for the result."""

    @property
    def snapshots(self) -> str:
        return os.path.join(self.root, "snapshots")

    @property
    def indexes(self) -> str:
        return os.path.join(self.root, "indexes")

    def snapshot_path(self, layer: LayerId) -> str:
        return os.path.join(self.snapshots, str(layer))

    def index_path(self, layer: LayerId) -> str:
        return os.path.join(self.indexes, str(layer))

    def record(self, layer: LayerId) -> LayerRecord:
        """Raises NotInStore."""
        record = self.layers.get(layer)
        if record is None:
            raise NotInStore(f"layer {layer} is not in the store", hint="it was pruned: build again")
        return record

    def packing(self, layer: LayerId, clamp: int | None) -> Packing | None:
        """What a layer packs to, if it has been packed; an imported one always has the diff id it came with, and the
        size 0 (nobody measured it). Raises NotInStore."""
        self.hold((layer,))
        imported = self.record(layer).imported
        return Packing(imported, 0) if imported is not None else self.layers.packing(layer, clamp)

    def diff_ids(self, rootfs: Rootfs, clamps: Sequence[int | None]) -> list[DiffId | None]:
        """As ``packing``, of all layers of a root file system: with as many queries as for one, or nearly. Raises
        NotInStore."""
        self.hold(rootfs)
        packed = self.layers.diff_ids_packed(rootfs)
        return [
            packed.get((layer, clamp_text(clamp))) if imported is None else DiffId(Digest.parse(imported))
            for layer, clamp, imported in zip(rootfs, clamps, self.layers.chain(rootfs), strict=True)
        ]

    def hold(self, layers: Iterable[LayerId]) -> None:
        """Keeps layers from being pruned while this store is open. Raises NotInStore for those already gone."""
        wanted = tuple(layers)
        if self.lease.has_layers(wanted):
            return
        with self.gate.shared():
            gone = set(wanted) - self.layers.existing(wanted)
            if gone:
                raise NotInStore(f"layer {min(gone)} is not in the store", hint="it was pruned: build again")
            self.lease.hold_layers(wanted)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """A write transaction in which finished files are renamed to their places."""
        with self.gate.shared(), self.database.transaction():
            yield

    def place(self, path: str, target: str) -> None:
        """Renames ``path`` to ``target``; what is there without a record (of a process that died) goes away."""
        if os.path.lexists(target):
            os.rename(target, self.lease.temporary("trash"))
        os.rename(path, target)


def boot_id() -> str:
    """Differs after every start of the kernel (proc(5), /proc/sys/kernel/random/boot_id)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
