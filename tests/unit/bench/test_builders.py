"""What stands around the timed command, on commands that are here everywhere."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench import buildkit, field
from tests.bench.builders import Absent, Job
from tests.bench.command import BuildFailed, Finished, idle, timed
from tests.conftest import REPOSITORY
from tests.support.peers import run


def test_timed_tells_what_a_command_used(tmp_path: Path) -> None:
    work = "import os; data = b'x' * (64 << 20); print(os.environ['WHO'])"
    done = timed((sys.executable, "-c", work), tmp_path / "log", cwd=tmp_path, env={"WHO": "me"})
    assert (tmp_path / "log").read_text() == "me\n"
    assert 0 < done.seconds <= done.ended - done.started + 0.1
    assert done.processor > 0
    assert done.peak is None


def test_a_command_that_fails_shows_the_end_of_what_it_said(tmp_path: Path) -> None:
    work = "import sys; print('x' * 3000, flush=True); sys.exit('no space left')"
    with pytest.raises(BuildFailed, match=r"exit code 1\n[^!]*no space left") as caught:
        timed((sys.executable, "-c", work), tmp_path / "log", cwd=tmp_path)
    assert len(str(caught.value)) < 2500


def test_idle_waits_for_what_works_on_a_directory(tmp_path: Path) -> None:
    program = "import sys; print('here', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        with pytest.raises(BuildFailed, match="still works on"):
            idle(tmp_path, limit=0.05)
        process.communicate()
        idle(tmp_path, limit=60)


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="killed after 0 s"):
        timed(("sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid; wait"), tmp_path / "log", cwd=tmp_path, limit=0.4)
    child = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    deadline = time.monotonic() + 20
    while child.exists() and child.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_sampled_command_is_measured_with_its_children(tmp_path: Path) -> None:
    hold = "import sys, time; data = b'x' * (40 << 20); time.sleep(1)"
    work = f"import subprocess, sys; data = b'x' * (40 << 20); subprocess.run([sys.executable, '-c', {hold!r}])"
    done = timed((sys.executable, "-c", work), tmp_path / "log", cwd=tmp_path, sampled=True)
    assert done.peak is not None
    assert done.peak > 80 << 20


def test_a_command_can_be_timed_by_another_user(tmp_path: Path) -> None:
    """What the user's process prints is what ``timed`` returns."""
    timing = [sys.executable, "-m", "tests.bench.command", str(tmp_path / "log"), "echo", "done"]
    told = json.loads(run(*timing, cwd=REPOSITORY))
    assert Finished(*told).seconds > 0
    assert (tmp_path / "log").read_text() == "done\n"
    with pytest.raises(AssertionError, match="exit code 1"):
        run(*timing[:-2], "false", cwd=REPOSITORY)


def test_who_is_absent_says_why() -> None:
    absent = Absent("buildkit", "no kernel\nfor that")
    assert absent.version() == "not here: no kernel"
    with pytest.raises(BuildFailed, match="no kernel"):
        absent.fresh(None)
    with pytest.raises(BuildFailed, match="no kernel"):
        absent.build(Path(), Job("base"))


@pytest.mark.parametrize(
    ("here", "names", "expected"),
    [
        (("buildkit", "docker", "buildah"), None, ("buildkit", "buildah")),
        (("docker", "buildah"), None, ("docker", "buildah")),
        (("buildkit", "docker"), "docker,buildkit", ("buildkit", "docker")),
        (("buildkit", "docker"), "", ()),
        ((), None, ()),
    ],
)
def test_docker_stands_in_for_buildkit(
    monkeypatch: pytest.MonkeyPatch, here: tuple[str, ...], names: str | None, expected: tuple[str, ...]
) -> None:
    monkeypatch.setattr(field, "missing", lambda name: None if name in here else "it")
    assert field.chosen(names) == expected


def test_a_peer_that_is_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field, "missing", lambda _: "buildctl")
    with pytest.raises(ValueError, match="buildkit needs the program buildctl"):
        field.chosen("buildkit")
    with pytest.raises(ValueError, match="no peer kaniko; there are buildkit, docker, buildah"):
        field.chosen("kaniko")


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("#4 extracting sha256:02c4\n", True),
        ("#4 [1/2] FROM x\n#4 CACHED\n#5 0.1 extracting sha256:02c4\n", False),
        ("", False),
    ],
)
def test_whether_a_base_was_fetched_is_read_off_the_progress(log: str, expected: bool) -> None:
    assert buildkit.fetched(log) is expected
