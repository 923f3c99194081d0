"""Store: everything pybuild keeps, under one directory, used by any number of processes at once without a service.

::

    store.db     records: layers, packings, blobs, steps, images, digests of files (layers.schema)
    blobs/       bytes by digest (layers.blobs)
    partial/     blobs that are being fetched (layers.partial)
    snapshots/   layers as directories in overlay format, by layer id
    indexes/     what is in a layer, by layer id (layers.index)
    git/         repositories that were fetched from, one an address
    leases/      one locked file per living process (layers.leases)
    tmp/         one directory per living process: whatever is not finished
    caches/      directories of cache mounts, which no record knows (layers.caches)
    gate         a lock held for moments

Files come first and records after: a record never points at bytes that are not there. Opening is cheap: nothing that
packs, unpacks or compresses is imported before it is needed.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from layers.blobs import Blobs, Progress
from layers.buildrecords import ImageTable, StepRecord, StepTable, StoredImage
from layers.digest import CacheKey, DiffId, Digest, LayerId, Rootfs
from layers.directories import Directories
from layers.errors import NotInStore
from layers.filedigests import FileDigests
from layers.idmap import SETTING as IDS_SETTING
from layers.leases import Gate, Lease, sweep
from layers.processids import current
from layers.pullrecords import Origin, PullTable
from layers.records import LayerRecords, Packing, layers_of, rootfs_text
from layers.schema import Database
from layers.storecontext import KeyedLocks, StoreContext, boot_id
from layers.storefolder import prepare, refuse_overlay
from layers.supply import Supply
from layers.webfiles import WebFileTable

if TYPE_CHECKING:
    from layers.caches import Caches
    from layers.compress import Compression
    from layers.downloads import Listener
    from layers.entry import Entry
    from layers.gc import Collector, PruneReport
    from layers.image import Descriptor
    from layers.listed import Item
    from layers.materialise import Materialiser
    from layers.packing import Packer
    from layers.tarstream import TarStream
    from layers.view import Stack
    from layers.workspace import Workspace

__all__ = ["StepRecord", "Store", "StoredImage"]

TOUCH_SECONDS = 24 * 3600
"""How stale a step's time of last use may be before it is written again."""


class Store:
    """One open store, and this process's lease on what it uses. Context manager; thread-safe.

    Not to be used in a forked process. Two open stores of one process are as good as two processes.
    """

    def __init__(self, context: StoreContext, steps: StepTable, images: ImageTable) -> None:
        self._context = context
        self._steps = steps
        self._images = images
        self._lock = threading.Lock()
        self._one_materialiser: Materialiser | None = None
        self._one_packer: Packer | None = None
        self._used: set[CacheKey] = set()
        self._closed = False
        self._mountable = False
        """Overlays can be mounted on what is in the store, as far as one can tell."""
        self.root = context.root
        self.blobs = context.blobs
        self.file_digests = context.files
        self.directories = context.directories
        self.pulls = PullTable(context.database)
        self.supply = context.supply
        self.web_files = WebFileTable(context.database, context.clock)

    @classmethod
    def open(
        cls,
        root: str,
        *,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the store owns the clock
        recover: bool = True,
    ) -> Self:
        """Opens the store at ``root``, made when it is not there; removes what dead processes left unfinished, unless
        ``recover`` says that this process may not (files of layers belong to ids of a namespace it is not in).

        Raises StoreError for a place where no store can be, one of a newer version, and one of somebody else.
        """
        root = os.path.abspath(root)
        database = Database(os.path.join(root, "store.db"))
        gate = Gate(os.path.join(root, "gate"))
        prepare(root, database, gate)
        lease = Lease(os.path.join(root, "leases"), os.path.join(root, "tmp"))
        blobs = Blobs(os.path.join(root, "blobs"), lease, gate.shared)
        context = StoreContext(
            root=root,
            boot=boot_id(),
            clock=clock,
            database=database,
            layers=LayerRecords(database),
            lease=lease,
            gate=gate,
            blobs=blobs,
            supply=Supply(database, blobs),
            files=FileDigests(database),
            directories=Directories(database),
            once=KeyedLocks(),
        )
        store = cls(context, StepTable(database), ImageTable(database))
        try:
            if recover:
                store._recover()
        except BaseException:
            store.close()
            raise
        return store

    def _recover(self) -> None:
        context = self._context
        if context.layers.setting(IDS_SETTING) != current().text():
            from layers.storeids import match

            match(context, self._collector())
        stale = sweep(os.path.join(self.root, "leases"), os.path.join(self.root, "tmp"))
        rebooted = context.layers.setting("boot") != context.boot
        if rebooted:
            self._collector().after_boot()
        if stale:
            self._collector().orphans()

    def _collector(self) -> "Collector":
        from layers.gc import Collector

        return Collector(self._context, self._steps, self._images)

    def close(self) -> None:
        """Ends the lease. Snapshots made since are brought to the disk in the background. May be repeated."""
        if self._closed:
            return
        self._closed = True
        context = self._context
        context.supply.close()
        unsynced = False
        try:
            context.files.flush()
            self._touch()
            unsynced = bool(context.layers.unsynced(context.boot))
        finally:
            context.lease.release()
            context.database.close()
        if unsynced:
            # After the release: no child may hold the lease's lock.
            from layers.durability import start

            start(self.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def temporary(self, kind: str) -> str:
        """A fresh path for what is needed as long as the store is open; the caller makes it. It goes with the lease,
        however the process ends."""
        return self._context.lease.temporary(kind)

    # Layers

    # Made when first needed: looking steps up needs neither.

    def _materialiser(self) -> "Materialiser":
        with self._lock:
            if self._one_materialiser is None:
                from layers.materialise import Materialiser

                self._one_materialiser = Materialiser(self._context)
            return self._one_materialiser

    def _packer(self) -> "Packer":
        materialiser = self._materialiser()
        with self._lock:
            if self._one_packer is None:
                from layers.packing import Packer

                self._one_packer = Packer(self._context, materialiser)
            return self._one_packer

    def add_layer(
        self,
        entries: "Iterable[Item]",
        below: Rootfs,
        *,
        compression: "Compression | None" = None,
        made: bool = False,
        read_soon: bool = True,
    ) -> LayerId:
        """Packs a stream of entries (COPY, ADD, WORKDIR) into a blob, uncompressed unless said otherwise, and gives
        the layer, to stand on ``below``. The same content in the same place is the same layer. ``made``: its
        files will be looked at soon, and are best made in a directory at once. Without ``read_soon`` the blob need not
        stay in memory."""
        if compression is None:
            from layers.compress import NONE

            compression = NONE
        return self._packer().add_layer(entries, below, compression, made=made, read_soon=read_soon)

    def add_directory(self, entries: "Iterable[Entry]", below: Rootfs) -> LayerId | None:
        """As ``add_layer``, for what is read by later steps and in no image so far: a directory at once, and no blob.
        It packs to what ``add_layer`` would have made; None when it would not, or when no layer can hold an entry.
        Each call makes a layer of its own."""
        return self._materialiser().add_directory(entries, below)

    def import_layer(
        self, diff_id: DiffId, blob: "Descriptor", below: Rootfs, origins: Sequence[Origin] = ()
    ) -> LayerId:
        """A layer of an image from outside. Its blob is in ``blobs``, or will be fetched from one of ``origins`` when
        somebody needs it. The diff id is verified when the blob is first read, or before it is used at all when the
        store knows of another blob of that diff id.

        Raises NotInStore without blob and origins, IntegrityError when the blob cannot have that diff id.
        """
        return self._packer().import_layer(diff_id, blob, below, origins)

    def workspace(self, rootfs: Rootfs, *, listener: "Listener | None" = None) -> "Workspace":
        """A writable layer on top of ``rootfs``, whose layers are unpacked where they are not. ``listener`` is told of
        blobs that are fetched for that. Raises StoreError where overlays cannot be mounted."""
        if not self._mountable:
            refuse_overlay(self._context.snapshots)
            self._mountable = True
        return self._materialiser().workspace(rootfs, listener)

    def stacked(self, rootfs: Rootfs, *, listener: "Listener | None" = None) -> tuple[str, tuple[str, ...]]:
        """The layers as directories, unpacked where they are not: lowest first, by names relative to the first item."""
        return self._materialiser().stacked(rootfs, listener)

    def caches(self) -> "Caches":
        from layers.caches import Caches

        return Caches(self._context)

    def tree(self, rootfs: Rootfs, *, contents: bool = False, listener: "Listener | None" = None) -> "Stack":
        """The merged view of layers. With ``contents`` every file can be read (layers are unpacked where they are
        not); without, layers may be described by their index alone. ``listener`` is told of blobs that are fetched."""
        return self._materialiser().tree(rootfs, contents=contents, listener=listener)

    def diff_id(self, layer: LayerId, clamp: int | None) -> DiffId:
        """Of the layer packed with mtimes of at most ``clamp`` (seconds since the epoch). Imported layers have the one
        they came with."""
        known = self._context.packing(layer, clamp)
        return (known or self._packer().packing(layer, clamp)).diff_id

    def diff_ids(self, rootfs: Rootfs, clamps: Sequence[int | None]) -> list[DiffId]:
        """As ``diff_id``, of all layers of a root file system."""
        known = self._context.diff_ids(rootfs, clamps)
        return [found or self.diff_id(layer, clamp) for layer, clamp, found in zip(rootfs, clamps, known, strict=True)]

    def packing(self, layer: LayerId, clamp: int | None) -> Packing:
        """Diff id and size of the tar. The size is 0 for an imported layer."""
        return self._packer().packing(layer, clamp)

    def blob(
        self, layer: LayerId, clamp: int | None, compression: "Compression", *, progress: Progress | None = None
    ) -> "Descriptor":
        """A blob of the layer, packed when there is none. An imported layer's own blob is used whatever its
        compression; it may be at its origin still: who needs its bytes opens it, or asks ``supply`` for several.
        The media type is OCI's. ``progress`` is told of bytes written."""
        return self._packer().blob(layer, clamp, compression, progress)

    def layer_tar(self, layer: LayerId, clamp: int | None) -> "TarStream":
        """The layer's uncompressed tar, as a context manager with ``read(n)``."""
        return self._packer().layer_tar(layer, clamp)

    # Steps

    def find_steps(self, keys: Sequence[CacheKey]) -> dict[CacheKey, StepRecord]:
        """Records of those keys that have one and whose layers are all there; these stay while the store is open."""
        context = self._context
        with context.gate.shared():
            found = self._steps.find(keys)
            if not found:
                return {}
            layers = layers_of(record.layers for record, _ in found.values())
            gone = layers - context.layers.existing(layers)
            whole = {key: pair for key, pair in found.items() if gone.isdisjoint(pair[0].rootfs)} if gone else found
            context.lease.hold_layers(layers - gone)
        stale = context.clock() - TOUCH_SECONDS
        self._used.update(key for key, (_, used) in whole.items() if used < stale)
        return {key: record for key, (record, _) in whole.items()}

    def record_step(
        self, recipe: CacheKey, effective: CacheKey, rootfs: Rootfs, layer: LayerId | None, finished: float
    ) -> None:
        """Under both keys. Raises NotInStore when a layer of ``rootfs`` is not there."""
        self._context.hold(rootfs)
        record = StepRecord(effective, rootfs_text(rootfs), layer, finished)
        with self._context.database.transaction():
            self._steps.put((recipe, effective), record, self._context.clock())

    def _touch(self) -> None:
        if self._used:
            with self._context.database.transaction():
                self._steps.touch(self._used, self._context.clock())
            self._used.clear()

    # Images

    def put_image(
        self, config: bytes, rootfs: Rootfs, clamps: tuple[int | None, ...], names: Sequence[str]
    ) -> StoredImage:
        """Stores an image; its names are taken from whichever image had them. The same image again changes nothing
        but names. Raises ValueError unless there is one clamp per layer."""
        if len(clamps) != len(rootfs):
            raise ValueError(f"{len(rootfs)} layers and {len(clamps)} clamps")
        self._context.hold(rootfs)
        image_id = Digest.of(config)
        known = self._images.get(image_id)
        if known is not None and (known.rootfs, known.clamps) == (rootfs, clamps) and set(names) <= set(known.names):
            return known
        created = known.created_at if known is not None else self._context.clock()
        with self._context.database.transaction():
            self._images.put(StoredImage(image_id, config, rootfs, clamps, tuple(names), created))
        return self._existing(image_id)

    def image(self, name_or_id: str) -> StoredImage | None:
        """By full name, by id, or by the first digits of one. Its layers stay while the store is open.

        Raises StoreError when several ids begin with these digits.
        """
        with self._context.gate.shared():
            image = self._images.named(name_or_id)
            digits = name_or_id.removeprefix("sha256:")
            if image is None and digits and not digits.strip("0123456789abcdef"):
                image = self._images.by_prefix(digits)
            if image is not None:
                self._context.lease.hold_layers(image.rootfs)
            return image

    def images(self) -> list[StoredImage]:
        """Newest first."""
        return self._images.all()

    def tag(self, image: Digest, name: str) -> None:
        """Gives an image a further name; takes it from the image that had it. Raises NotInStore."""
        if name in self._existing(image).names:
            return
        with self._context.database.transaction():
            self._existing(image)
            self._images.tag(image, name)

    def untag(self, name: str) -> bool:
        """Whether there was such a name."""
        return self._images.untag(name)

    def remove_image(self, image: Digest) -> None:
        """With its names; layers go when the store is pruned. Raises NotInStore."""
        with self._context.database.transaction():
            self._existing(image)
            self._images.delete((image,))

    def _existing(self, image: Digest) -> StoredImage:
        found = self._images.get(image)
        if found is None:
            raise NotInStore(f"image {image} is not in the store", hint="'pybuild images' shows those that are")
        return found

    # Housekeeping

    def prune(self, *, all: bool = False) -> "PruneReport":
        """Removes what is needed neither by named images, nor by living processes, nor by builds of the last week
        (with ``all``: by any earlier build, nor by images known by digests only). Safe beside running builds."""
        return self._collector().prune(everything=all)

    def check(self) -> list[str]:
        """Reads every blob and every record; returns one line per fault."""
        return self._collector().check()
