"""Entry: one file of a layer, in neither tar's nor overlayfs's words, and the order entries come in.

A *stream of entries* is what COPY yields, what an archive is read into, what a snapshot directory is walked as, and
what packing and unpacking consume. Rules every stream obeys:

- paths are relative bytes without a leading or trailing slash, ``.``, ``..`` or empty parts; the root has no entry;
- a directory comes before what is in it; siblings are in bytewise order of their names (``sort_key``);
- a WHITEOUT's path is that of the deleted file; an OPAQUE entry has the path of its directory and follows it at once;
- the first of several names for one file in a stream is the FILE, later ones are HARDLINK with ``link`` = first path.

Foreign archives may break the order rule; readers of archives pass on what they find and only ``unpack`` copes.
"""

import enum
from collections.abc import Callable

from layers.tuples import NamedTuple


class Kind(enum.Enum):
    FILE = "file"
    DIRECTORY = "dir"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CHAR = "char"
    BLOCK = "block"
    FIFO = "fifo"
    WHITEOUT = "whiteout"
    OPAQUE = "opaque"

    __hash__ = object.__hash__
    """Tables by kind are asked for every file of a layer: the name need not be hashed each time."""


class FileSource(NamedTuple):
    """Bytes in a file of the host. ``sha256`` (raw, 32 bytes), when given, must be that of the bytes read."""

    path: bytes
    sha256: bytes | None = None


class BytesSource(NamedTuple):
    data: bytes


class StreamSource(NamedTuple):
    """Bytes that come next in a stream: readable only until the next entry is asked for.

    ``read(n)`` returns at most n bytes, b"" at the end.
    """

    read: Callable[[int], bytes]


Source = FileSource | BytesSource | StreamSource


class Entry(NamedTuple):
    """One file of a layer. ``mode`` holds permission bits with setuid, setgid and sticky only (0o7777)."""

    path: bytes
    kind: Kind
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    link: bytes | None = None
    """Text of a SYMLINK, or the first path of a HARDLINK."""
    device: tuple[int, int] | None = None
    """(major, minor) of CHAR and BLOCK."""
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    """(full name, value), sorted by name."""
    source: Source | None = None
    """Where a FILE's ``size`` bytes are; None on entries that only describe (an index)."""


WHITEOUT_PREFIX = b".wh."
OPAQUE_NAME = b".wh..wh..opq"


def sort_key(path: bytes) -> list[bytes]:
    """Key of the stream's order: parents first, siblings bytewise."""
    return path.split(b"/")


def parents(path: bytes) -> list[bytes]:
    """The directories above ``path``, outermost first, without the root: ``a/b/c`` -> ``[a, a/b]``."""
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]


def is_reserved(path: bytes) -> bool:
    """Whether a tar cannot hold ``path``: a name in it would be read as a mark of deletion."""
    return WHITEOUT_PREFIX in path and any(part.startswith(WHITEOUT_PREFIX) for part in path.split(b"/"))


def whiteout_name(path: bytes) -> bytes:
    """The tar name of the whiteout for ``path`` (image-spec layer.md, "Whiteouts")."""
    head, slash, name = path.rpartition(b"/")
    return head + slash + WHITEOUT_PREFIX + name


def opaque_name(path: bytes) -> bytes:
    """The tar name of the opaque marker of directory ``path``; ``path`` may be empty (the root)."""
    return path + b"/" + OPAQUE_NAME if path else OPAQUE_NAME
