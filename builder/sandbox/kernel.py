"""System calls the standard library lacks: one thin function each, and the constants under their kernel names.

Used by the helper process, whose start-up counts: only ``ctypes`` and ``os`` are imported.
"""

import ctypes
import errno
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_STRICTATIME = 1 << 24

MNT_DETACH = 2

SIGKILL, SIGPIPE, SIGSTOP = 9, 13, 19
SIGNALS = range(1, 65)
"""By number: ``signal`` makes enumerations of them when it is imported."""

_IN_UNMOUNT = 0x2000
"""Sent unasked."""
_IN_DELETE_SELF = 0x400
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_SIG_DFL, _SIG_IGN = 0, 1
_SIG_SETMASK = 2
_SIGACTION_WORDS = 4
"""The kernel's struct sigaction on 64-bit machines; the handler is the first of them."""
_SIGSET_BYTES = 8
_NO_LIMIT = (1 << 64) - 1
"""RLIM_INFINITY."""
_KEYCTL_JOIN_SESSION_KEYRING = 1
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_CLOSE_RANGE_CLOEXEC = 4

_SYS = {
    "x86_64": {"pivot_root": 155, "keyctl": 250, "rt_sigaction": 13, "rt_sigprocmask": 14},
    "aarch64": {"pivot_root": 41, "keyctl": 219, "rt_sigaction": 134, "rt_sigprocmask": 135},
}
"""Calls without a wrapper in every C library that does all they do, where their numbers differ."""
_SYS_PIDFD_SEND_SIGNAL = 424
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_CLOSE_RANGE = 436
_SYS_MOUNT_SETATTR = 442
"""From 424 on, numbers are the same everywhere."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
_libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.syscall.restype = ctypes.c_long


class _Program(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _number(name: str) -> int:
    return _SYS[os.uname().machine][name]


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def enter_namespace(descriptor: int, flags: int) -> None:
    _check(_libc.setns(descriptor, flags), "setns")


def mount(source: bytes, target: bytes, kind: bytes, flags: int, data: bytes | None = None) -> None:
    name, place = (path.decode(errors="replace") for path in (kind or source, target))
    _check(_libc.mount(source, target, kind, flags, data), f"mount {name} on {place}" if name else f"remount {place}")


def bind(source: bytes, target: bytes, flags: int = 0) -> None:
    """``flags`` of a bind need a second call: the first one takes only MS_REC."""
    mount(source, target, b"", MS_BIND | flags & MS_REC)
    if flags & ~MS_REC:
        mount(b"", target, b"", MS_REMOUNT | MS_BIND | flags & ~MS_REC)


def unmount(target: bytes) -> None:
    _check(_libc.umount2(target, MNT_DETACH), f"unmount {target.decode(errors='replace')}")


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    _check(_libc.syscall(_number("pivot_root"), new_root, put_old), "pivot_root")


def set_hostname(name: bytes) -> None:
    _check(_libc.sethostname(name, len(name)), "sethostname")


def die_with_parent(signal: int) -> None:
    """The signal comes when the *thread* that forked this process ends: only for children of one-threaded parents."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl PR_SET_PDEATHSIG")


def restore_signal(number: int) -> None:
    """Its default action, also for the C library's own signals, which glibc's posix_spawn leaves ignored."""
    _set_action(number, _SIG_DFL)


def ignore_signal(number: int) -> None:
    _set_action(number, _SIG_IGN)


def _set_action(number: int, handler: int) -> None:
    action = (ctypes.c_uint64 * _SIGACTION_WORDS)(handler)
    size = ctypes.c_size_t(_SIGSET_BYTES)
    _check(_libc.syscall(_number("rt_sigaction"), number, action, None, size), f"sigaction {number}")


def unblock_signals() -> None:
    size = ctypes.c_size_t(_SIGSET_BYTES)
    mask = ctypes.byref(ctypes.c_uint64(0))
    _check(_libc.syscall(_number("rt_sigprocmask"), _SIG_SETMASK, mask, None, size), "sigprocmask")


def kill(process: int) -> None:
    """``process``: a pidfd."""
    _check(_libc.syscall(_SYS_PIDFD_SEND_SIGNAL, process, SIGKILL, None, 0), "pidfd_send_signal")


def set_filter(program: bytes) -> None:
    """Loads a seccomp filter of 8-byte instructions. Needs CAP_SYS_ADMIN, since no_new_privs is not set."""
    filter_ = _Program(len(program) // 8, program)
    address = ctypes.addressof(filter_)
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, address, 0, 0), "load the seccomp filter")


def count_capabilities() -> int:
    """How many capabilities this kernel knows."""
    number = 0
    while _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        number += 1
    return number


def set_limit(number: int, soft: int, hard: int) -> None:
    """-1 is no limit."""
    values = (ctypes.c_uint64 * 2)(soft & _NO_LIMIT, hard & _NO_LIMIT)
    _check(_libc.setrlimit(number, ctypes.byref(values)), f"set resource limit {number} to {soft}:{hard}")


def limit_capabilities(mask: int, count: int) -> None:
    """Drops from the bounding set whatever of ``count`` ``mask`` lacks, and empties the ambient set."""
    for number in range(count):
        if not mask >> number & 1:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"drop capability {number}")
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear ambient capabilities")


def set_capabilities(effective: int, permitted: int) -> None:
    """The inheritable set is emptied."""
    words = (effective, permitted, 0, effective >> 32, permitted >> 32, 0)
    data = (ctypes.c_uint32 * 6)(*(word & 0xFFFFFFFF for word in words))
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(ctypes.byref(header), data), "capset")


def new_session_keyring() -> None:
    """So that the command does not hold the keys of whoever builds. A kernel without keys has none to hide."""
    if _libc.syscall(_number("keyctl"), _KEYCTL_JOIN_SESSION_KEYRING, 0) < 0 and ctypes.get_errno() != errno.ENOSYS:
        _check(-1, "join a new session keyring")


def close_on_exec_from(first: int) -> None:
    last = ctypes.c_uint(0xFFFFFFFF)
    _check(_libc.syscall(_SYS_CLOSE_RANGE, ctypes.c_uint(first), last, _CLOSE_RANGE_CLOEXEC), "close_range")


class Unmounts:
    """Tells when superblocks are gone, which the end of a mount does not tell. One inotify instance (inotify(7))."""

    def __init__(self) -> None:
        self.descriptor = _check(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._gone: set[int] = set()

    def watch(self, path: bytes) -> int:
        """A number that stands for the superblock of ``path``. May be called in a fork of the process that looks."""
        return _check(_libc.inotify_add_watch(self.descriptor, path, _IN_DELETE_SELF), "inotify_add_watch")

    def gone(self) -> set[int]:
        """What is gone so far, but for what was forgotten."""
        try:
            data = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return self._gone
        while data:
            watch, mask, _, size = struct.unpack_from("iIII", data)
            if mask & _IN_UNMOUNT:
                self._gone.add(watch)
            data = data[16 + size :]
        return self._gone

    def forget(self, watch: int) -> None:
        self._gone.discard(watch)


def open_read_only(path: bytes) -> int:
    """``path`` through a read-only mount of its own that is attached nowhere, as an O_PATH descriptor."""
    return open_mount(path, MS_RDONLY)


def copy_mounts(path: bytes) -> int:
    """The mount at ``path`` with all below it, made harmless (read-only...), as a descriptor for ``attach``."""
    return open_mount(path, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, _AT_RECURSIVE)


def open_mount(path: bytes, flags: int, recursive: int = 0) -> int:
    """``path`` through a mount of its own that is attached nowhere yet, as a descriptor for ``attach``. ``flags``: of
    MS_RDONLY, MS_NOSUID, MS_NODEV and MS_NOEXEC, whose values are those of mount_setattr(2)."""
    how = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | recursive
    name = path.decode(errors="replace")
    descriptor = _check(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path, how), f"open_tree {name}")
    attributes = _MountAttributes(flags, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    where = _AT_EMPTY_PATH | recursive
    result = _libc.syscall(_SYS_MOUNT_SETATTR, descriptor, b"", where, ctypes.byref(attributes), size)
    _check(result, f"mount_setattr {name}")
    return descriptor


def attach(descriptor: int, target: bytes) -> None:
    """Mounts what ``open_mount`` gave."""
    result = _libc.syscall(_SYS_MOVE_MOUNT, descriptor, b"", _AT_FDCWD, target, _MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, f"mount on {target.decode(errors='replace')}")
