"""One blob to one repository: in chunks, taking up a broken upload where the registry stands."""

import functools
import threading
from collections.abc import Callable
from typing import Protocol

from layers.blobs import Progress
from layers.digest import BlobDigest
from layers.errors import IntegrityError
from layers.image import Descriptor
from layers.tuples import NamedTuple
from registry.errors import BadAnswer, RegistryError, Stopped, UnknownName
from registry.pace import Pace
from registry.repository import Repository, Upload

CHUNK_SIZE = 32 << 20
"""Bytes sent in one request: what is lost at most when a connection breaks, and small enough to renew tokens often."""
_LEAST_CHUNK = 1 << 20
_SKIP = 1 << 20
_NO_CHUNKS = frozenset({400, 404, 405, 416, 501})
_TOO_LARGE = 413


class Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; b"" at the end."""
        ...

    def close(self) -> None: ...


class Blob(NamedTuple):
    """What to send, and how to read it from its begin, as often as need be."""

    descriptor: Descriptor
    open: Callable[[], Readable]


class _Source:
    """The bytes of a blob from any offset on; tells of progress, also backwards."""

    def __init__(self, blob: Blob, progress: Progress, stop: threading.Event) -> None:
        self._blob = blob
        self._progress = progress
        self._stop = stop
        self._reader: Readable | None = None
        self._position = 0
        self._told = 0

    def at(self, offset: int) -> None:
        if self._reader is None or offset < self._position:
            self.close()
            self._reader, self._position = self._blob.open(), 0
        while self._position < offset:
            self._take(min(_SKIP, offset - self._position))
        self.tell(offset)

    def read(self, size: int) -> bytes:
        if self._stop.is_set():
            raise Stopped
        data = self._take(size)
        self.tell(self._position)
        return data

    def _take(self, size: int) -> bytes:
        assert self._reader is not None
        data = self._reader.read(size)
        if not data:
            raise IntegrityError(f"blob {self._blob.descriptor.digest} has {self._position} bytes, not what it should")
        self._position += len(data)
        return data

    def tell(self, offset: int) -> None:
        if offset != self._told:
            self._progress(offset - self._told)
            self._told = offset

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Slice:
    """``size`` bytes of a source, as the body of a request."""

    def __init__(self, source: _Source, offset: int, size: int) -> None:
        source.at(offset)
        self._source = source
        self._size = size
        self._left = size

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        data = self._source.read(wanted)
        self._left -= len(data)
        return data


class Uploader:
    """Sends blobs to one repository; remembers its open sessions so that they can be given up."""

    def __init__(
        self, repository: Repository, pace: Pace, stop: threading.Event, *, chunk_size: int = CHUNK_SIZE
    ) -> None:
        self._repository = repository
        self._pace = pace
        self._stop = stop
        self._chunk_size = chunk_size
        self._lock = threading.Lock()
        self._sessions: dict[BlobDigest, Upload] = {}

    def send(self, blob: Blob, progress: Progress, upload: Upload | None = None) -> None:
        """Until the registry has it; ``upload`` is a session that is already open.

        A failed attempt goes on where the registry stands. Raises RegistryError, and IntegrityError when the bytes
        are not there to be sent.
        """
        source = _Source(blob, progress, self._stop)
        clock, patience = self._pace.clock, self._pace.patience
        attempt = _Attempt(self._chunk_size, blob.descriptor.size)
        try:
            while True:
                upload = self._kept(blob, upload or self._started())
                before = upload.offset
                try:
                    self._pass(blob, source, upload, attempt)
                except RegistryError as error:
                    if self._stop.is_set():
                        raise Stopped from error
                    upload = self._recovered(blob, error, attempt)
                    if upload is None and self._arrived(blob, error):
                        break
                    progressed = upload is not None and upload.offset > before
                    attempt.failures = 0 if progressed else attempt.failures + 1
                    if attempt.failures >= patience.attempts:
                        raise
                    clock.sleep(patience.wait(attempt.failures, clock.jitter()))
                else:
                    break
            source.tell(blob.descriptor.size)
            self._forget(blob)
        finally:
            source.close()

    def give_up(self) -> None:
        """Deletes the sessions that are open. What fails of that is for the registry to clean up in its time."""
        with self._lock:
            sessions, self._sessions = tuple(self._sessions.values()), {}
        for upload in sessions:
            try:
                self._repository.cancel_upload(upload)
            except RegistryError:
                continue

    def _started(self) -> Upload | None:
        try:
            return self._repository.start_upload()
        except RegistryError as error:
            if self._stop.is_set():
                raise Stopped from error
            raise

    def _pass(self, blob: Blob, source: _Source, upload: Upload, attempt: "_Attempt") -> None:
        """From where ``upload`` stands to the end."""
        size, digest = blob.descriptor.size, blob.descriptor.digest
        if not upload.offset and size <= attempt.chunk_size:
            # A small one takes one request, not two.
            self._repository.finish_upload(upload, digest, functools.partial(_Slice, source, 0, size) if size else b"")
            return
        while upload.offset < size:
            begin, length = upload.offset, min(max(attempt.chunk_size, upload.least), size - upload.offset)
            body = functools.partial(_Slice, source, begin, length)
            upload = self._kept(blob, self._repository.patch(upload, length, body))
            if not begin < upload.offset <= begin + length:
                raise BadAnswer(f"{self._repository.name} claims to have other bytes of an upload than were sent")
        self._repository.finish_upload(upload, digest)

    def _recovered(self, blob: Blob, error: RegistryError, attempt: "_Attempt") -> Upload | None:
        """Where to go on after ``error``: None for a new session. Raises it again when nothing helps."""
        status = error.where.status
        with self._lock:
            upload = self._sessions.get(blob.descriptor.digest)
        if status == _TOO_LARGE and attempt.chunk_size > _LEAST_CHUNK:
            # A proxy before the registry limits the length of requests.
            attempt.chunk_size = max(_LEAST_CHUNK, attempt.chunk_size // 4)
        elif status in _NO_CHUNKS and upload is not None and upload.offset and attempt.chunk_size < attempt.size:
            # Some registries take one PATCH only: all in one then, in a new session.
            attempt.chunk_size = attempt.size
            self._cancel(blob, upload)
            return None
        elif not (error.temporary or (upload is not None and (isinstance(error, UnknownName) or status == 416))):
            raise error
        if upload is None:
            return None
        try:
            found = self._repository.upload_status(upload)
        except RegistryError:
            self._cancel(blob, upload)
            return None
        if found.offset > blob.descriptor.size:
            self._cancel(blob, upload)
            return None
        return self._kept(blob, found)

    def _arrived(self, blob: Blob, error: RegistryError) -> bool:
        """Whether an upload whose end nobody saw was completed."""
        return error.temporary and self._repository.head_blob(blob.descriptor.digest) is not None

    def _kept(self, blob: Blob, upload: Upload | None) -> Upload:
        assert upload is not None
        with self._lock:
            self._sessions[blob.descriptor.digest] = upload
        return upload

    def _forget(self, blob: Blob) -> None:
        with self._lock:
            self._sessions.pop(blob.descriptor.digest, None)

    def _cancel(self, blob: Blob, upload: Upload) -> None:
        self._forget(blob)
        try:
            self._repository.cancel_upload(upload)
        except RegistryError:
            return  # gone, or for the registry to clean up


class _Attempt:
    """What changes from try to try."""

    def __init__(self, chunk_size: int, size: int) -> None:
        self.chunk_size = chunk_size
        self.size = size
        self.failures = 0
