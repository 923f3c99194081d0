"""The default seccomp filter: moby's default profile as a classic BPF program, without libseccomp. Pure.

What the profile says (reference part L): the calls of ``syscalls.TABLE`` are allowed, but for those that need a
capability the command lacks (``_BY_CAPABILITY``) and those whose arguments decide (``_ARGUMENTS``); every other call
fails with EPERM. As with runc, calls newer than the table fail with ENOSYS, so that a C library falls back.

The program (seccomp(2), linux/filter.h) looks at the architecture token first, since the 32-bit entries of the kernel
number their calls differently, and then finds the call by binary search among ranges of equal verdict.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache

from builder.errors import Unsupported
from builder.sandbox.syscalls import COLUMNS, TABLE
from layers.tuples import NamedTuple

KILL = 0x00000000
ALLOW = 0x7FFF0000
EPERM = 0x00050000 | 1
ENOSYS = 0x00050000 | 38

_BY_CAPABILITY = {
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_ADMIN": (
        "bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules "
        "lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd "
        "setdomainname sethostname setns syslog umount umount2 unshare"
    ),
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}
"""Calls that any of these capabilities allows. (ptrace and process_vm_* need none since Linux 4.8.)"""

_ARGUMENTS = ("clone", "clone3", "personality", "socket")
_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; clone's flags are 32 bits wide."""
_AF_ALG, _AF_VSOCK = 38, 40
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""PER_LINUX, PER_LINUX32, each with UNAME26; the last one asks."""

_X32_BIT = 0x40000000
_ARM_PRIVATE = 0xF0000
"""Calls of 32-bit arm alone, far above the others."""

_LD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JA = 0x05
_JEQ = 0x15
_JGE = 0x35
_JSET = 0x45
_RET = 0x06

_NUMBER, _ARCHITECTURE, _LOW, _HIGH = 0, 4, 16, 20
"""Offsets in struct seccomp_data; the last two are the halves of the first argument (both machines little-endian)."""


class _Instruction(NamedTuple):
    code: int
    k: int
    true: int = 0
    false: int = 0


_Program = list[_Instruction]


class _Range(NamedTuple):
    """Calls from ``start`` to the next range's start."""

    start: int
    program: _Program


_X86_64 = ((0xC000003E, ("x86_64", "x32")), (0x40000003, ("i386",)))
_AARCH64 = ((0xC00000B7, ("aarch64",)), (0x40000028, ("arm",)))
_MACHINES = {"x86_64": _X86_64, "amd64": _X86_64, "aarch64": _AARCH64, "arm64": _AARCH64}
"""The kernel's entries on each machine: AUDIT_ARCH token; column of the table, column of the numbers with bit 30."""


def default_filter(architecture: str, capabilities: Iterable[str]) -> bytes:
    """The program for commands with these capabilities (names without ``CAP_``), 8 bytes an instruction.

    ``architecture`` is the machine's, by its Linux or its OCI name. Raises Unsupported when there is no table for it.
    """
    if architecture not in _MACHINES:
        raise Unsupported(
            f"there is no seccomp filter for {architecture}",
            hint="build on x86-64 or arm64, or without a filter: --security-opt seccomp=unconfined",
        )
    return _assemble(architecture, frozenset(capabilities))


@lru_cache
def _assemble(architecture: str, held: frozenset[str]) -> bytes:
    allowed = {name for capability, names in _BY_CAPABILITY.items() if capability in held for name in names.split()}
    refused = {name for names in _BY_CAPABILITY.values() for name in names.split()} - allowed
    verdicts = dict.fromkeys(refused, _verdict(EPERM))
    verdicts.update({name: program for name in _ARGUMENTS if (program := _by_arguments(name, held)) is not None})
    allow = _verdict(ALLOW)
    program = [_Instruction(_RET, KILL)]
    for token, columns in reversed(_MACHINES[architecture]):
        ranges: list[_Range] = []
        for column, base in zip(columns, (0, _X32_BIT), strict=False):
            calls = {number + base: verdicts.get(name, allow) for number, name in _numbers(column)}
            ranges += _ranges(calls, base)
        entry = [_Instruction(_LD, _NUMBER), *_search(ranges)]
        program = _branch(_JEQ, token, entry, program)
    program.insert(0, _Instruction(_LD, _ARCHITECTURE))
    pack = struct.Struct("<HBBI").pack
    return b"".join([pack(code, true, false, k) for code, k, true, false in program])


def _numbers(column: str) -> list[tuple[int, str]]:
    place = COLUMNS.index(column)
    return [
        (int(number), name)
        for name, numbers in _entries()
        if (number := numbers[place] if len(numbers) > 1 else numbers[0]) != "-"
    ]


@lru_cache
def _entries() -> list[tuple[str, list[str]]]:
    """Names, each with its numbers by column or its only one."""
    named = (entry.partition(":") for entry in TABLE.split())
    return [(name, numbers.split(",")) for name, _, numbers in named]


def _by_arguments(name: str, capabilities: frozenset[str]) -> _Program | None:
    """For one of ``_ARGUMENTS``; None when the capabilities open it."""
    if name in {"clone", "clone3"} and "SYS_ADMIN" in capabilities:
        return None
    match name:
        case "clone":
            wanted = _branch(_JSET, _NAMESPACE_FLAGS, _verdict(EPERM), _verdict(ALLOW))
            return [_Instruction(_LD, _LOW), *wanted]
        case "clone3":  # its flags lie in memory, where no filter can see them: made to fall back to clone
            return _verdict(ENOSYS)
        case "socket":  # the family is an int: only the low half counts, whatever the high one holds
            others = _branch(_JEQ, _AF_VSOCK, _verdict(EPERM), _verdict(ALLOW))
            return [_Instruction(_LD, _LOW), *_branch(_JEQ, _AF_ALG, _verdict(EPERM), others)]
        case "personality":
            program = _verdict(EPERM)
            for value in _PERSONALITIES:
                program = _branch(_JEQ, value, _verdict(ALLOW), program)
            low = [_Instruction(_LD, _LOW), *program]
            return [_Instruction(_LD, _HIGH), *_branch(_JEQ, 0, low, _verdict(EPERM))]
        case _:
            return None


def _verdict(action: int) -> _Program:
    return [_Instruction(_RET, action)]


def _ranges(calls: dict[int, _Program], base: int) -> list[_Range]:
    """``calls`` and the gaps between them, from ``base`` on, neighbours of equal verdict in one."""
    newest = max(number for number in calls if number - base < _ARM_PRIVATE)
    ranges: list[_Range] = []

    def add(start: int, program: _Program) -> None:
        if not ranges or ranges[-1].program != program:
            ranges.append(_Range(start, program))

    end, gap = base, _verdict(EPERM)
    for number in sorted(calls):
        if end < number:
            add(end, gap)
        add(number, calls[number])
        end = number + 1
        if number == newest:
            gap = _verdict(ENOSYS)
    add(end, gap)
    return ranges


def _search(ranges: Sequence[_Range]) -> _Program:
    if len(ranges) == 1:
        return ranges[0].program
    middle = len(ranges) // 2
    return _branch(_JGE, ranges[middle].start, _search(ranges[middle:]), _search(ranges[:middle]))


def _branch(code: int, k: int, then: _Program, otherwise: _Program) -> _Program:
    """Jumps of a comparison reach 255 instructions; farther ones take an instruction of their own."""
    if len(otherwise) <= 255:
        return [_Instruction(code, k, true=len(otherwise)), *otherwise, *then]
    return [_Instruction(code, k, false=1), _Instruction(_JA, len(otherwise)), *otherwise, *then]
