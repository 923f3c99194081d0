"""What is offered when Tab is pressed, and that nothing goes wrong when there is nothing to offer."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from builder.cli.commands import MODULES, SUMMARIES
from builder.cli.completion import answer
from builder.cli.group import cli
from layers.imagenames import image_names

NAMES = ("docker.io/library/app:1.0", "docker.io/library/app:1.1", "r.example:5000/team/tool:2")
STAGES = "FROM scratch AS base\nfrom base as build\nRUN x\n  FROM --platform=linux/amd64 build AS ship\nFROM ship\n"

Ask = Callable[[str], list[str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What bash is offered for a line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    monkeypatch.setenv("COMP_WORDBREAKS", " =:")
    (tmp_path / "Dockerfile").write_text(STAGES)
    (tmp_path / "store").mkdir()
    with closing(sqlite3.connect(tmp_path / "store/store.db")) as database:
        database.execute("CREATE TABLE names (name TEXT)")
        database.executemany("INSERT INTO names VALUES (?)", [(name,) for name in NAMES])
        database.commit()

    def asked(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        assert answer(cli, "bash_complete") == 0
        return capsys.readouterr().out.split("\n")[:-1]

    return asked


def test_every_command_is_somewhere() -> None:
    assert all(set(module) for module in MODULES.values())
    assert set(MODULES) <= set(SUMMARIES)
    assert all(cli.get_command(cli.make_context("pybuild", ["images"]), name) for name in SUMMARIES)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pybuild pu", ["plain,pull", "plain,push"]),
        ("pybuild fix", ["dir,fix"]),
        ("pybuild build --no-cache ./", ["dir,./"]),
        ("pybuild --no-cache ./", ["dir,./"]),
        ("pybuild --iid", ["plain,--iidfile"]),
        ("pybuild --iidfile ", ["file,"]),
        ("pybuild plan -f ", ["file,"]),
        ("pybuild --pull=n", ["plain,newer", "plain,never"]),
        ("pybuild -t x --pull al", ["plain,always"]),
        ("pybuild --progress t", ["plain,tty"]),
        ("pybuild --target ", ["plain,base", "plain,build", "plain,ship"]),
        ("pybuild plan --target b", ["plain,base", "plain,build"]),
        ("pybuild plan -f none --target b", []),
        ("pybuild rmi ", ["plain,app:1.0", "plain,app:1.1", "plain,r.example:5000/team/tool:2"]),
        ("pybuild rmi app:1.0 app:1.1", ["plain,1.1"]),
        ("pybuild history r.example:", ["plain,5000/team/tool:2"]),
        ("pybuild history r.example:5000/team/tool:", ["plain,2"]),
        ("pybuild rmi --root elsewhere ", []),
        ("pybuild tag nothing", []),
        ("pybuild save -o ", ["file,"]),
        ("pybuild completion ", ["plain,bash", "plain,zsh", "plain,fish"]),
    ],
)
def test_offered(ask: Ask, line: str, expected: list[str]) -> None:
    assert ask(line) == expected


def test_a_line_that_is_an_error(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_LINE", "pybuild --rm=maybe ")
    assert answer(cli, "bash_complete") == 1


@pytest.mark.parametrize("wish", ["", "tcsh_complete", "bash_complete"])
def test_a_wish_that_makes_no_sense(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert answer(cli, wish) == 1


def test_stores_that_cannot_be_read(tmp_path: Path) -> None:
    assert image_names(str(tmp_path)) == ()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "store.db").write_bytes(b"no database" * 100)
    assert image_names(str(tmp_path)) == ()
