"""What stands around the timed command, on commands that are here everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.builders import BuildFailed, idle, timed


def test_timed_tells_what_a_command_used(tmp_path: Path) -> None:
    work = "import os; data = b'x' * (64 << 20); print(os.environ['WHO'])"
    done = timed((sys.executable, "-c", work), tmp_path / "log", cwd=tmp_path, env={"WHO": "me"})
    assert (tmp_path / "log").read_text() == "me\n"
    assert 0 < done.seconds <= done.ended - done.started + 0.1
    assert done.processor > 0
    assert done.peak > 64 << 20


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
