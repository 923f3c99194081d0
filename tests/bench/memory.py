"""How much memory a process has, with all below it."""

import ctypes
import os
import platform
from collections.abc import Iterator
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
"""The number of kcmp(2), which has no function in libc."""
_KCMP_VM = 1
_libc = ctypes.CDLL(None, use_errno=True)


def resident_together(pid: int) -> int:
    """Bytes in the resident sets of the process and all below it. Pages that several of them share count as often: it
    is an upper bound. But a child of vfork(2) that has not executed anything yet has no memory of its own: it runs in
    its parent's, which would count twice whenever a process is started."""
    return sum(resident(child) for child, parent in _family(pid) if not shares_memory(child, parent))


def _family(pid: int) -> Iterator[tuple[int, int]]:
    """The process and its descendants, each with its parent. Threads have children of their own."""
    found = [(pid, 0)]
    for member, _ in found:
        for listing in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [(int(child), member) for child in listing.read_text().split()]
            except OSError:
                continue  # it has ended since
    yield from found


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def shares_memory(one: int, other: int) -> bool:
    """Whether they run in the same address space (kcmp(2)); False when that cannot be asked, or one has ended."""
    return _KCMP is not None and bool(other) and _libc.syscall(_KCMP, one, other, _KCMP_VM, 0, 0) == 0
