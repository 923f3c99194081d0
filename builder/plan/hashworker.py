"""The process beside a build that hashes very many small files: Python's lock lets one thread at a time open files.

Run as a script, by the interpreter alone: it imports nothing of ours. Standard input brings jobs, standard output takes
their answers, each as its length (64 bit, little endian) and so many bytes. A job is ``marshal`` of (directory, files),
each file (path below it, size, device, inode, mtime_ns, ctime_ns); its answer has 32 bytes a file: the raw SHA-256, or
zeros for one that could not be read, is larger than a job's files may be, or is not the one that was meant. Ends with
its input.
"""

import hashlib
import marshal
import os
import struct

LENGTH = struct.Struct("<Q")
LARGEST = 64 << 10
UNKNOWN = bytes(32)

File = tuple[bytes, int, int, int, int, int]

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def hash_one(path: bytes, key: tuple[int, int, int, int, int]) -> bytes:
    """``key``: size, device, inode, mtime_ns, ctime_ns, as they were when the file was listed."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        return UNKNOWN
    try:
        data = os.read(descriptor, LARGEST + 1)
        status = os.fstat(descriptor)
    except OSError:
        return UNKNOWN
    finally:
        os.close(descriptor)
    found = (status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(data).digest() if found == key and len(data) == key[0] else UNKNOWN


def answer(job: bytes) -> bytes:
    directory, files = marshal.loads(job)  # noqa: S302 - from the process that started this one
    prefix = directory + b"/"
    return b"".join([hash_one(prefix + file[0], file[1:]) for file in files])


def read_message(descriptor: int) -> bytes | None:
    """None at the end, also one that comes too early."""
    head = _read(descriptor, LENGTH.size)
    return _read(descriptor, LENGTH.unpack(head)[0]) if head is not None else None


def _read(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        data = os.read(descriptor, min(size, 1 << 20))
        if not data:
            return None
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def write_message(descriptor: int, message: bytes) -> None:
    view = memoryview(LENGTH.pack(len(message)) + message)
    while view:
        view = view[os.write(descriptor, view) :]


def main() -> None:
    while (job := read_message(0)) is not None:
        write_message(1, answer(job))


if __name__ == "__main__":
    main()
