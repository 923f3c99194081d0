"""Images to registries: blobs first, several at once, each only if it is not there; manifests last, then their tags.

A blob that is there costs one HEAD; one that another repository of the registry has is mounted, not sent.
"""

import io
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from typing import Protocol

from layers.blobs import Progress
from layers.digest import BlobDigest, Digest
from layers.image import Descriptor
from layers.tuples import NamedTuple
from registry.errors import RegistryError, Stopped
from registry.pace import Pace
from registry.parallel import run_all
from registry.reference import Reference
from registry.repository import Repository, Upload
from registry.session import CONNECTIONS, Session
from registry.upload import CHUNK_SIZE, Blob, Uploader

_MOUNTS = 3
"""Repositories that are asked for a blob before it is sent."""


class Document(NamedTuple):
    """A manifest or an index, as the bytes to be stored."""

    raw: bytes
    media_type: str


class PushedImage(NamedTuple):
    """``blobs``: configs and layers. ``documents``: what others refer to comes before them; the last is tagged."""

    blobs: tuple[Blob, ...]
    documents: tuple[Document, ...]


class Origins(Protocol):
    """Remembers which repositories of which registries have a blob; safe to use from many threads."""

    def repositories(self, host: str, digest: BlobDigest) -> Sequence[str]: ...

    def remember(self, host: str, repository: str, digest: BlobDigest) -> None: ...


class KnownOrigins:
    """Origins of this process alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, BlobDigest], tuple[str, ...]] = {}

    def repositories(self, host: str, digest: BlobDigest) -> Sequence[str]:
        with self._lock:
            return self._known.get((host, digest), ())

    def remember(self, host: str, repository: str, digest: BlobDigest) -> None:
        with self._lock:
            before = self._known.get((host, digest), ())
            self._known[host, digest] = tuple(dict.fromkeys((*before, repository)))


def bytes_blob(data: bytes, media_type: str) -> Blob:
    """A blob from memory: a config."""
    descriptor = Descriptor(media_type, BlobDigest(Digest.of(data)), len(data))
    return Blob(descriptor, lambda: io.BytesIO(data))


class Push:
    """A push to one repository, in steps: a build checks first, sends layers as they come, and seals at its end.

    Safe to use from many threads. Once ``abort`` is called, or a step failed, its upload sessions are deleted.
    """

    def __init__(self, repository: Repository, origins: Origins, pace: Pace, *, chunk_size: int = CHUNK_SIZE) -> None:
        self._repository = repository
        self._origins = origins
        self._stop = threading.Event()
        self._uploader = Uploader(repository, pace, self._stop, chunk_size=chunk_size)
        self._lock = threading.Lock()
        self._sent: dict[BlobDigest, Future[None]] = {}

    def check(self) -> None:
        """Whether we may push, by starting an upload and giving it up. Raises LoginNeeded, WrongCredential, Denied.

        Where we may not delete, not even our own upload, the registry ends it in its time.
        """
        upload = self._repository.start_upload()
        assert upload is not None
        with suppress(RegistryError):
            self._repository.cancel_upload(upload)

    def send(self, blob: Blob, progress: Progress | None = None) -> None:
        """Puts it there if it is not, once: who comes later waits. Raises RegistryError.

        ``progress`` is told of bytes sent, negative when some have to be sent again, and of all at once for a blob
        that need not be sent.
        """
        digest = blob.descriptor.digest
        with self._lock:
            found = self._sent.get(digest)
            mine: Future[None] = Future()
            if found is None:
                self._sent[digest] = mine
        if found is not None:
            found.result()
            return
        try:
            self._send(blob, progress or (lambda _: None))
        except BaseException as error:
            with self._lock:
                del self._sent[digest]  # a later try begins anew
            mine.set_exception(error)
            raise
        mine.set_result(None)

    def send_all(self, blobs: Iterable[Blob], connections: int, progress: Progress | None = None) -> None:
        """Several at once; the first failure stops the others."""
        run_all([partial(self.send, blob, progress) for blob in blobs], connections, self._stop)

    def seal(self, documents: Sequence[Document], tags: Sequence[str]) -> Digest:
        """Manifests, when all blobs are there; the last gets ``tags``, or none and is known by its digest, returned.

        The credential is asked for anew: building may have taken longer than it is good for.
        """
        self._repository.client.renew()
        for document in documents[:-1]:
            self._repository.put_manifest(Digest.of(document.raw), document.raw, document.media_type)
        last = documents[-1]
        digest = Digest.of(last.raw)
        for name in tags or (digest,):
            self._repository.put_manifest(name, last.raw, last.media_type)
        return digest

    def abort(self) -> None:
        """Stops what is on its way, and deletes the upload sessions."""
        self._stop.set()
        self._uploader.give_up()

    def _send(self, blob: Blob, progress: Progress) -> None:
        if self._stop.is_set():
            raise Stopped
        digest, host = blob.descriptor.digest, self._repository.client.name
        if self._repository.head_blob(digest) is not None:
            progress(blob.descriptor.size)
        else:
            mounted, upload = self._mount(digest)
            if mounted:
                progress(blob.descriptor.size)
            else:
                self._uploader.send(blob, progress, upload)
        self._origins.remember(host, self._repository.repository, digest)

    def _mount(self, digest: BlobDigest) -> tuple[bool, Upload | None]:
        """Whether another repository of the registry gave the blob, the newest first; else a session to send it in, if
        one was opened: it may be that the blob would have to be fetched first."""
        known = self._origins.repositories(self._repository.client.name, digest)
        others = [name for name in known if name != self._repository.repository][-_MOUNTS:]
        upload = None
        while others:
            if upload is not None:
                self._repository.cancel_upload(upload)
            upload = self._repository.start_upload(digest, others.pop())
            if upload is None:
                return True, None
        return False, upload


class Pushed(NamedTuple):
    reference: Reference
    digest: Digest


def push(
    session: Session,
    references: Sequence[Reference],
    image: PushedImage,
    origins: Origins,
    progress: Callable[[Reference, int], None] | None = None,
) -> tuple[Pushed, ...]:
    """To all ``references``, registries at once, repositories of one registry in turn so that the later ones mount.

    A reference without a tag is pushed by digest. All are tried; then the first failure is raised. ``progress`` is
    told the reference (the first of its repository) and bytes, from several threads.
    """
    hosts: dict[str, dict[str, list[Reference]]] = {}
    works: list[Push] = []
    for reference in dict.fromkeys(references):
        hosts.setdefault(reference.host, {}).setdefault(reference.repository, []).append(reference)

    def to_host(repositories: dict[str, list[Reference]]) -> list[Pushed]:
        done = []
        for group in repositories.values():
            work = Push(session.target(group[0]), origins, session.pace)
            works.append(work)
            done += _to_repository(work, group, image, progress)
        return done

    with ThreadPoolExecutor(max(1, len(hosts)), "push-host") as pool:
        try:
            made = [pool.submit(to_host, repositories) for repositories in hosts.values()]
            wait(made)
        except BaseException:
            for work in works:
                work.abort()
            raise
    return tuple(pushed for future in made for pushed in future.result())


def _to_repository(
    work: Push,
    group: Sequence[Reference],
    image: PushedImage,
    progress: Callable[[Reference, int], None] | None,
) -> list[Pushed]:
    tell = None if progress is None else (lambda count: progress(group[0], count))
    try:
        work.send_all(image.blobs, CONNECTIONS, tell)
        digest = work.seal(image.documents, [reference.tag for reference in group if reference.tag])
    except BaseException:
        work.abort()
        raise
    return [Pushed(reference, digest) for reference in group]
