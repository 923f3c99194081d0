"""The process beside a build that reads a large context: Python's lock lets one thread at a time list and open files.

Messages (layers.beside) are ``marshal``. First comes (root of the context, pickled ignore matcher or nothing), which
has no answer. Then either of

- ("hash", files), each file (path below the root, size, device, inode, mtime_ns, ctime_ns): the answer has 32 bytes a
  file, the raw SHA-256, or zeros for one that could not be read, is larger than a job's files may be, or is not the one
  that was meant;
- ("list", directories, number, thorough): their listings and those of what is below them, parents first, until there
  are so many names: (path, what ``Listing`` is made of). ``thorough``: with extras, digests and rows as far as files
  are small. What cannot be read is left out.
"""

import hashlib
import marshal
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.plan.content import digest_rows, plain_row
from builder.plan.listing import carried_xattr
from builder.plan.rows import row
from layers.beside import read_message, write_message
from layers.listed import PLAIN, UNKNOWN

if TYPE_CHECKING:
    from builder.plan.hostfiles import HostFiles, Ignores
    from builder.plan.listing import Listing
    from layers.listed import Extra, Stat

LARGEST = 64 << 10

Key = tuple[int, int, int, int, int]
"""Size, device, inode, mtime_ns, ctime_ns."""

File = tuple[bytes, int, int, int, int, int]

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def hash_one(path: bytes, key: Key) -> bytes:
    """``key``: size, device, inode, mtime_ns, ctime_ns, as they were when the file was listed."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return UNKNOWN
    try:
        return _hash(descriptor, key)
    except OSError:
        return UNKNOWN
    finally:
        os.close(descriptor)


def _hash(descriptor: int, key: Key) -> bytes:
    data = os.read(descriptor, key[0] + 1)
    status = os.fstat(descriptor)
    found = (status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(data).digest() if found == key and len(data) == key[0] else UNKNOWN


def hashes(root: bytes, files: Sequence[File]) -> bytes:
    prefix = root + b"/"
    return b"".join([hash_one(prefix + file[0], file[1:]) if file[1] <= LARGEST else UNKNOWN for file in files])


def listings(files: "HostFiles", directories: Sequence[bytes], number: int, *, thorough: bool) -> bytes:
    from layers.errors import PybuildError

    found = []
    names = 0
    todo = list(reversed(directories))
    while todo and names < number:
        path = todo.pop()
        try:
            listing = files.read(path)
            if thorough:
                _look_into(files, path, listing)
        except (PybuildError, OSError):
            continue  # the build does it again, and tells what is wrong
        found.append((path, *listing.carried()))
        names += listing.size
        prefix = path + b"/" if path else b""
        todo += [prefix + name for name in reversed(listing.folders)]
    return marshal.dumps(found, 2)


def _look_into(files: "HostFiles", path: bytes, listing: "Listing") -> None:
    """Extras, digests and rows, in one pass over the names."""
    folder = os.open(files.path(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listing.extras, digests, rows = _closer(files, path, folder, listing.stats())
    finally:
        os.close(folder)
    listing.weigh()
    listing.digests = bytearray(b"".join(digests))
    listing.rows = digest_rows(rows) if rows is not None else None


def _closer(
    files: "HostFiles", path: bytes, folder: int, stats: "Sequence[Stat]"
) -> "tuple[dict[int, Extra], list[bytes], list[bytes] | None]":
    prefix = files.path(path) + b"/"
    extras = {}
    digests = []
    rows: list[bytes] | None = []
    for position, record in enumerate(stats):
        name, mode, inode, device, _, _, _, size, mtime_ns, ctime_ns, _ = record
        digest = UNKNOWN
        if regular := mode & 0o170000 == stat.S_IFREG:
            key = (size, device, inode, mtime_ns, ctime_ns)
            if size <= LARGEST:
                digest = _hash_plain(folder, name, key)
        if digest != UNKNOWN:
            digests.append(digest)
            if rows is not None:
                rows.append(plain_row(name, mode & 0o7777, digest))
            continue
        extra = files.look_closer(prefix + name, record)
        if extra is not PLAIN:
            extras[position] = extra
        if regular and size <= LARGEST:
            digest = hash_one(prefix + name, key)
        digests.append(digest)
        if digest == UNKNOWN and regular:
            rows = None
        if rows is not None:
            rows.append(row(files.root, path, record, extra, digest))
    return extras, digests, rows


def _hash_plain(folder: int, name: bytes, key: Key) -> bytes:
    """As ``hash_one``, of a file in the directory ``folder``; UNKNOWN also for one with attributes that COPY keeps."""
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=folder)
    except OSError:
        return UNKNOWN
    try:
        names = os.listxattr(descriptor)
        if names and any(carried_xattr(os.fsencode(name)) for name in names):
            return UNKNOWN
        return _hash(descriptor, key)
    except OSError:
        return UNKNOWN
    finally:
        os.close(descriptor)


def main() -> None:
    from builder.plan.contextmemory import NOTHING_KNOWN, Memory
    from builder.plan.hostfiles import HostFiles

    first = read_message(0)
    if first is None:
        return
    root, pickled = marshal.loads(first)  # noqa: S302 - from the process that started this one
    matcher: Ignores | None = None
    if pickled:
        import pickle

        matcher = pickle.loads(pickled)  # noqa: S301 - likewise
    while (job := read_message(0)) is not None:
        what, *rest = marshal.loads(job)  # noqa: S302 - likewise
        if what == "hash":
            answer = hashes(root, *rest)
        else:
            files = HostFiles(root, matcher, Memory(NOTHING_KNOWN, 0), owners=False)
            directories, number, thorough = rest
            answer = listings(files, directories, number, thorough=thorough)
        write_message(1, answer)
