"""Archives as build contexts: told from Dockerfiles by their first bytes, unpacked into a directory made for the build.

Members keep their owners and modes, and names like ``.wh.x`` mean nothing: what BuildKit's unpacking does. What an
archive can reach is bounded by ``layers.unpack``.
"""

from collections.abc import Callable
from pathlib import Path

from layers.compress import detect, open_reader
from layers.errors import PybuildError, UnsafeArchive
from layers.tarfmt import read_tar
from layers.tarheader import BLOCK
from layers.tarmeta import parse
from layers.unpack import unpack

HEAD = BLOCK
"""Bytes that tell an archive from a text."""

Read = Callable[[int], bytes]


def read_head(read: Read) -> tuple[bytes, Read]:
    """The first ``HEAD`` bytes (fewer when there are no more), and a reader of everything, these included."""
    left = head = read_all(read, HEAD)

    def whole(size: int) -> bytes:
        nonlocal left
        if not left:
            return read(size)
        data, left = left[:size], left[size:]
        return data

    return head, whole


def read_all(read: Read, size: int) -> bytes:
    """``size`` bytes, fewer when there are no more."""
    parts: list[bytes] = []
    while size and (data := read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def is_archive(head: bytes) -> bool:
    """Whether bytes that begin like this are compressed, or begin with the header of a tar member: Docker's test."""
    if detect(head) != "none":
        return True
    if len(head) < BLOCK or not any(head):
        return False
    try:
        parse(head[:BLOCK])
    except UnsafeArchive:
        return False
    return True


def unpack_context(read: Read, directory: str, what: str) -> None:
    """Makes ``directory`` and unpacks the archive (compressed or not) that ``read`` gives. ``what`` is for messages.

    Raises UnsafeArchive and IntegrityError with the archive's name in front; OSError when the disk is full.
    """
    Path(directory).mkdir(0o700)
    try:
        unpack(read_tar(open_reader(read), whiteouts=False), directory)
    except PybuildError as error:
        raise type(error)(f"{what}: {error.message}", hint=error.hint) from error
