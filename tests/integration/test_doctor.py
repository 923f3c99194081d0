"""``pybuild doctor`` on this host: as root, as root with less, with a store that will not do, as somebody else."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPOSITORY

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("setpriv", "unshare")]

NOBODY = 65534
PATHS = sorted({sys.prefix, sys.base_prefix, str(REPOSITORY)})
AS_NOBODY = [sys.executable, "-m", "tests.support.as_user", "nobody", *PATHS, "--"]


class Answer(NamedTuple):
    code: int
    findings: dict[str, dict[str, str]]
    stderr: str


def ask(*command: str | Path, env: dict[str, str] | None = None) -> Answer:
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})},
    )
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)
    return Answer(done.returncode, {finding["check"]: finding for finding in findings}, done.stderr)


def doctor(store: Path) -> list[str | Path]:
    return [sys.executable, "-m", "builder", "doctor", "--json", "--root", store]


def test_root_can_build(tmp_path: Path) -> None:
    answer = ask(*doctor(tmp_path / "a/b/store"), env={"HOME": str(tmp_path)})
    assert answer.code == 0, answer
    assert answer.findings["privileges"]["message"] == "root"
    assert answer.findings["store"]["status"] == "ok"
    assert list(tmp_path.iterdir()) == []


def test_root_without_rights(tmp_path: Path) -> None:
    """Who may not mount makes a user namespace, unless that is forbidden too."""
    weak = ["setpriv", "--bounding-set=-sys_admin", *doctor(tmp_path)]
    assert ask(*weak).code == 0
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    answer = ask("unshare", "-Ur", "sh", "-c", script, "sh", *weak)
    assert answer.code == 1
    finding = answer.findings["privileges"]
    assert finding["status"] == "problem"
    assert "user.max_user_namespaces is 0" in finding["message"]
    assert finding["command"]


def test_a_store_on_an_overlay(tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "root"):
        (tmp_path / name).mkdir()
    overlay = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work root"
    script = f'cd "$0" && {overlay} && cd "$OLDPWD" && exec "$@"'
    answer = ask("unshare", "-m", "sh", "-c", script, tmp_path, *doctor(tmp_path / "root/s"))
    assert answer.code == 1
    finding = answer.findings["store"]
    assert finding["status"] == "problem"
    assert "overlay" in finding["message"]
    assert f"-v pybuild:{tmp_path}/root/s" in finding["command"]


@pytest.fixture
def home() -> Iterator[Path]:
    """Not below pytest's own directory, which is closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def test_an_ordinary_user_is_told(home: Path) -> None:
    answer = ask(*AS_NOBODY, *doctor(home), env={"HOME": str(home), "DOCKER_CONFIG": str(home)})
    assert answer.code == 0
    assert answer.findings["privileges"]["message"] == "user nobody"
    assert answer.findings["subordinate ids"]["status"] == "warning"
    assert answer.findings["subordinate ids"]["command"]
    assert answer.findings["store"]["status"] == "ok"
    assert answer.findings["RUN"]["status"] == "ok"
    assert list(home.iterdir()) == []


def test_a_container_that_hides_parts_of_proc(home: Path) -> None:
    """Builds get as far as their first RUN, so it has to be tried."""
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs hidden /proc/fs && exec "$@"', "sh"]
    answer = ask(*hide, *AS_NOBODY, *doctor(home), env={"HOME": str(home), "DOCKER_CONFIG": str(home)})
    assert answer.code == 1
    finding = answer.findings["RUN"]
    assert (finding["status"], "mount proc on /proc" in finding["message"]) == ("problem", True)
    assert "systempaths=unconfined" in finding["command"]


def test_a_store_that_is_closed_to_the_user(home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    answer = ask(*AS_NOBODY, *doctor(tmp_path / "deep/er"), env={"HOME": str(home)})
    assert answer.code == 1
    assert "cannot be written by nobody" in answer.findings["store"]["message"]


def test_a_helper_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "nowhere"}')
    answer = ask(*doctor(tmp_path), env={"DOCKER_CONFIG": str(tmp_path)})
    assert answer.code == 0
    assert "docker-credential-nowhere" in answer.findings["credentials"]["message"]
