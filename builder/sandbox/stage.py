"""The stage: mounts that every step needs alike, prepared once in the helper's own mount namespace.

A tmpfs over the helper's /sys (nothing a build needs can lie below /sys) holds::

    root    where a step mounts its overlay, in its own mount namespace
    files   where a step mounts the tmpfs that holds its small files
    dev     where a step mounts the tmpfs that becomes its /dev
    empty   an empty, read-only directory: it masks directories and is the lower of a root without layers
    sys     what a step sees as /sys, cgroups and masks included
    group   cgroup v2, where the host has that alone

With the host's network a step's /sys is the helper's: sysfs belongs to the network namespace. In a user namespace it
cannot be mounted anew for that reason; then it is the host's /sys with all that is mounted below it, made read-only.
"""

import os

from builder.sandbox.kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNS,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
    attach,
    bind,
    copy_mounts,
    count_capabilities,
    mount,
    unshare,
)
from builder.sandbox.suppress import suppress

STAGE = b"/sys"
ROOT, FILES, DEV, EMPTY, SYS, GROUP = (
    b"sys/" + name for name in (b"root", b"files", b"dev", b"empty", b"sys", b"group")
)
"""Relative to the helper's root, which is the current directory of the helper, and of a step that sets itself up."""

SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC

MASKED = (b"/firmware", b"/devices/virtual/powercap")
CGROUPS = b"/fs/cgroup"
_TTY_GROUP = 5


class Controller:
    """A cgroup v1 hierarchy: ``name`` of its directory, ``source`` a descriptor of this process's own group in it."""

    __slots__ = ("name", "source")

    def __init__(self, name: bytes, source: int) -> None:
        self.name = name
        self.source = source


class Surroundings:
    """What ``prepare`` found out and the steps need."""

    __slots__ = ("capabilities", "has_groups", "has_tty_group", "namespaces", "permitted", "pid_namespace")

    def __init__(self, namespaces: int) -> None:
        self.namespaces = namespaces
        """Flags of the namespaces of a step, but for the one of pids."""
        self.capabilities = count_capabilities()
        with open("/proc/self/status", "rb") as status:
            self.permitted = int(next(line for line in status if line.startswith(b"CapPrm:")).split()[1], 16)
        """This process's own capabilities, all that a step can have."""
        self.pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        """This process's own."""
        with open("/proc/self/gid_map", "rb") as file:
            self.has_tty_group = has_id(file.read(), _TTY_GROUP)
        """Whether terminals can belong to the group that all distributions give them."""
        with open("/proc/self/setgroups", "rb") as file:
            self.has_groups = file.read().strip() != b"deny"
        """Whether there can be supplementary groups: not where an ordinary user made a map by himself."""


def has_id(id_map: bytes, number: int) -> bool:
    """Whether a uid_map or gid_map (user_namespaces(7)) has an id of this number inside."""
    rows = [tuple(map(int, line.split())) for line in id_map.splitlines()]
    return any(first <= number < first + count for first, _, count in rows)


def has_unified_cgroups(mountinfo: bytes) -> bool:
    """Whether /sys/fs/cgroup itself is cgroup v2."""
    return any(kind == b"cgroup2" and where == b"/sys/fs/cgroup" for where, _, kind, _ in _mounts(mountinfo))


def own_groups(mountinfo: bytes, cgroup: bytes) -> dict[bytes, bytes]:
    """Directories of this process's own cgroup v1 groups, by controllers (``cpu,cpuacct``, ``systemd``).

    ``mountinfo`` and ``cgroup`` are the files of /proc/self (proc(5), cgroups(7)). Inside a container the group's
    path may not lie below the one that is mounted: then what is mounted is the group.
    """
    groups = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(b":", 2)
        groups[controllers.removeprefix(b"name=")] = path
    found: dict[bytes, bytes] = {}
    for where, root, kind, options in _mounts(mountinfo):
        if kind != b"cgroup":
            continue
        names = {option.removeprefix(b"name=") for option in options.split(b",")}
        for controllers, path in groups.items():
            if controllers and set(controllers.split(b",")) <= names:
                prefix = root.rstrip(b"/")
                inside = path == prefix or path.startswith(prefix + b"/")
                found[controllers] = where + (path.removeprefix(prefix).rstrip(b"/") if inside else b"")
    return found


def _mounts(mountinfo: bytes) -> list[tuple[bytes, bytes, bytes, bytes]]:
    """(mount point, root within the file system, type, superblock options)."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        fields, after = left.split(b" "), right.split(b" ")
        found.append((_unescape(fields[4]), _unescape(fields[3]), after[0], after[2]))
    return found


def _unescape(path: bytes) -> bytes:
    for octal, letter in ((rb"\040", b" "), (rb"\011", b"\t"), (rb"\012", b"\n"), (rb"\134", b"\\")):
        path = path.replace(octal, letter)
    return path


def prepare() -> Surroundings:
    """Moves this process to a mount namespace of its own and sets up the stage in it. Raises OSError."""
    with open("/proc/self/mountinfo", "rb") as file:
        mountinfo = file.read()
    unified = has_unified_cgroups(mountinfo)
    cgroup_namespace = CLONE_NEWCGROUP if unified else 0
    surroundings = Surroundings(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | cgroup_namespace)
    # A slave still sees the host unmount a file system, and so does not keep it busy; the host sees nothing of ours.
    unshare(CLONE_NEWNS | cgroup_namespace)
    mount(b"", b"/", b"", MS_REC | MS_SLAVE)
    controllers = [] if unified else _controllers(mountinfo)
    outer = copy_mounts(STAGE)
    mount(b"tmpfs", STAGE, b"tmpfs", SAFE, b"mode=755,size=64k")
    for directory in (ROOT, FILES, DEV, EMPTY, SYS, GROUP):
        os.mkdir(directory, 0o755)
    mount(b"tmpfs", EMPTY, b"tmpfs", SAFE | MS_RDONLY, b"mode=755,size=4k")
    _mount_sys(outer)
    if unified:
        _mount_unified()
    elif controllers:
        _mount_controllers(controllers)
    for path in MASKED:
        if os.path.isdir(SYS + path):
            bind(EMPTY, SYS + path, SAFE | MS_RDONLY)
    mount(b"", STAGE, b"", MS_REC | MS_PRIVATE)
    return surroundings


def _mount_sys(outer: int) -> None:
    try:
        mount(b"sysfs", SYS, b"sysfs", SAFE | MS_RDONLY)
    except PermissionError:
        attach(outer, SYS)
    finally:
        os.close(outer)


def _mount_unified() -> None:
    """Seen from this process's own group. It cannot be mounted where it is mounted already, only be bound there."""
    with suppress(PermissionError):  # what was mounted there is read-only as well
        mount(b"cgroup2", GROUP, b"cgroup2", SAFE | MS_RDONLY)
        bind(GROUP, SYS + CGROUPS, SAFE | MS_RDONLY)


def _controllers(mountinfo: bytes) -> list[Controller]:
    with open("/proc/self/cgroup", "rb") as file:
        groups = own_groups(mountinfo, file.read())
    return [Controller(name, os.open(path, os.O_PATH | os.O_DIRECTORY)) for name, path in groups.items()]


def _mount_controllers(controllers: list[Controller]) -> None:
    """The sources lie below the /sys that the stage covers: they are reached through their descriptors."""
    top = SYS + CGROUPS
    mount(b"tmpfs", top, b"tmpfs", SAFE, b"mode=755,size=64k")
    for controller in controllers:
        target = top + b"/" + controller.name
        os.mkdir(target, 0o755)
        bind(b"/proc/self/fd/%d" % controller.source, target, SAFE | MS_RDONLY)
        os.close(controller.source)
        if b"," in controller.name:
            for name in controller.name.split(b","):
                os.symlink(controller.name, top + b"/" + name)
    mount(b"", top, b"", MS_REMOUNT | SAFE | MS_RDONLY)
