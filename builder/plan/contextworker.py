"""The process beside a build that reads a large context: Python's lock lets one thread at a time list and open files.

Messages (layers.beside) are ``marshal``. First comes (root of the context, pickled ignore matcher or nothing), which
has no answer. Then either of

- ("hash", files), each file (path below the root, its StatKey): the answer has 32 bytes a
  file, the raw SHA-256, or zeros for one that could not be read, is larger than a job's files may be, or is not the one
  that was meant;
- ("list", directories, number, thorough): their listings and those of what is below them, parents first, until there
  are so many names: (path, what ``Listing`` is made of). ``thorough``: with extras, digests and rows as far as files
  are small. What cannot be read is left out.
"""

import marshal
from collections.abc import Sequence
from typing import TYPE_CHECKING

from builder.plan.closely import hash_or_unknown, read_closely
from builder.plan.hashing import SMALL
from layers.beside import read_message, write_message
from layers.filedigests import StatKey
from layers.listed import UNKNOWN

if TYPE_CHECKING:
    from builder.plan.hostfiles import HostFiles, Ignores

File = tuple[bytes, StatKey]


def hashes(root: bytes, files: Sequence[File]) -> bytes:
    prefix = root + b"/"
    return b"".join([hash_or_unknown(prefix + name, key) if key[2] <= SMALL else UNKNOWN for name, key in files])


def listings(files: "HostFiles", directories: Sequence[bytes], number: int, *, thorough: bool) -> bytes:
    from layers.errors import PybuildError

    found = []
    names = 0
    todo = list(reversed(directories))
    while todo and names < number:
        path = todo.pop()
        try:
            listing = read_closely(files, path) if thorough else files.read(path)
        except (PybuildError, OSError):
            continue  # the build does it again, and tells what is wrong
        found.append((path, *listing.carried()))
        names += listing.size
        prefix = path + b"/" if path else b""
        todo += [prefix + name for name in reversed(listing.folders)]
    return marshal.dumps(found, 2)


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
