"""What every Runner must do, whatever it runs commands with. Subclass RunnerSuite and give it a ``runner`` fixture."""

import os
import shutil
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from builder.sandbox.spec import (
    DEFAULT_CAPABILITIES,
    FileMount,
    Identity,
    Outcome,
    OverlayRoot,
    Runner,
    SandboxSpec,
)

BUSYBOX = Path("/bin/busybox")
"""Must be the static one (Debian's busybox-static)."""
LONG_AGO_NS = 1_000_000_000_000_000_000
ROOT = Identity(0, 0, (0,), "/root")
APPLETS = (
    *("sh", "cat", "ls", "id", "env", "head", "mount", "mknod", "chmod", "touch", "rm", "mv", "ln", "mkdir", "true"),
    *(
        "sleep",
        "hostname",
        "unshare",
        "chroot",
        "readlink",
        "printf",
        "echo",
        "stat",
        "kill",
        "grep",
        "pwd",
        "df",
        "cp",
    ),
)


class Box:
    """Layers and writable directories on disk, as a store would hand them out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = count(1)
        base = directory / "base"
        for name in ("bin", "dev", "etc", "proc", "root", "sys", "usr/lib"):
            (base / name).mkdir(parents=True)
        (base / "tmp").mkdir()
        (base / "tmp").chmod(0o1777)
        shutil.copy(BUSYBOX, base / "bin/busybox")
        for name in APPLETS:
            (base / "bin" / name).symlink_to("busybox")
        (base / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
        (base / "etc/group").write_text("root:x:0:\napp:x:1000:\naudio:x:29:app\n")
        for name in ("hosts", "resolv.conf"):
            (base / "etc" / name).touch()
        for path in (*base.rglob("*"), base):
            os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS), follow_symlinks=False)
        self.base = base

    def new_layer(self) -> Path:
        """An empty directory to fill, named by ``lowers``."""
        path = self.directory / str(next(self._numbers))
        path.mkdir()
        return path

    def root(self, *lowers: str) -> OverlayRoot:
        """A writable root over these layers, lowest first."""
        number = next(self._numbers)
        upper, work = self.directory / f"upper{number}", self.directory / f"work{number}"
        upper.mkdir(mode=0o755)
        work.mkdir()
        os.utime(upper, ns=(LONG_AGO_NS, LONG_AGO_NS))
        return OverlayRoot(str(self.directory), lowers, str(upper), str(work))

    def spec(self, *args: str, lowers: tuple[str, ...] = ("base",)) -> SandboxSpec:
        return SandboxSpec(
            root=self.root(*lowers),
            args=args,
            env=(("PATH", "/usr/bin:/bin"),),
            cwd="/",
            identity=ROOT,
            files=(
                FileMount("/etc/hosts", b"127.0.0.1 localhost\n", 0o644),
                FileMount("/etc/resolv.conf", b"nameserver 192.0.2.1\n", 0o644),
            ),
            hostname="box",
            capabilities=DEFAULT_CAPABILITIES,
            seccomp=None,
        )

    def shell(self, script: str) -> SandboxSpec:
        return self.spec("sh", "-c", script)


class Output:
    """Collects what a command writes."""

    def __init__(self) -> None:
        self.streams = {1: b"", 2: b""}

    def __call__(self, stream: int, data: bytes) -> None:
        assert data
        self.streams[stream] += data

    @property
    def text(self) -> str:
        return self.streams[1].decode()


def run(runner: Runner, spec: SandboxSpec) -> str:
    """Standard output of a command that must succeed."""
    output = Output()
    outcome = runner.run(spec, output)
    assert (outcome.exit_code, outcome.signal, outcome.error) == (0, None, None), (outcome, output.streams)
    return output.text


def failure(runner: Runner, spec: SandboxSpec) -> str:
    """Why a command could not be started."""
    outcome = runner.run(spec, Output())
    assert (outcome.exit_code, outcome.signal) == (None, None)
    assert outcome.error
    return outcome.error


def changes(spec: SandboxSpec) -> set[str]:
    """Relative paths in the upper directory."""
    upper = Path(spec.root.upper)
    return {str(path.relative_to(upper)) for path in upper.rglob("*")}


class RunnerSuite:
    """``box`` is the module's own fixture: a root filesystem for all of its tests."""

    @pytest.fixture
    def runner(self) -> Runner:
        raise NotImplementedError

    @pytest.fixture
    def open_runner(self) -> Callable[[], Runner]:
        """For tests that end their runner."""
        raise NotImplementedError

    @pytest.mark.parametrize("code", [0, 1, 7, 255])
    def test_the_exit_code_is_reported(self, runner: Runner, box: Box, code: int) -> None:
        outcome = runner.run(box.shell(f"exit {code}"), Output())
        assert outcome[:3] == (code, None, None)
        assert outcome.seconds > 0

    def test_both_streams_arrive_as_bytes(self, runner: Runner, box: Box) -> None:
        output = Output()
        runner.run(box.shell(r"printf 'o\377\000'; printf 'e\n\342' >&2"), output)
        assert output.streams == {1: b"o\xff\0", 2: b"e\n\xe2"}

    def test_nothing_of_much_output_is_lost(self, runner: Runner, box: Box) -> None:
        output = Output()
        runner.run(box.shell("head -c 3000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait"), output)
        assert [len(data) for data in output.streams.values()] == [3_000_000, 2_000_000]

    def test_output_of_a_process_left_behind_ends_with_the_command(self, runner: Runner, box: Box) -> None:
        assert run(runner, box.shell("(sleep 1000; echo late) & echo done")) == "done\n"

    def test_standard_input_is_empty(self, runner: Runner, box: Box) -> None:
        assert run(runner, box.spec("cat")) == ""

    def test_a_program_that_is_not_there(self, runner: Runner, box: Box) -> None:
        assert "not found" in failure(runner, box.spec("no-such-program"))
        assert "/no/such" in failure(runner, box.spec("/no/such"))

    def test_a_file_that_is_no_program(self, runner: Runner, box: Box) -> None:
        assert "Permission denied" in failure(runner, box.spec("/etc/passwd"))

    def test_the_environment_is_what_was_given(self, runner: Runner, box: Box) -> None:
        spec = box.spec("env")._replace(env=(("PATH", "/bin"), ("A", "1"), ("B", "\udcff ü\n")))
        raw = Output()
        runner.run(spec, raw)
        assert set(raw.streams[1].split(b"\n")) == {b"HOME=/root", b"PATH=/bin", b"A=1", b"B=\xff \xc3\xbc", b""}

    def test_home_can_be_given(self, runner: Runner, box: Box) -> None:
        spec = box.shell("echo $HOME")._replace(env=(("PATH", "/bin"), ("HOME", "/mine")))
        assert run(runner, spec) == "/mine\n"

    def test_programs_are_looked_for_on_the_path_given(self, runner: Runner, box: Box) -> None:
        assert "not found" in failure(runner, box.spec("true")._replace(env=(("PATH", "/usr/lib:"),)))
        assert "not found" in failure(runner, box.spec("true")._replace(env=()))

    def test_a_missing_directory_is_made_for_the_user(self, runner: Runner, box: Box) -> None:
        app = Identity(1000, 1000, (1000,), "/home/app")
        spec = box.shell("pwd; stat -c '%n %u:%g %a' /srv /srv/app")._replace(cwd="/srv/app", identity=app)
        assert run(runner, spec) == "/srv/app\n/srv 1000:1000 755\n/srv/app 1000:1000 755\n"
        assert changes(spec) == {"srv", "srv/app"}

    def test_a_directory_that_is_a_file(self, runner: Runner, box: Box) -> None:
        assert "/etc/passwd" in failure(runner, box.shell("pwd")._replace(cwd="/etc/passwd"))
        assert "/etc/passwd" in failure(runner, box.shell("pwd")._replace(cwd="/etc/passwd/below"))

    def test_user_and_groups(self, runner: Runner, box: Box) -> None:
        app = Identity(1000, 1001, (1001, 29), "/home/app")
        script = (
            "id -u; id -g; grep Groups /proc/self/status; echo x > /tmp/x; echo y > /y; echo $HOME; echo z >/dev/stdout"
        )
        spec = box.shell(script)._replace(identity=app)
        output = Output()
        runner.run(spec, output)
        assert output.text.split() == ["1000", "1001", "Groups:", "29", "1001", "/home/app", "z"]
        assert b"can't create /y" in output.streams[2]
        assert Path(spec.root.upper, "tmp/x").stat().st_uid == 1000

    def test_files_are_mounted_and_leave_no_trace(self, runner: Runner, box: Box) -> None:
        script = FileMount("/opt/new/script", b"#!/bin/sh\necho script $0\n", 0o755)
        passwd = FileMount("/etc/passwd", b"other\n", 0o600)
        spec = box.shell("/opt/new/script; stat -c %a /etc/passwd; cat /etc/passwd; (: > /etc/passwd) 2>&1")
        spec = spec._replace(files=(*spec.files, script, passwd))
        outcome = runner.run(spec, output := Output())
        assert outcome.exit_code == 1
        assert output.text.startswith("script /opt/new/script\n600\nother\n")
        assert "Read-only file system" in output.text
        assert changes(spec) == set()
        assert Path(spec.root.upper).stat().st_mtime_ns == LONG_AGO_NS

    def test_directories_around_a_mounted_file_keep_their_times(self, runner: Runner, box: Box) -> None:
        """They may be in the upper directory, as they are below: that is no change."""
        spec = box.shell("stat -c %Y / /usr /usr/lib")
        spec = spec._replace(files=(FileMount("/usr/lib/new/file", b"x", 0o644),))
        assert set(run(runner, spec).split()) == {str(LONG_AGO_NS // 10**9)}
        assert changes(spec) <= {"usr", "usr/lib"}
        for name in changes(spec):
            assert Path(spec.root.upper, name).stat().st_mtime_ns == LONG_AGO_NS

    def test_a_writable_file_forgets(self, runner: Runner, box: Box) -> None:
        scratch = FileMount("/scratch", b"before", 0o644, read_only=False)
        spec = box.shell("echo after > /scratch; cat /scratch")
        assert run(runner, spec._replace(files=(scratch,))) == "after\n"
        assert changes(spec) == set()

    def test_the_upper_directory_holds_the_changes(self, runner: Runner, box: Box) -> None:
        spec = box.shell("echo new > /tmp/new; rm /etc/group; mkdir -m 700 /d; chmod 600 /etc/passwd")
        run(runner, spec)
        assert changes(spec) == {"tmp", "tmp/new", "etc", "etc/group", "etc/passwd", "d"}
        upper = Path(spec.root.upper)
        deleted = (upper / "etc/group").lstat()
        assert stat.S_ISCHR(deleted.st_mode)
        assert deleted.st_rdev == 0
        assert stat.S_IMODE((upper / "tmp").stat().st_mode) == 0o1777
        assert stat.S_IMODE((upper / "d").stat().st_mode) == 0o700
        assert stat.S_IMODE(upper.stat().st_mode) == 0o755

    def test_a_command_that_does_nothing_changes_nothing(self, runner: Runner, box: Box) -> None:
        spec = box.spec("true")._replace(files=())
        run(runner, spec)
        assert changes(spec) == set()
        assert Path(spec.root.upper).stat().st_mtime_ns == LONG_AGO_NS

    def test_an_upper_directory_is_the_next_lower_at_once(self, runner: Runner, box: Box) -> None:
        lowers = ["base"]
        for number in range(12):
            spec = box.shell(f"echo {number} > /tmp/file{number}; cat /tmp/file*")
            spec = spec._replace(root=box.root(*lowers))
            assert run(runner, spec).split() == sorted(map(str, range(number + 1)), key=lambda n: f"file{n}")
            layer = box.new_layer()
            Path(spec.root.upper).rename(layer)
            lowers.append(layer.name)

    def test_several_commands_at_once(self, runner: Runner, box: Box) -> None:
        """None of them could end before all of them run."""
        everybody = threading.Barrier(4, timeout=30)
        specs = [box.shell(f"echo begun; cat > /dev/null; echo {number}") for number in range(4)]

        def one(spec: SandboxSpec) -> str:
            output = Output()

            def wait(stream: int, data: bytes) -> None:
                if not output.streams[1]:
                    everybody.wait()
                output(stream, data)

            runner.run(spec, wait)
            return output.text.split()[-1]

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(one, specs)) == ["0", "1", "2", "3"]

    def test_an_error_of_the_listener_ends_the_command(self, runner: Runner, box: Box) -> None:
        def listen(stream: int, data: bytes) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            runner.run(box.shell("echo x; sleep 1000"), listen)
        assert run(runner, box.shell("echo still usable")) == "still usable\n"

    def test_cancel_kills_what_runs_and_what_would(self, open_runner: Callable[[], Runner], box: Box) -> None:
        """Also shows that output is passed on while the command runs: nothing else would end it."""
        runner = open_runner()
        begun = threading.Barrier(4, timeout=30)

        def one(number: int) -> Outcome:
            def listen(stream: int, data: bytes) -> None:
                begun.wait()

            return runner.run(box.shell("trap '' TERM INT HUP; echo x; sleep 1000; sleep 1000"), listen)

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(one, number) for number in range(3)]
            begun.wait()
            runner.cancel()
            for future in running:
                assert future.result(30)[:3] == (None, 9, None)
        assert runner.run(box.spec("true"), Output())[:3] == (None, 9, None)
        runner.close()

    def test_a_closed_runner_runs_nothing(self, open_runner: Callable[[], Runner], box: Box) -> None:
        runner = open_runner()
        runner.close()
        runner.close()
        assert failure(runner, box.spec("true")) == "the runner is closed"

    def test_closing_ends_what_runs(self, open_runner: Callable[[], Runner], box: Box) -> None:
        runner = open_runner()
        begun = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(runner.run, box.shell("echo x; sleep 1000"), lambda stream, data: begun.set())
            assert begun.wait(30)
            runner.close()
            assert running.result(30).error

    def test_an_unknown_network_is_refused(self, runner: Runner, box: Box) -> None:
        assert "bridge" in failure(runner, box.spec("true")._replace(network="bridge"))

    def test_an_unknown_capability_is_refused(self, runner: Runner, box: Box) -> None:
        assert "FLYING" in failure(runner, box.spec("true")._replace(capabilities=("FLYING",)))

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"args": ("",)}, "first word is empty"),
            ({"args": ("/bin/sh", "a\0b")}, "hold a NUL"),
            ({"env": (("A", "a\0b"),)}, "hold a NUL"),
            ({"cwd": "/a\0b"}, "hold a NUL"),
            ({"identity": Identity(0, 0, (0,), "/\0")}, "hold a NUL"),
            ({"env": (("", "x"),)}, "without a name"),
            ({"identity": Identity(0, 0, tuple(range(70_000)), "/")}, "in 70000 groups"),
        ],
    )
    def test_what_no_command_can_be_given_is_refused(
        self, runner: Runner, box: Box, change: dict[str, Any], said: str
    ) -> None:
        assert said in failure(runner, box.spec("true")._replace(**change))
