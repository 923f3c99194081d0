"""The files of an image layout or archive by name, whether it is a directory or a tar file.

Made for reading what others wrote: nothing outside a layout is opened, only regular files are read, and an archive
that is compressed or comes through a pipe is first copied to an unnamed temporary file.
"""

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from layers.compress import detect, open_reader
from layers.errors import IntegrityError, InvalidImage
from layers.gojson import MAX_DOCUMENT

_MAX_MEMBERS = 100_000
_MAX_LINKS = 40
_SNIFF = 512
_CHUNK = 1 << 20


class ImageFiles(Protocol):
    """Names are relative, with slashes, as in ``blobs/sha256/...``."""

    def size(self, name: str) -> int | None:
        """In bytes; None when there is no such regular file."""

    def open(self, name: str) -> BinaryIO:
        """Raises InvalidImage when there is no such regular file."""


def read_document(files: ImageFiles, name: str) -> bytes:
    """A whole small file. Raises InvalidImage when it is missing or larger than a document may be."""
    with files.open(name) as file:
        raw = file.read(MAX_DOCUMENT + 1)
    if len(raw) > MAX_DOCUMENT:
        raise InvalidImage(f"{name} is more than {MAX_DOCUMENT} bytes long")
    return raw


@contextmanager
def open_image_files(path: str) -> Iterator[ImageFiles]:
    """``path`` is a directory or a tar file (compressed or not), "-" standard input. Raises InvalidImage otherwise."""
    if path != "-" and os.path.isdir(path):
        yield _Directory(path)
        return
    with _seekable(path) as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield _Archive(path, archive)
        except (tarfile.TarError, EOFError) as error:
            raise InvalidImage(
                f"{path} is neither an image layout nor an archive: {error}",
                hint="give an OCI layout (a directory or tar file) or what 'docker save' wrote",
            ) from error


@contextmanager
def _seekable(path: str) -> Iterator[BinaryIO]:
    descriptor = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and path != "-":
            kind = detect(file.read(_SNIFF))
            file.seek(0)
            if kind == "none":
                yield file
                return
        with tempfile.TemporaryFile() as copy:
            try:
                read = open_reader(file.read)
                while data := read(_CHUNK):
                    copy.write(data)
            except IntegrityError as error:
                raise IntegrityError(f"{path}: {error.message}") from error
            copy.seek(0)
            yield copy


class _Directory:
    def __init__(self, path: str) -> None:
        self._path = path

    def _open(self, name: str) -> int | None:
        if any(part in {"", ".", ".."} for part in name.split("/")):
            return None
        try:
            # O_NONBLOCK: a pipe in a layout must not hang the open; it is refused below.
            descriptor = os.open(os.path.join(self._path, name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return descriptor

    def size(self, name: str) -> int | None:
        descriptor = self._open(name)
        if descriptor is None:
            return None
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def open(self, name: str) -> BinaryIO:
        descriptor = self._open(name)
        if descriptor is None:
            raise InvalidImage(f"{self._path} has no file {name}")
        return os.fdopen(descriptor, "rb", buffering=0)


class _Archive:
    """Members by cleaned name, the last of equal names winning; links among members are followed."""

    def __init__(self, path: str, archive: tarfile.TarFile) -> None:
        self._path = path
        self._archive = archive
        self._members: dict[str, tarfile.TarInfo] = {}
        for count, member in enumerate(archive):
            if count >= _MAX_MEMBERS:
                raise InvalidImage(f"{path} has more than {_MAX_MEMBERS} members: that is no image")
            self._members[os.path.normpath(member.name)] = member

    def _find(self, name: str) -> tarfile.TarInfo | None:
        for _ in range(_MAX_LINKS):
            member = self._members.get(name)
            if member is None or not (member.issym() or member.islnk()):
                return member
            start = os.path.dirname(name) if member.issym() else ""
            name = os.path.normpath(os.path.join(start, member.linkname))
        return None

    def size(self, name: str) -> int | None:
        member = self._find(os.path.normpath(name))
        return member.size if member is not None and member.isreg() else None

    def open(self, name: str) -> BinaryIO:
        member = self._find(os.path.normpath(name))
        file = None if member is None or not member.isreg() else self._archive.extractfile(member)
        if file is None:
            raise InvalidImage(f"{self._path} has no file {name}")
        return file  # type: ignore[return-value]  # typeshed calls it IO[bytes]; it is an io.BufferedReader
