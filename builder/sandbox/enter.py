"""What a step's process 1 does between its fork and its exec: namespaces, mounts, identity, in this order only.

Everything is mounted after ``pivot_root``, so that the links of the root filesystem end inside of it, and while the
old root is still the current directory, so that the stage is reached by relative paths. /proc comes last: before it
there is no ``/proc/self/fd``, hence no link that leads out (CVE-2024-21626 and its kin); after it nothing is made.

What the command sees is reference part L: runc's defaults as BuildKit sets them.
"""

import os
import stat

from builder.sandbox import kernel, mounts, network, stubs
from builder.sandbox.job import Job
from builder.sandbox.kernel import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_STRICTATIME,
    bind,
    mount,
)
from builder.sandbox.stage import CGROUPS, DEV, EMPTY, FILES, MASKED, ROOT, SAFE, SYS, Surroundings
from builder.sandbox.suppress import suppress

UMASK = 0o022
NOT_FOUND = "executable file not found in $PATH"

_DEVICES = (
    (b"/null", 1, 3),
    (b"/zero", 1, 5),
    (b"/full", 1, 7),
    (b"/random", 1, 8),
    (b"/urandom", 1, 9),
    (b"/tty", 5, 0),
)
_INSECURE = (b"/kmsg", b"/cuse", b"/fuse", b"/kvm", b"/net/tun")
_LINKS = (
    (b"/fd", b"/proc/self/fd"),
    (b"/stdin", b"/proc/self/fd/0"),
    (b"/stdout", b"/proc/self/fd/1"),
    (b"/stderr", b"/proc/self/fd/2"),
    (b"/ptmx", b"pts/ptmx"),
)
_READ_ONLY = (b"/proc/bus", b"/proc/fs", b"/proc/irq", b"/proc/sys", b"/proc/sysrq-trigger")
_MASKED = (
    b"/proc/acpi",
    b"/proc/asound",
    b"/proc/kcore",
    b"/proc/keys",
    b"/proc/latency_stats",
    b"/proc/timer_list",
    b"/proc/timer_stats",
    b"/proc/sched_debug",
    b"/proc/scsi",
)


def set_up(job: Job, surroundings: Surroundings, unmounts: kernel.Unmounts, made: list[stubs.Stub]) -> int:
    """From the helper's surroundings to the command's, up to its directory. Notes in ``made`` what to remove later.

    Returns the number by which ``unmounts`` knows the root. Raises OSError.
    """
    os.umask(0)
    kernel.unshare(surroundings.namespaces | (kernel.CLONE_NEWNET if job.own_network else 0))
    if job.own_network:
        network.raise_loopback()
    kernel.new_session_keyring()
    with suppress(PermissionError):
        # Podman's seccomp filter refuses it where it allows all the rest: the name stays the container's.
        kernel.set_hostname(job.hostname)
    old_root = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened = mounts.open_sources(job)
    _enter_directory(job.directory)
    # The command may make device nodes (CAP_MKNOD), among them the host's disks: none but ours can be opened.
    mount(b"overlay", b"/" + ROOT, b"overlay", 0 if job.insecure else MS_NODEV, job.options)
    watch = unmounts.watch(b"/" + ROOT)
    _enter_directory(b"/" + ROOT)
    kernel.pivot_root(b".", b".")
    os.fchdir(old_root)
    os.close(old_root)
    made += stubs.missing([target for target, *_ in job.files] + [wanted[1] for wanted in job.mounts])
    _make_cwd(job)
    for directory in (b"/proc", b"/dev", b"/sys"):
        _make_mount_point(directory)
    _mount_devices(job, surroundings)
    _mount_sys(job)
    _write_files(job)
    _mount_files(job)
    mounts.attach(job, opened)
    _make_cwd(job)
    _mount_proc(job)
    kernel.unmount(b".")
    _enter_directory(b"/")
    _enter_directory(job.cwd)
    # A path outside of the root reads "(unreachable)/...", which the C library refuses.
    os.getcwd()
    return watch


def become(job: Job, surroundings: Surroundings, stdio: tuple[int, ...]) -> None:
    """The command's descriptors, filter and identity. Raises OSError."""
    os.setsid()
    kernel.restore_signal(kernel.SIGPIPE)  # the others are as they should be
    for number, descriptor in enumerate(stdio):
        # Opening /dev/stdout means opening the pipe anew: its owner has to be the command's user.
        os.fchown(descriptor, job.uid, -1)
        os.dup2(descriptor, number)
    kernel.close_on_exec_from(3)
    os.umask(UMASK)
    for limit in job.limits:
        kernel.set_limit(*limit)
    if job.seccomp is not None:
        kernel.set_filter(job.seccomp)
    capabilities = job.capabilities & surroundings.permitted  # in a container there may be fewer
    kernel.limit_capabilities(capabilities, surroundings.capabilities)
    if surroundings.has_groups:
        os.setgroups(job.groups)
    os.setresgid(job.gid, job.gid, job.gid)
    os.setresuid(job.uid, job.uid, job.uid)
    if job.uid == 0:
        kernel.set_capabilities(capabilities, capabilities)
    else:
        kernel.set_capabilities(0, 0)


def execute(job: Job) -> None:
    """Replaces this process by the command. Raises OSError when it cannot be started."""
    name = job.args[0]
    if b"/" in name:
        os.execve(name, job.args, job.env)  # noqa: S606  # the command itself
    denied: OSError | None = None
    for directory in job.env.get(b"PATH", b"").split(b":"):
        try:
            os.execve((directory or b".") + b"/" + name, job.args, job.env)  # noqa: S606  # the command itself
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            denied = error
    if denied is not None:
        raise denied
    raise FileNotFoundError(2, NOT_FOUND)


def _enter_directory(path: bytes) -> None:
    os.chdir(path)  # noqa: TID251  # a process of one thread, about to become the command


def _write_files(job: Job) -> None:
    if not job.files:
        return
    size = sum(len(data) + 8192 for _, data, _, _ in job.files)
    mount(b"tmpfs", FILES, b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=755,size=%d" % size)
    for number, (_, data, mode, _) in enumerate(job.files):
        with open(FILES + b"/%d" % number, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)


def _make_mount_point(path: bytes) -> None:
    """A link here would mount the kernel's files somewhere else, and unmasked (CVE-2019-19921)."""
    with suppress(FileExistsError):
        os.mkdir(path, 0o755)
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        raise NotADirectoryError(20, f"{path.decode()} in the root filesystem is not a directory")


def _mount_sys(job: Job) -> None:
    """What the stage has ready shows the host's network devices: a step without them gets a sysfs of its own."""
    if not job.own_network and not job.insecure:
        bind(SYS, b"/sys", MS_REC)
        return
    try:
        mount(b"sysfs", b"/sys", b"sysfs", SAFE if job.insecure else SAFE | MS_RDONLY)
    except PermissionError:
        # In a user namespace: the kernel wants to see a sysfs that nothing is mounted on. So it stays as it is: nothing
        # can be written, and the names of network devices can be read that cannot be used.
        bind(SYS, b"/sys", MS_REC)
        return
    for path in (CGROUPS,) if job.insecure else (CGROUPS, *MASKED):
        if os.path.isdir(SYS + path) and os.path.isdir(b"/sys" + path):
            bind(SYS + path, b"/sys" + path, MS_REC)
    if job.insecure:
        _open_cgroups(b"/sys" + CGROUPS)


def _open_cgroups(top: bytes) -> None:
    """One hierarchy of version 2, or a directory of those of version 1."""
    for path in (top, *(top + b"/" + name for name in os.listdir(top))):
        if os.path.ismount(path) and not os.path.islink(path):
            mount(b"", path, b"", MS_REMOUNT | MS_BIND | SAFE)


def _mount_devices(job: Job, surroundings: Surroundings) -> None:
    """/dev is seen through a mount without devices, each of the six through one with them (see the overlay)."""
    mount(b"tmpfs", DEV, b"tmpfs", MS_NOSUID | MS_STRICTATIME, b"mode=755,size=65536k")
    for name, major, minor in _DEVICES:
        _make_device(name, os.makedev(major, minor), stat.S_IFCHR | 0o666)
    for name, target in _LINKS:
        os.symlink(target, DEV + name)
    for name in (b"/pts", b"/shm", b"/mqueue"):
        os.mkdir(DEV + name, 0o755)
    if job.insecure:
        _add_devices()
    bind(DEV, b"/dev", MS_NOSUID | MS_STRICTATIME | (0 if job.insecure else MS_NODEV))
    for name, _, _ in _DEVICES:
        bind(DEV + name, b"/dev" + name)
    terminals = b"newinstance,ptmxmode=0666,mode=0620" + (b",gid=5" if surroundings.has_tty_group else b"")
    mount(b"devpts", b"/dev/pts", b"devpts", MS_NOSUID | MS_NOEXEC, terminals)
    mount(b"shm", b"/dev/shm", b"tmpfs", SAFE, b"mode=1777,size=%d" % job.shm_size)
    mount(b"mqueue", b"/dev/mqueue", b"mqueue", SAFE)


def _add_devices() -> None:
    """Those of the host that an insecure step gets besides."""
    loops = sorted(b"/" + name for name in os.listdir(b"dev") if name.startswith(b"loop"))
    for name in (*_INSECURE, *loops):
        try:
            found = os.stat(b"dev" + name)
        except FileNotFoundError:
            continue
        os.makedirs(os.path.dirname(DEV + name), 0o755, exist_ok=True)
        _make_device(name, found.st_rdev, found.st_mode)


def _make_device(name: bytes, number: int, mode: int) -> None:
    """Nobody can make one in a user namespace: there it is the host's."""
    try:
        os.mknod(DEV + name, mode, number)
    except PermissionError:
        os.close(os.open(DEV + name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        bind(b"dev" + name, DEV + name)


def _mount_files(job: Job) -> None:
    for number, (target, _, mode, read_only) in enumerate(job.files):
        place = stubs.make(target, directory=False)
        flags = MS_NODEV | MS_NOSUID
        flags |= MS_RDONLY if read_only else 0
        flags |= 0 if mode & 0o111 else MS_NOEXEC
        bind(FILES + b"/%d" % number, place, flags)


def _make_cwd(job: Job) -> None:
    """Every directory that is made belongs to the user, as WORKDIR's do. One that a mount hides is made again in it."""
    if b".." in job.cwd.split(b"/"):
        _make_detours(job.cwd)
    path = os.path.realpath(job.cwd)
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        os.mkdir(directory, 0o755)
        os.chown(directory, job.uid, job.gid)


def _make_detours(cwd: bytes) -> None:
    """``WORKDIR /a/../b`` is kept as written: runc makes ``/a`` on its way to ``/b`` (Go's os.MkdirAll)."""
    way = b"/"
    for part in cwd.split(b"/"):
        # Resolved here: on top of our root still lies the host's, and the kernel's ``..`` leads there.
        way = os.path.realpath(os.path.join(way, part))
        if not os.path.lexists(way):
            os.mkdir(way, 0o755)


def _mount_proc(job: Job) -> None:
    mount(b"proc", b"/proc", b"proc", SAFE)
    if job.insecure:
        return
    for path in _READ_ONLY:
        if os.path.exists(path):
            bind(path, path, MS_REC | SAFE | MS_RDONLY)
    for path in _MASKED:
        try:
            directory = stat.S_ISDIR(os.stat(path).st_mode)
        except FileNotFoundError:
            continue
        bind(EMPTY if directory else b"/dev/null", path, SAFE | MS_RDONLY if directory else 0)
