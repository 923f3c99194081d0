"""NativeRunner: the suite of all runners, and what a command sees in its namespaces (reference part L)."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.sandbox.detect import open_runner as detect_runner
from builder.sandbox.native import NativeRunner
from builder.sandbox.seccomp import default_filter
from builder.sandbox.spec import DEFAULT_CAPABILITIES, FileMount, Identity, Mount, Runner, SandboxSpec, TmpfsMount
from tests.conftest import REPOSITORY
from tests.suites.runner_suite import BUSYBOX, LONG_AGO_NS, Box, Output, RunnerSuite, changes, failure, run

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

APP = Identity(1000, 1000, (1000,), "/home/app")
FILTER = default_filter(os.uname().machine, DEFAULT_CAPABILITIES)
PRESENT_READ_ONLY = [path for path in ("bus", "fs", "irq", "sys", "sysrq-trigger") if Path("/proc", path).exists()]
MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
PRESENT_MASKED = [path for path in MASKED if Path("/proc", path).exists()]


@pytest.fixture(scope="module")
def native() -> Iterator[NativeRunner]:
    runner = detect_runner()
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    return Box(tmp_path_factory.mktemp("box"))


class TestNativeRunner(RunnerSuite):
    @pytest.fixture
    def runner(self, native: NativeRunner) -> Runner:
        return native

    @pytest.fixture
    def open_runner(self) -> Callable[[], Runner]:
        return NativeRunner


def mounts(text: str) -> dict[str, tuple[str, set[str], set[str]]]:
    """Mount point → (type, options of the mount, options of the superblock), of a mountinfo file."""
    found = {}
    for line in text.splitlines():
        left, right = line.split(" - ")
        fields, after = left.split(), right.split()
        found[fields[4]] = (after[0], set(fields[5].split(",")), set(after[2].split(",")))
    return found


@pytest.fixture(scope="module")
def mounted(native: NativeRunner, box: Box) -> dict[str, tuple[str, set[str], set[str]]]:
    return mounts(run(native, box.spec("cat", "/proc/self/mountinfo")))


def test_namespaces(native: NativeRunner, box: Box) -> None:
    script = "for n in mnt pid ipc uts net user; do readlink /proc/self/ns/$n; done; echo $$; echo /proc/[0-9]*"
    *inside, pid, seen = run(native, box.shell(script)).split("\n", 7)
    outside = [str(Path("/proc/self/ns", name).readlink()) for name in ("mnt", "pid", "ipc", "uts", "net", "user")]
    assert [here == there for here, there in zip(inside, outside, strict=False)] == [False] * 4 + [True] * 2
    assert pid == "1"
    assert seen == "/proc/1\n"


def test_root_is_the_overlay_without_devices(mounted: dict[str, tuple[str, set[str], set[str]]]) -> None:
    kind, options, details = mounted["/"]
    assert kind == "overlay"
    assert {"rw", "nodev"} <= options
    assert {"userxattr"} <= details
    assert not {"index=on", "metacopy=on"} & details
    assert {"volatile", "fsync=volatile"} & details
    lowest = {path for path in mounted if path.count("/") == 1 and path != "/"}
    assert lowest == {"/proc", "/dev", "/sys"}  # nothing on /run or /tmp, and no old root


@pytest.mark.parametrize(
    ("path", "kind", "options", "details"),
    [
        ("/proc", "proc", "rw nosuid nodev noexec", ""),
        ("/dev", "tmpfs", "rw nosuid nodev", "size=65536k mode=755"),
        ("/dev/pts", "devpts", "rw nosuid noexec", "gid=5 mode=620 ptmxmode=666"),
        ("/dev/shm", "tmpfs", "rw nosuid nodev noexec", "size=65536k"),
        ("/dev/mqueue", "mqueue", "rw nosuid nodev noexec", ""),
        ("/sys", "sysfs", "ro nosuid nodev noexec", ""),
        ("/etc/hosts", "tmpfs", "ro nosuid nodev noexec", ""),
        ("/etc/resolv.conf", "tmpfs", "ro nosuid nodev noexec", ""),
        *((f"/proc/{name}", "proc", "ro nosuid nodev noexec", "") for name in PRESENT_READ_ONLY),
    ],
)
def test_mounts(
    mounted: dict[str, tuple[str, set[str], set[str]]], path: str, kind: str, options: str, details: str
) -> None:
    assert mounted[path][0] == kind
    assert set(options.split()) <= mounted[path][1]
    assert set(details.split()) <= mounted[path][2]


def test_cgroups_are_read_only(mounted: dict[str, tuple[str, set[str], set[str]]]) -> None:
    groups = {path: options for path, (_, options, _) in mounted.items() if path.startswith("/sys/fs/cgroup")}
    assert "/sys/fs/cgroup" in groups
    assert all("ro" in options for options in groups.values())


def test_shared_memory(native: NativeRunner, box: Box) -> None:
    assert run(native, box.shell("stat -c %a /dev/shm; df -k /dev/shm | grep shm")).split()[:3] == [
        "1777",
        "shm",
        "65536",
    ]
    larger = box.shell("df -k /dev/shm | grep shm")._replace(shm_size=1 << 30)
    assert run(native, larger).split()[1] == "1048576"


def test_what_is_masked_is_empty(native: NativeRunner, box: Box) -> None:
    assert PRESENT_MASKED
    for name in PRESENT_MASKED:
        assert (
            run(native, box.shell(f"if [ -d /proc/{name} ]; then ls -A /proc/{name}; else cat /proc/{name}; fi")) == ""
        )
    for path in ("/sys/firmware", "/sys/devices/virtual/powercap"):
        if Path(path).is_dir():
            assert run(native, box.spec("ls", "-A", path)) == ""


def test_nothing_of_the_kernel_can_be_written(native: NativeRunner, box: Box) -> None:
    script = """
        for file in /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /sys/kernel/mm/ksm/run /proc/irq/x
        do echo x > $file && echo "$file was written"; done
        mkdir /sys/fs/cgroup/x && echo made; rm /dev/null && echo removed; true
    """
    assert run(native, box.shell(script)) == ""


def test_devices(native: NativeRunner, box: Box) -> None:
    script = """
        cd /dev; ls; stat -c '%n %F %a %t:%T' null zero full random urandom tty
        for link in fd stdin stdout stderr ptmx; do readlink $link; done
    """
    assert run(native, box.shell(script)).split("\n") == [
        *("fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty"),
        *("urandom", "zero"),
        *("null character special file 666 1:3", "zero character special file 666 1:5"),
        *("full character special file 666 1:7", "random character special file 666 1:8"),
        *("urandom character special file 666 1:9", "tty character special file 666 5:0"),
        *("/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx", ""),
    ]
    use = "echo x > /dev/null && head -c 2 /dev/zero /dev/urandom | cat > /dev/null; : < /dev/ptmx && ls /dev/pts"
    assert run(native, box.shell(use)) == "ptmx\n"


@pytest.mark.parametrize("where", ["/disk", "/dev/disk", "/tmp/disk"])
def test_devices_of_the_host_can_be_made_but_not_opened(native: NativeRunner, box: Box, where: str) -> None:
    device = box.directory.stat().st_dev
    script = f"mknod {where} b {os.major(device)} {os.minor(device)} && head -c 1 {where}"
    output = Output()
    assert native.run(box.shell(script), output).exit_code == 1
    assert b"Permission denied" in output.streams[2]
    assert output.streams[1] == b""


def test_changing_a_device_is_nothing_to_the_next_command(native: NativeRunner, box: Box) -> None:
    run(native, box.shell("chmod 000 /dev/null"))
    assert run(native, box.spec("stat", "-c", "%a", "/dev/null")) == "666\n"
    assert stat.S_IMODE(Path("/dev/null").stat().st_mode) == 0o666


def status(native: NativeRunner, box: Box, identity: Identity, seccomp: bytes | None = None) -> dict[str, str]:
    spec = box.spec("cat", "/proc/self/status")._replace(identity=identity, seccomp=seccomp)
    return {line.split(":")[0]: line.split(":")[1].strip() for line in run(native, spec).splitlines()}


def test_capabilities(native: NativeRunner, box: Box) -> None:
    root, app = status(native, box, Identity(0, 0, (0,), "/root")), status(native, box, APP)
    nothing, default = "0" * 16, "00000000a80425fb"
    assert [root[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [
        *(nothing, default, default, default, nothing)
    ]
    assert [app[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")] == [
        *(nothing, nothing, nothing, default, nothing)
    ]
    assert root["NoNewPrivs"] == app["NoNewPrivs"] == "0"
    assert root["Uid"].split() == ["0"] * 4
    assert app["Uid"].split() == app["Gid"].split() == ["1000"] * 4


def test_the_process_starts_clean(native: NativeRunner, box: Box) -> None:
    """Whatever this process ignores, blocks or has open."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    leaked = os.open("/", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    runner = NativeRunner()
    try:
        found = status(runner, box, APP, FILTER)
        descriptors = run(runner, box.shell("ls /proc/$$/fd; cat /proc/$$/stat"))
    finally:
        runner.close()
        os.close(leaked)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR2})
        signal.signal(signal.SIGUSR1, before)
    assert {found[name] for name in ("SigPnd", "SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}
    assert found["Umask"] == "0022"
    assert found["Seccomp"] == "2"
    *numbers, statistics = descriptors.splitlines()
    assert numbers == ["0", "1", "2"]
    session, terminal = statistics.rsplit(")", 1)[1].split()[3:5]
    assert (session, terminal) == ("1", "0")


def test_the_helper_holds_nothing_of_this_process(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that somebody else reads to its end, or a directory that is to be unmounted."""
    monkeypatch.chdir(tmp_path)
    leaked = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    before = set(children(os.getpid()))
    runner = NativeRunner()
    try:
        run(runner, box.spec("true"))
        launcher = (set(children(os.getpid())) - before).pop()
        for pid in (launcher, *children(launcher)):
            assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/"
            assert str(tmp_path) not in {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    finally:
        runner.close()
        os.close(leaked)


def test_limits_are_inherited(native: NativeRunner, box: Box) -> None:
    def limits(text: str) -> list[str]:
        return [line for line in text.splitlines() if "pending signals" not in line]

    assert limits(run(native, box.spec("cat", "/proc/self/limits"))) == limits(Path("/proc/self/limits").read_text())


@pytest.mark.parametrize(
    "command",
    ["mount -t tmpfs x /tmp", "unshare -m true", "hostname other", "unshare -U true", "chroot /nowhere true"],
)
def test_the_filter_refuses(native: NativeRunner, box: Box, command: str) -> None:
    """Each of them would work for a root without it (but for chroot, which is allowed, and there to compare)."""
    output = Output()
    capable = (*DEFAULT_CAPABILITIES, "SYS_ADMIN")
    outcome = native.run(box.spec(*command.split())._replace(seccomp=FILTER, capabilities=capable), output)
    assert outcome.exit_code
    refused = b"Operation not permitted" in output.streams[2] or b"permission denied" in output.streams[2]
    assert refused != command.startswith("chroot")


def test_names(native: NativeRunner, box: Box) -> None:
    assert run(native, box.shell("hostname; cat /etc/hosts /etc/resolv.conf")) == (
        "box\n127.0.0.1 localhost\nnameserver 192.0.2.1\n"
    )


def without_layers(box: Box, script: str, *mounts: Mount) -> SandboxSpec:
    """The only program is a mounted file."""
    program = FileMount("/sh", BUSYBOX.read_bytes(), 0o755)
    spec = box.spec("/sh", "-c", script, lowers=())
    return spec._replace(files=(*spec.files, program), mounts=mounts)


def test_a_first_run_over_nothing_leaves_the_directories_of_the_kernel_s_files(native: NativeRunner, box: Box) -> None:
    spec = without_layers(box, "echo > /left")
    run(native, spec)
    assert changes(spec) == {"left", "proc", "sys", "dev"}
    upper = Path(spec.root.upper)
    for name in ("proc", "sys", "dev"):
        found = (upper / name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o755, 0, 0)


def test_a_mount_below_one_of_them_takes_it_away_again(native: NativeRunner, box: Box) -> None:
    spec = without_layers(box, "echo > /left", TmpfsMount("/dev/scratch/deep", 0, read_only=False))
    run(native, spec)
    assert changes(spec) == {"left", "proc", "sys"}


def test_a_directory_made_for_the_command_below_a_mount_stays(native: NativeRunner, box: Box) -> None:
    spec = box.shell("pwd")._replace(cwd="/w/x/y", mounts=(TmpfsMount("/w/x", 0, read_only=False),))
    assert run(native, spec) == "/w/x/y\n"
    assert changes(spec) == {"w", "w/x", "w/x/y"}


def test_a_directory_that_is_reached_by_a_detour(native: NativeRunner, box: Box) -> None:
    """As runc does: what ``..`` leaves again is made too."""
    spec = box.shell("pwd")._replace(cwd="/a/../b/c/../d")
    assert run(native, spec) == "/b/d\n"
    assert changes(spec) == {"a", "b", "b/c", "b/d"}


def test_a_link_to_nowhere_gets_its_file(native: NativeRunner, box: Box) -> None:
    layer = box.new_layer()
    (layer / "etc").mkdir()
    (layer / "etc/resolv.conf").symlink_to("../run/stub/resolv.conf")
    os.utime(layer / "etc", ns=(LONG_AGO_NS, LONG_AGO_NS))
    spec = box.spec("cat", "/etc/resolv.conf", lowers=("base", layer.name))
    assert run(native, spec) == "nameserver 192.0.2.1\n"
    assert changes(spec) <= {"etc"}


@pytest.mark.parametrize("name", ["proc", "dev", "sys"])
def test_a_link_in_place_of_a_mount_point_is_refused(native: NativeRunner, box: Box, name: str) -> None:
    layer = box.new_layer()
    os.mknod(layer / "bin", stat.S_IFCHR, 0)  # a whiteout, so that nothing is run should this go wrong
    (layer / name).symlink_to("tmp")
    assert f"/{name} in the root" in failure(native, box.spec("true", lowers=("base", layer.name)))


def test_a_directory_that_is_a_descriptor_leads_nowhere(native: NativeRunner, box: Box) -> None:
    for number in range(12):
        spec = box.shell("pwd; ls ..")._replace(cwd=f"/proc/self/fd/{number}")
        output = Output()
        outcome = native.run(spec, output)
        assert outcome.error, (number, output.streams)
    spec = box.spec("pwd")._replace(cwd="/proc/self/cwd")
    assert run(native, spec) == "/\n"


def test_moved_mount_points_are_not_followed_out(native: NativeRunner, box: Box, tmp_path: Path) -> None:
    (tmp_path / "stub").touch()
    spec = box.shell(f"mv /moved /elsewhere && ln -s {tmp_path} /moved")
    spec = spec._replace(files=(FileMount("/moved/stub", b"x", 0o644),))
    run(native, spec)
    assert (tmp_path / "stub").exists()


LOADER = """
static long call(long number, const char *path, long value) {
    long result;
    __asm__ volatile ("syscall" : "=a"(result) : "a"(number), "D"(path), "S"(value) : "rcx", "r11", "memory");
    return result;
}
void _start(void) {
    /* 90 chmod; the mode it has already. 60 exit. */
    call(60, (const char *)-call(90, "/proc/self/exe", MODE), 0);
}
"""


@pytest.mark.needs_tool("gcc")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the loader is written for x86-64")
def test_the_interpreter_of_the_host_cannot_be_changed(native: NativeRunner, box: Box) -> None:
    """An image whose program is a link to /proc/self/exe has the kernel start the helper's own interpreter once more,
    with the image's file in place of the dynamic loader: whoever wrote that gets a descriptor of the host's file."""
    interpreter = Path(sys.executable).resolve()
    with interpreter.open("rb") as file:
        head = file.read(1 << 16)
    loader = next(part for part in head.split(b"\0") if part.startswith(b"/") and b"ld-" in part).decode()
    layer = box.new_layer()
    (layer / "evil").symlink_to("/proc/self/exe")
    (layer / loader[1:]).parent.mkdir(parents=True)
    mode = oct(stat.S_IMODE(interpreter.stat().st_mode)).removeprefix("0o")
    command = ["gcc", "-nostdlib", "-static-pie", "-fPIE", "-O1", f"-DMODE=0{mode}", "-x", "c", "-"]
    subprocess.run([*command, "-o", str(layer / loader[1:])], input=LOADER.encode(), check=True)
    spec = box.spec("/evil", lowers=("base", layer.name))
    assert native.run(spec, Output())[:3] == (errno.EROFS, None, None)


@pytest.mark.parametrize("name", ["a,b", "a:b", "a\\b", "a b", "ü\udcff"])
def test_any_path_can_be_mounted(native: NativeRunner, tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    box = Box(directory)
    assert run(native, box.shell("echo fine > /x; cat /x")) == "fine\n"
    outside = box.shell("echo fine > /y; cat /y")
    elsewhere = outside._replace(root=outside.root._replace(directory=str(box.base.parent), lowers=("base",)))
    assert run(native, elsewhere) == "fine\n"


def test_a_deep_stack(native: NativeRunner, box: Box) -> None:
    layers = [box.new_layer() for _ in range(150)]
    for number, layer in enumerate(layers):
        (layer / f"file{number}").touch()
    spec = box.shell("ls / | grep -c file")._replace(root=box.root("base", *(layer.name for layer in layers)))
    assert run(native, spec) == "150\n"


def test_an_overlay_that_cannot_be_mounted_says_where_to_look(native: NativeRunner, box: Box) -> None:
    assert "overlay" in failure(native, box.spec("true", lowers=("base", "missing")))


def host_mounts(directory: Path) -> list[str]:
    """Those of a runner's work below ``directory``, and of its stage."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(directory) in line or line.split()[4].startswith(("/sys/root", "/sys/sys"))]


def test_the_host_sees_no_mount(native: NativeRunner, box: Box) -> None:
    during: list[list[str]] = []
    native.run(box.spec("echo", "x"), lambda stream, data: during.append(host_mounts(box.directory)))
    assert during == [[]]
    assert host_mounts(box.directory) == []


def test_the_root_is_unmounted_when_run_returns(native: NativeRunner, box: Box) -> None:
    """With ``index=on`` the kernel refuses an upper directory that another superblock uses."""

    def mount_again(upper: str) -> int:
        options = f"index=on,lowerdir={box.base},upperdir={upper},workdir={box.new_layer()}"
        command = ["unshare", "-m", "mount", "-t", "overlay", "overlay", "-o", options, str(box.new_layer())]
        return subprocess.run(command, check=False, capture_output=True).returncode

    for _ in range(5):
        spec = box.shell("sleep 1000 & sleep 1000 & cat /bin/busybox > /file; head -c 1000000 /dev/zero")
        upper = spec.root.upper
        during: list[int] = []

        def listen(stream: int, data: bytes, upper: str = upper, during: list[int] = during) -> None:
            if not during:  # the command waits for us to take its output
                during.append(mount_again(upper))

        native.run(spec, listen)
        assert during[0] != 0
        assert mount_again(upper) == 0


@pytest.mark.parametrize("missing", ["cap_sys_admin", "cap_sys_admin,cap_dac_override"])
def test_without_the_privilege_it_says_so(box: Box, missing: str) -> None:
    script = "from tests.integration.test_native_runner import refusal; import sys; print(refusal(sys.argv[1]), end='')"
    drop = ",".join(f"-{name.removeprefix('cap_')}" for name in missing.split(","))
    command = ["setpriv", f"--bounding-set={drop}", sys.executable, "-c", script, str(box.new_layer())]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert found.stdout == "the sandbox cannot be set up: unshare: Operation not permitted"
    assert found.stderr == ""


def refusal(directory: str) -> str:
    """Run in another process by the test above."""
    runner = NativeRunner()
    try:
        return failure(runner, Box(Path(directory)).spec("true"))
    finally:
        runner.close()


def test_a_cgroup_v2_host(box: Box) -> None:
    """Simulated: a mount namespace in which /sys/fs/cgroup is cgroup v2."""
    if "cgroup2" not in Path("/proc/filesystems").read_text():
        pytest.skip("the kernel has no cgroup v2")
    script = (
        "from tests.integration.test_native_runner import v2_report; import sys; print(v2_report(sys.argv[1]), end='')"
    )
    directory = box.new_layer()
    command = ["unshare", "-m", "sh", "-c", 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"', "sh"]
    command += [sys.executable, "-c", script, str(directory)]
    report = subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout
    namespace, group, *lines = report.splitlines()
    assert namespace != str(Path("/proc/self/ns/cgroup").readlink())
    assert group.endswith(":/")
    kind, options, _ = mounts("\n".join(lines))["/sys/fs/cgroup"]
    assert kind == "cgroup2"
    assert {"ro", "nosuid", "nodev", "noexec"} <= options


def v2_report(directory: str) -> str:
    """Run in another process by the test above."""
    runner = NativeRunner()
    try:
        script = "readlink /proc/self/ns/cgroup; grep ^0: /proc/self/cgroup; cat /proc/self/mountinfo"
        return run(runner, Box(Path(directory)).shell(script))
    finally:
        runner.close()


def processes(marker: str) -> set[int]:
    """Processes with this word among their arguments."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, NotADirectoryError):
            if entry.name.isdecimal() and marker.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.add(int(entry.name))
    return found


def children(pid: int) -> list[int]:
    """In the order they were made, of every thread of ``pid``."""
    texts = [task.joinpath("children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return [int(child) for text in texts for child in text.split()]


def wait_until(condition: Callable[[], bool]) -> None:
    """The limit is for a broken program; what has to happen takes milliseconds."""
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


BUILD = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from builder.sandbox.native import NativeRunner
from builder.sandbox.spec import Identity
from tests.suites.runner_suite import Box
box, marker = Box(Path(sys.argv[1])), sys.argv[2]
shell = f"sleep {marker} & setsid sleep {marker} & trap '' TERM HUP INT; echo x; sleep {marker}"
app = Identity(1000, 1000, (1000,), "/")
specs = [box.shell(shell), box.shell(shell)._replace(identity=app), box.spec("sleep", marker)]
runner = NativeRunner()
with ThreadPoolExecutor(3) as pool:
    print(list(pool.map(lambda spec: runner.run(spec, lambda stream, data: None), specs)), flush=True)
runner.close()
"""


@pytest.fixture
def build(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A process that builds, with three commands (seven sleeping processes) running; and their mark."""
    marker = f"{100_000 + os.getpid()}"
    command = [sys.executable, "-c", BUILD, str(tmp_path), marker]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        try:
            wait_until(lambda: len(processes(marker) - {process.pid}) >= 7)
            yield process, marker
        finally:
            process.kill()
    wait_until(lambda: not processes(marker))
    assert host_mounts(tmp_path) == []


@pytest.mark.parametrize("victim", ["parent", "launcher", "keeper"])
def test_nothing_outlives_a_kill(build: tuple[subprocess.Popen[bytes], str], victim: str) -> None:
    process, marker = build
    launcher = children(process.pid)[0]
    keeper = children(launcher)[0]
    pids = {"parent": process.pid, "launcher": launcher, "keeper": keeper}
    os.kill(pids[victim], signal.SIGKILL)
    wait_until(lambda: not processes(marker) - {process.pid})
    wait_until(lambda: {state(launcher), state(keeper)} == {"Z"})
    if victim != "parent":
        assert process.stdout is not None
        assert process.stdout.readline().count(b"the sandbox helper died") == 3
        assert process.wait(20) == 0


def state(pid: int) -> str:
    """The letter of proc(5); Z (a zombie, that nobody has waited for yet) also when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_a_signal_to_the_process_group_reaches_no_command(build: tuple[subprocess.Popen[bytes], str]) -> None:
    """As a terminal's Ctrl-C does. What it means is up to the parent alone."""
    process, marker = build
    launcher = children(process.pid)[0]
    assert os.getsid(launcher) != os.getsid(process.pid)
    assert len(processes(marker) - {process.pid}) >= 7


def test_closing_leaves_no_process(box: Box) -> None:
    before = set(children(os.getpid()))
    runner = NativeRunner()
    run(runner, box.spec("true"))
    launcher = (set(children(os.getpid())) - before).pop()
    keeper = children(launcher)[0]
    assert children(keeper) == []  # the command's processes are gone, and reaped
    runner.close()
    assert set(children(os.getpid())) == before
    assert not Path(f"/proc/{keeper}").exists()


def test_the_listed_parts_of_the_kernel_are_tested() -> None:
    """Guards the parametrised cases above against an empty list."""
    assert {"sys", "irq"} <= set(PRESENT_READ_ONLY)
