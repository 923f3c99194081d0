"""The process beside a packing of very many small files: reads them into memory that it shares, and hashes them.

First comes ``marshal`` of (descriptor of the shared memory, its size). Then jobs, ``marshal`` of (hashed, files), each
file (path, where in the memory its bytes go, size): the answer is how many files were read (32 bit, little endian)
and, when they are to be ``hashed``, the raw SHA-256 of each. A job ends at the first file that cannot be read, or has
another size; its bytes, and what is in the memory behind them, are then not to be relied on.
"""

import hashlib
import marshal
import mmap
import os
import struct
from collections.abc import Sequence

from layers.beside import read_message, write_message

COUNT = struct.Struct("<I")

File = tuple[bytes, int, int]

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def read_files(memory: memoryview, files: Sequence[File], *, hashed: bool) -> bytes:
    digests = []
    count = 0
    for path, start, size in files:
        try:
            descriptor = os.open(path, _FLAGS)
            try:
                # One more than there should be: a file that grew has another size.
                found = os.readv(descriptor, [memory[start : start + size + 1]])
            finally:
                os.close(descriptor)
        except OSError:
            break
        if found != size:
            break
        if hashed:
            digests.append(hashlib.sha256(memory[start : start + size]).digest())
        count += 1
    return COUNT.pack(count) + b"".join(digests)


def main() -> None:
    first = read_message(0)
    if first is None:
        return
    descriptor, length = marshal.loads(first)  # noqa: S302 - from the process that started this one
    memory = memoryview(mmap.mmap(descriptor, length))
    os.close(descriptor)
    while (job := read_message(0)) is not None:
        hashed, files = marshal.loads(job)  # noqa: S302 - likewise
        write_message(1, read_files(memory, files, hashed=hashed))
