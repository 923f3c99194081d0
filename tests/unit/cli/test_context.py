"""``pybuild context ls``."""

import json
from pathlib import Path

import pytest

from tests.conftest import FIXTURES
from tests.unit.cli.conftest import FakeApi, Run

ROOT = FIXTURES / "contexts" / "ignored"
TEXT = """\
in       53 B  .dockerignore
in       30 B  Dockerfile
part           docs/  (.dockerignore:2: docs)
out       6 B  docs/draft.md  (.dockerignore:2: docs)
in        7 B  docs/manual.md  (.dockerignore:3: !docs/manual.md)
out            node_modules/  (.dockerignore:4: node_modules)
in             src/
in       13 B  src/main.c
out       4 B  src/main.o  (.dockerignore:1: **/*.o)
4 in the context (103 B), 3 left out (10 B without what is in directories)
"""


def test_the_working_directory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert run("context", "ls") == (0, TEXT, "")
    assert run("context", "ls", str(ROOT)) == (0, TEXT, "")


def test_json(run: Run) -> None:
    lines = [json.loads(line) for line in run("context", "ls", "--json", str(ROOT)).out.splitlines()]
    assert lines[3] == {
        "path": "docs/draft.md",
        "kind": "file",
        "size": 6,
        "state": "out",
        "pattern": "docs",
        "file": ".dockerignore",
        "line": 2,
    }


def test_ignore_files_by_name(run: Run, context: Path) -> None:
    (context / "one").write_text("one\n")
    (context / "two").write_text("# no\ntwo\n")
    out = run("context", "ls", "--ignorefile", "one", "--ignorefile", "two").out
    assert "one  (one:1: one)\n" in out
    assert "two  (two:2: two)\n" in out
    (context / "Own").write_text("")
    (context / "Own.dockerignore").write_text("Dockerfile\n")
    assert "Dockerfile  (Own.dockerignore:1: Dockerfile)\n" in run("context", "ls", "-f", "Own").out


def test_no_dockerfile_is_needed(run: Run, context: Path) -> None:
    (context / "Dockerfile").unlink()
    (context / ".dockerignore").write_text("x\n")
    assert run("context", "ls").out.startswith("in        2 B  .dockerignore\n")


def test_a_pattern_that_cannot_be_understood(run: Run, context: Path) -> None:
    (context / ".dockerignore").write_text("ok\n[\n")
    ran = run("context", "ls")
    assert ran.code == 1
    assert ".dockerignore:2" in ran.err


def test_names_cannot_steer_a_terminal(run: Run, context: Path) -> None:
    (context / "a\x1b[31m\n").write_text("")
    assert "a\\x1b[31m\\n\n" in run("context", "ls").out


def test_a_directory_that_is_called_context(run: Run, context: Path, api: FakeApi) -> None:
    (context / "context").mkdir()
    (context / "context/Dockerfile").write_text("FROM scratch")
    assert run("context").code == 0
    assert run("context", "-t", "x").code == 0
    assert [request.context for request in api.requests] == [str(context / "context")] * 2
