"""What goes between a runner and its helper process: a Job for each command, and the words around it.

Jobs are numbers and bytes only, read back by ``marshal``: both ends are one interpreter of one build, and the helper's
start-up counts (``typing``, ``json`` and ``pickle`` each take milliseconds to import; hence Job is no NamedTuple).
"""

import marshal
import os
import sys

LAUNCH = "builder.sandbox.launch"
HELPER = "builder.sandbox.helper"
"""The helper's two programs, one after the other."""
DESCRIPTORS = 4
"""Sent to the helper with each request: job, control socket, standard output, standard error."""
KILL = b"k"
"""Over a control socket, to kill the command. The end of file means the same."""
READY = b"ready"
"""From the helper to its parent, once; or a text that says why it cannot run anything."""
EMPTY = b"/sys/empty"
"""An empty directory, where the helper mounts overlays."""

Answer = tuple[int | None, int | None, str | None]
"""Over a control socket, when all is over: exit code, signal, why it could not be run. Two of them are None."""

JobMount = tuple[str, bytes, bool, bool, tuple[bytes, ...], tuple[int, ...]]
"""Kind (as in ``spec``), target, whether it is a directory, whether it is read-only, and what belongs to the kind:
``tree`` (directory, overlay options, source), ``host`` and ``device`` (path), ``tmpfs`` (size), ``secret`` (data; mode,
uid, gid)."""

_BOOT = "import sys; sys.path.insert(0, sys.argv[2]); __import__(sys.argv[1], fromlist=['main']).main(int(sys.argv[3]))"


def command(module: str, sources: str, descriptor: int) -> list[str]:
    """Runs ``main(descriptor)`` of a module below the directory ``sources``, with as little start-up as there is."""
    return [sys.executable, "-I", "-S", "-c", _BOOT, module, sources, str(descriptor)]


class Job:
    """``lowers`` and ``files`` are looked up after entering ``directory``; paths inside the root are absolute."""

    __slots__ = (
        "args",
        "capabilities",
        "cwd",
        "directory",
        "env",
        "files",
        "gid",
        "groups",
        "hostname",
        "insecure",
        "limits",
        "mounts",
        "options",
        "own_network",
        "seccomp",
        "shm_size",
        "uid",
        "upper",
    )
    args: tuple[bytes, ...]
    capabilities: int
    """Bit mask."""
    cwd: bytes
    directory: bytes
    """Entered before mounting the overlay with ``options``."""
    env: dict[bytes, bytes]
    files: tuple[tuple[bytes, bytes, int, bool], ...]
    """(target, data, mode, read only)."""
    gid: int
    groups: tuple[int, ...]
    hostname: bytes
    insecure: bool
    limits: tuple[tuple[int, int, int], ...]
    """(number, soft, hard), as setrlimit(2) has them but for -1, which is no limit."""
    mounts: tuple[JobMount, ...]
    """In the order they are mounted."""
    options: bytes
    own_network: bool
    """With nothing but the loopback device."""
    seccomp: bytes | None
    shm_size: int
    uid: int
    upper: bytes
    """Absolute path of the overlay's upper directory."""

    def __init__(self, **fields: object) -> None:
        for name in self.__slots__:
            setattr(self, name, fields[name])


def write(job: Job) -> int:
    """A memfd that holds the job."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC)
    with open(os.dup(descriptor), "wb") as file:
        file.write(marshal.dumps({name: getattr(job, name) for name in Job.__slots__}))
    return descriptor


def read(descriptor: int) -> Job:
    """The job of a memfd, from its beginning."""
    size = os.fstat(descriptor).st_size
    data = b""
    while len(data) < size:
        data += os.pread(descriptor, size - len(data), len(data))
    return Job(**marshal.loads(data))  # noqa: S302  # written by the parent of this very process
