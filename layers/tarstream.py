"""The tar stream of a layer out of a blob: decompressed, and verified when it has been read to its end."""

import hashlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

from layers.blobs import CHUNK, BlobReader
from layers.digest import DiffId, Digest
from layers.errors import IntegrityError
from layers.records import BlobRecord


class TarStream:
    """``read(n)`` gives at most n bytes, b"" at the end; the read that finds the end raises IntegrityError unless blob
    and tar have their digests. Context manager."""

    def __init__(self, blob: BlobReader, record: BlobRecord, diff_id: DiffId) -> None:
        self._blob = blob
        self._diff_id = diff_id
        self._hash = None
        self.size = 0
        """Bytes read so far; at the end, those of the tar."""
        if record.kind == "none":
            if str(record.digest) != str(diff_id):
                raise IntegrityError(f"layer {diff_id} has the uncompressed blob {record.digest}")
            self._source: Callable[[int], bytes] = blob.read
        else:
            from layers.compress import open_reader

            self._source = open_reader(blob.read)
            self._hash = hashlib.new(diff_id.algorithm, usedforsecurity=True)

    def read(self, size: int) -> bytes:
        data = self._source(size)
        self.size += len(data)
        if self._hash is not None:
            if data:
                self._hash.update(data)
            elif size:
                self._verify(self._hash.hexdigest())
        return data

    def _verify(self, digits: str) -> None:
        self._blob.drain()
        found = Digest(self._diff_id.algorithm, digits)
        if found != self._diff_id:
            raise IntegrityError(
                f"a layer's tar has the digest {found}, but its image says {self._diff_id}",
                hint="the image is broken: get it again",
            )

    def drain(self) -> None:
        """Reads what is left, so that everything is verified."""
        while self.read(CHUNK):
            pass

    def close(self) -> None:
        self._blob.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()
