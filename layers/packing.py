"""Layers as archives: entries become blobs, snapshots get diff ids, and blobs in the compression asked for."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from layers import media
from layers.blobs import CHUNK, BlobWriter, Progress
from layers.digest import BlobDigest, DiffId, Digest, LayerId, Rootfs
from layers.entry import Entry
from layers.errors import NotInStore
from layers.image import Descriptor
from layers.keptindexes import adopt
from layers.leases import remove_tree
from layers.listed import Item
from layers.materialise import Materialiser, open_blob, unclamped
from layers.pullrecords import Origin
from layers.records import BlobRecord, LayerRecord, Packing
from layers.storecontext import StoreContext
from layers.supply import kind_of
from layers.tarstream import TarStream
from layers.workspace import make_root

if TYPE_CHECKING:
    from layers.compress import Compression
    from layers.making import Maker, Unmade
    from layers.pack import Packed

WRITABLE = frozenset({"none", "gzip", "zstd"})
"""Compressions that manifests have media types for."""


class Packer:
    """Thread-safe; a layer is packed by one thread at a time, the others take its result."""

    def __init__(self, context: StoreContext, materialiser: Materialiser) -> None:
        self._context = context
        self._materialiser = materialiser

    def add_layer(
        self,
        entries: Iterable[Item],
        below: Rootfs,
        compression: "Compression",
        *,
        made: bool = False,
        read_soon: bool = True,
    ) -> LayerId:
        """``made``: in a directory, too, if it can be had by the way. ``read_soon``: what is packed."""
        from layers.compress import writer_id
        from layers.indexing import Indexer, lasting
        from layers.pack import pack

        context = self._context
        context.hold(below)
        temporary, directory = context.lease.temporary("index"), context.lease.temporary("snapshot")
        try:
            with (
                Indexer(temporary, lambda: self._materialiser.tree(below, contents=False)) as index,
                context.blobs.writer(read_soon=read_soon) as writer,
                _maker(directory, made=made) as maker,
            ):
                told = self._told(writer, None)
                seen, records = index.add, index.add_records
                packed = pack(lasting(entries), told, compression, seen=seen, records=records, maker=maker)
                index.finish()
                whole = maker.finish()
                writer.commit(packed.blob, packed.blob_size)
            blob = BlobRecord(
                compression.kind, compression.level, writer_id(compression), packed.blob, packed.blob_size
            )
            return self._record_layer(below, packed, blob, (temporary, directory if whole else None))
        finally:
            remove_tree(temporary)
            remove_tree(directory)

    def _record_layer(
        self, below: Rootfs, packed: "Packed", blob: BlobRecord, files: tuple[str, str | None]
    ) -> LayerId:
        """The new layer, or the one of the same content in the same place that is there already."""
        context = self._context
        index, directory = files
        with context.placing():
            layer = context.layers.same_content(packed.diff_id, below)
            if layer is None:
                layer = context.layers.add(below, indexed=context.boot)
                context.layers.add_packing(layer, None, Packing(packed.diff_id, packed.tar_size))
                context.place(index, context.index_path(layer))
            context.layers.add_blob(packed.diff_id, blob)
            context.lease.hold_layers((layer,))
            now = context.layers.get(layer) if directory is not None else None
            if directory is not None and now is not None and not now.snapshot:
                context.place(directory, context.snapshot_path(layer))
                context.layers.set_snapshot(layer, context.boot)
        return layer

    def import_layer(self, diff_id: DiffId, blob: Descriptor, below: Rootfs, origins: Sequence[Origin] = ()) -> LayerId:
        context = self._context
        context.hold(below)
        record = None
        if context.blobs.has(blob.digest):
            record = BlobRecord(kind_of(context.blobs, diff_id, blob.digest), 0, "", blob.digest, blob.size)
            verified = self._verified(diff_id, record)
        elif not origins:
            raise NotInStore(f"blob {blob.digest} of layer {diff_id} is not in the store")
        if origins:
            context.supply.doubt_rivals(diff_id, blob.digest)
        with context.placing():
            layer = context.layers.imported(diff_id, below)
            if layer is None:
                chain = context.layers.chain(below)
                layer = context.layers.add(below, imported=diff_id)
                adopt(layer, (*chain, str(diff_id)), context)
            if record is not None:
                if verified:
                    context.layers.forget_foreign_blobs(diff_id)
                context.layers.add_blob(diff_id, record)
            if origins:
                context.supply.note(diff_id, blob, origins)
            context.lease.hold_layers((layer,))
        return layer

    def _verified(self, diff_id: DiffId, record: BlobRecord) -> bool:
        """Whether the blob was read and is the layer's. It is read only where others are known: a false one must not
        take the place of a true one, of an image that has nothing to do with this one; nor one be used instead."""
        rivals = [blob for blob in self._context.layers.blobs(diff_id) if blob.digest != record.digest]
        if not rivals or record.kind == "none":
            return False
        with TarStream(self._context.blobs.open(record.digest, record.size), record, diff_id) as stream:
            stream.drain()
        return True

    def packing(self, layer: LayerId, clamp: int | None) -> Packing:
        """Diff id and size of a layer's tar; reads the layer when they are not known."""
        known = self._context.packing(layer, clamp)
        if known is not None:
            return known
        record = self._context.record(layer)
        from layers.compress import NONE
        from layers.pack import pack

        with self._context.once(("pack", layer, clamp)):
            known = self._context.layers.packing(layer, clamp)
            if known is not None:
                return known
            with self._entries(record) as entries:
                packed = pack(entries, self._ignore, NONE, clamp=clamp)
            packing = Packing(packed.diff_id, packed.tar_size)
            self._context.layers.add_packing(layer, clamp, packing)
            return packing

    def blob(
        self, layer: LayerId, clamp: int | None, compression: "Compression", progress: Progress | None = None
    ) -> Descriptor:
        self._context.hold((layer,))
        record = self._context.record(layer)
        imported = record.imported
        if imported is not None:
            clamp = None
        with self._context.once(("pack", layer, clamp)):
            if imported is not None:
                return self._imported_blob(imported, compression, progress)
            known = self._context.layers.packing(layer, clamp)
            found = self._compressed(known.diff_id, compression) if known is not None else None
            if found is None and known is not None and self._context.supply.stored(known.diff_id) is not None:
                found = self._recompress(known.diff_id, compression, progress)
            return _descriptor(found or self._pack(record, clamp, compression, progress))

    def _imported_blob(self, diff_id: DiffId, compression: "Compression", progress: Progress | None) -> Descriptor:
        """Its own, which may be at its origin still; else another one. One of another kind is made anew if that is
        forced."""
        supply = self._context.supply

        def fits(kind: str) -> bool:
            return not compression.forced or kind == compression.kind

        own = self._present(blob for blob in self._context.layers.blobs(diff_id) if not blob.writer and fits(blob.kind))
        if own is not None:
            return _descriptor(own)
        claimed = supply.claimed(diff_id)
        if claimed is not None and fits(media.compression_of(claimed.media_type)):
            return Descriptor(media.oci_layer(media.compression_of(claimed.media_type)), claimed.digest, claimed.size)
        made = self._compressed(diff_id, compression)
        if made is None and supply.stored(diff_id) is None:
            fetched = supply.blob(diff_id)
            made = fetched if fetched.kind in WRITABLE and fits(fetched.kind) else None
        return _descriptor(made or self._recompress(diff_id, compression, progress))

    def layer_tar(self, layer: LayerId, clamp: int | None) -> TarStream:
        from layers.compress import NONE

        self._context.hold((layer,))
        record = self._context.record(layer)
        if record.imported is not None:
            return open_blob(self._context, record)
        packing = self.packing(layer, clamp)
        blob = self._context.supply.stored(packing.diff_id)
        if blob is None:
            self.blob(layer, clamp, NONE)
            blob = self._context.supply.stored(packing.diff_id)
            if blob is None:
                raise NotInStore(f"the tar of layer {layer} is not in the store")
        return TarStream(self._context.blobs.open(blob.digest, blob.size), blob, packing.diff_id)

    def _compressed(self, diff_id: DiffId, compression: "Compression") -> BlobRecord | None:
        """A stored blob of this compression. One by another library or version will do: blobs are never made again.
        But no foreign one, which nobody may have read yet."""
        same = [
            blob
            for blob in self._context.layers.blobs(diff_id)
            if blob.kind == compression.kind
            and ((blob.writer and blob.level == compression.level) or blob.kind == "none")
        ]
        return self._present(same)

    def _present(self, blobs: Iterable[BlobRecord]) -> BlobRecord | None:
        usable = (blob for blob in blobs if blob.kind in WRITABLE)
        return next((blob for blob in usable if self._context.blobs.has(blob.digest)), None)

    def _recompress(self, diff_id: DiffId, compression: "Compression", progress: Progress | None) -> BlobRecord:
        """The same tar in another compression."""
        from layers.compress import open_writer, writer_id

        context = self._context
        blob = context.supply.stored(diff_id)
        if blob is None:
            raise NotInStore(f"the bytes of layer {diff_id} are not in the store", hint="load the image again")
        content = hashlib.sha256()
        with (
            TarStream(context.blobs.open(blob.digest, blob.size), blob, diff_id) as stream,
            context.blobs.writer() as out,
        ):
            told = self._told(out, progress)

            def write(data: bytes | memoryview) -> None:
                content.update(data)
                told(data)

            compressor = open_writer(write, compression)
            try:
                while data := stream.read(CHUNK):
                    compressor.write(data)
            except BaseException:
                compressor.cancel()
                raise
            compressor.close()
            digest = BlobDigest(Digest("sha256", content.hexdigest()))
            out.commit(digest, out.size)
            made = BlobRecord(compression.kind, compression.level, writer_id(compression), digest, out.size)
        context.layers.add_blob(diff_id, made)
        return made

    def _pack(
        self, record: LayerRecord, clamp: int | None, compression: "Compression", progress: Progress | None
    ) -> BlobRecord:
        """From the layer's entries, in one pass."""
        from layers.compress import writer_id
        from layers.pack import pack

        context = self._context
        with self._entries(record) as entries, context.blobs.writer() as out:
            packed = pack(entries, self._told(out, progress), compression, clamp=clamp)
            out.commit(packed.blob, packed.blob_size)
        blob = BlobRecord(compression.kind, compression.level, writer_id(compression), packed.blob, packed.blob_size)
        with context.database.transaction():
            context.layers.add_packing(record.id, clamp, Packing(packed.diff_id, packed.tar_size))
            context.layers.add_blob(packed.diff_id, blob)
        return blob

    def _ignore(self, data: bytes | memoryview) -> None:
        """Where bytes go that only their digest is wanted of."""
        self._context.supply.check()

    def _told(self, writer: BlobWriter, progress: Progress | None) -> Callable[[bytes | memoryview], None]:
        """``writer.write``, with ``progress`` told of every write."""
        check = self._context.supply.check

        def write(data: bytes | memoryview) -> None:
            check()
            writer.write(data)
            if progress is not None:
                progress(len(data))

        return write

    @contextmanager
    def _entries(self, record: LayerRecord) -> Iterator[Iterable[Entry]]:
        """What a layer holds, unclamped: its tar if there is a blob of it, else its snapshot."""
        diff_id = unclamped(self._context, record)
        if diff_id is not None and self._context.supply.stored(diff_id) is not None:
            from layers.tarfmt import read_tar

            with open_blob(self._context, record) as stream:
                yield read_tar(stream.read)
                stream.drain()
        else:
            from layers.overlayfmt import read_upper

            if not record.snapshot:
                raise NotInStore(f"layer {record.id} has neither a snapshot nor a blob", hint="build it again")
            below = self._materialiser.tree(record.below, contents=True)
            yield read_upper(self._context.snapshot_path(record.id), below)


def _maker(directory: str, *, made: bool) -> "AbstractContextManager[Maker | Unmade]":
    from layers.making import UNMADE, Maker

    if not made:
        return nullcontext(UNMADE)
    make_root(directory)
    return Maker(os.fsencode(directory))


def _descriptor(blob: BlobRecord) -> Descriptor:
    return Descriptor(media.oci_layer(blob.kind), blob.digest, blob.size)
