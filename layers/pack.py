"""Entry stream to blob in one pass: tar, its digest, compression, the blob's digest.

The caller's thread reads files and makes the tar stream; hashing it and compressing it go on behind it in threads, by
bounded queues.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from layers.compress import Compression, open_writer
from layers.content import Seen
from layers.digest import BlobDigest, DiffId, Digest
from layers.listed import Item
from layers.making import UNMADE, Maker, Unmade
from layers.stretches import Records
from layers.tarwrite import write_tar
from layers.threads import Data, Pipe


class Packed(NamedTuple):
    """What ``pack`` made. Sizes in bytes."""

    diff_id: DiffId
    tar_size: int
    blob: BlobDigest
    blob_size: int


def pack(  # noqa: PLR0913 - what goes in, where it goes, and who is told
    entries: Iterable[Item],
    write: Callable[[bytes | memoryview], object],
    compression: Compression,
    *,
    clamp: int | None = None,
    seen: Seen | None = None,
    records: Callable[[Records], None] | None = None,
    maker: Maker | Unmade = UNMADE,
) -> Packed:
    """Packs ``entries`` (see ``tarwrite.write_tar`` for ``clamp``, ``seen``, ``records``, ``maker``), and gives
    ``write`` the blob.

    ``write`` is called in another thread, ``entries``, ``seen`` and ``records`` in this one. An error in any of them,
    or those of ``write_tar``, ends everything and is raised; what ``write`` got until then is no blob.
    """
    tar_hash = hashlib.sha256()
    blob = _Blob(write)
    if compression.kind == "none":
        with _Pipes(Pipe(tar_hash.update), Pipe(blob.write_unhashed)) as pipes:
            size = write_tar(entries, pipes.put, clamp=clamp, seen=seen, records=records, maker=maker)
        digest = Digest.from_raw(tar_hash.digest())
        return Packed(DiffId(digest), size, BlobDigest(digest), blob.size)
    compressor = open_writer(blob.write, compression)
    try:
        with _Pipes(Pipe(tar_hash.update), Pipe(compressor.write)) as pipes:
            size = write_tar(entries, pipes.put, clamp=clamp, seen=seen, records=records, maker=maker)
    except BaseException:
        compressor.cancel()
        raise
    compressor.close()
    return Packed(
        DiffId(Digest.from_raw(tar_hash.digest())), size, BlobDigest(Digest.from_raw(blob.hash.digest())), blob.size
    )


class _Blob:
    def __init__(self, write: Callable[[Data], object]) -> None:
        self._write = write
        self.hash = hashlib.sha256()
        self.size = 0

    def write(self, data: Data) -> None:
        self.hash.update(data)
        self.write_unhashed(data)

    def write_unhashed(self, data: Data) -> None:
        self.size += len(data)
        self._write(data)


class _Pipes:
    """Several pipes with the same input."""

    def __init__(self, *pipes: Pipe) -> None:
        self._pipes = pipes

    def put(self, data: Data) -> None:
        for pipe in self._pipes:
            pipe.put(data)

    def __enter__(self) -> "_Pipes":
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            for pipe in self._pipes:
                pipe.cancel()
            return
        first: BaseException | None = None
        for pipe in self._pipes:
            try:
                pipe.close()
            except BaseException as late:
                first = first or late
        if first is not None:
            raise first
