"""Pushes with credentials from a helper program, which is asked again when they are needed again."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.builds import TIMEOUT_S, Bench, parse, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

HELPER = """#!/bin/sh
# Gives the password that is in the file beside it, and writes down that it was asked.
read -r server
echo "$1 $server" >> "${0%/*}/asked"
printf '{"ServerURL":"%s","Username":"me","Secret":"%s"}' "$server" "$(cat "${0%/*}/password")"
"""
OLD, NEW = "old-word-7f3a", "new-word-91bc"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry(Gate("basic", {"me": OLD})).running() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, registry: FakeRegistry) -> Path:
    write_tree(
        tmp_path / "home",
        {
            "bin/docker-credential-beside": HELPER,
            "bin/password": OLD,
            ".docker/config.json": json.dumps({"credHelpers": {registry.host: "beside"}}),
        },
    )
    (tmp_path / "home/bin/docker-credential-beside").chmod(0o755)
    return tmp_path / "home"


def environment(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}", "DOCKER_CONFIG": ""}


def asked(home: Path) -> list[str]:
    return (home / "bin/asked").read_text().split()


def test_a_push(bench: Bench, registry: FakeRegistry, home: Path, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"Dockerfile": "FROM busybox\nRUN echo 1 > /made\n"})
    name = f"{registry.host}/team/app:1"
    built = bench.build("--push", "-t", name, context, env=environment(home))
    assert set(asked(home)) == {"get", registry.host}
    assert registry.requests("PUT .*/manifests/1")
    assert OLD not in built.stderr
    assert not any(OLD.encode() in path.read_bytes() for path in bench.store.rglob("*") if path.is_file())


def test_a_password_that_changes_while_a_step_runs(
    bench: Bench, registry: FakeRegistry, home: Path, tmp_path: Path
) -> None:
    """What was right before the first step is refused at the push: the helper is asked once more."""
    context = write_tree(
        tmp_path / "context", {"Dockerfile": "FROM busybox\nRUN echo begun; sleep 3; echo 1 > /made\n"}
    )
    command = bench.command("build", "--progress", "json", "--push", "-t", f"{registry.host}/team/app:1", context)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, cwd=REPOSITORY, env=bench.environment(environment(home))
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if b"begun" in line and b"step-output" in line:
                before = len(asked(home))
                (home / "bin/password").write_text(NEW)
                registry.gate.users.clear()
                registry.gate.users["me"] = NEW
        assert process.wait(TIMEOUT_S) == 0, b"".join(lines).decode()
    assert len(asked(home)) > before
    assert registry.requests("PUT .*/manifests/1")
    assert parse(0, b"".join(lines)).digest


def test_a_helper_with_the_wrong_password_fails_before_the_first_step(
    bench: Bench, home: Path, registry: FakeRegistry, tmp_path: Path
) -> None:
    (home / "bin/password").write_text(NEW)
    context = write_tree(tmp_path / "context", {"Dockerfile": "FROM busybox\nRUN sleep 60\n"})
    built = bench.attempt("--push", "-t", f"{registry.host}/team/app:1", context, env=environment(home))
    assert built.code == 1
    assert built.executed() == set()
    assert NEW not in built.stderr
