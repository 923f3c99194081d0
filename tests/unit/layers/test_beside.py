"""A process beside: its messages, and what is left when it dies."""

import fcntl
import shutil
from pathlib import Path

import pytest

from layers import beside
from layers.beside import LENGTH, Beside, read_message, write_message
from tests.conftest import REPOSITORY

ECHO = "tests.support.echo"


def test_messages(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    with path.open("wb") as out:
        write_message(out.fileno(), b"")
        write_message(out.fileno(), b"x" * 3_000_000)
        out.write(LENGTH.pack(5) + b"cut")
    with path.open("rb") as found:
        assert read_message(found.fileno()) == b""
        assert read_message(found.fileno()) == b"x" * 3_000_000
        assert read_message(found.fileno()) is None
        assert read_message(found.fileno()) is None


def test_neither_waits_for_the_other() -> None:
    """Many large messages are sent before the first answer is read."""
    messages = [bytes([number]) * 300_000 for number in range(8)]
    process = Beside(ECHO)
    try:
        assert all(process.send(message) for message in messages)
        assert [process.receive() for _ in messages] == messages
    finally:
        process.close()
    assert not process.send(b"")
    assert process.receive() == b""


def test_the_answers_that_came_outlive_it() -> None:
    process = Beside(ECHO)
    try:
        assert process.send(b"one")
        while not process.answers():
            pass
        assert process._process is not None
        process._process.kill()
        process._process.wait()
        assert process.receive() == b"one"
        assert process.receive() == b""
        assert not process.send(b"two")
        assert process.answers(), "there is nothing to wait for"
    finally:
        process.close()


def test_it_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/does/not/exist")
    process = Beside(ECHO)
    assert not process.send(b"one")
    assert process.receive() == b""
    process.close()


def test_a_build_that_ends_first_hears_nothing_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    """One that was killed: nobody reads the rest of the answer, and the terminal is not ours any more."""
    process = Beside(ECHO)
    try:
        assert process.send(b"x" * 4_000_000)
        echo = process._process
        assert echo is not None
        assert echo.stdin is not None
        assert echo.stdout is not None
        while not process.answers():
            pass
        echo.stdout.close()
        echo.stdin.close()
        echo.wait()
    finally:
        process.close()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("raised", ["OSError(12, 'no memory')", "MemoryError()"])
def test_nobody_hears_of_one_that_finds_no_room(
    raised: str, installed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The build does its work: what it lacked is no news for a terminal that shows a build that went well."""
    (installed / "poor.py").write_text(f"def main():\n    raise {raised}\n")
    process = Beside("poor")
    try:
        process.send(b"one")
        assert process.receive() == b""
        assert process._process is not None
        assert process._process.wait() == 0
    finally:
        process.close()
    assert capfd.readouterr().err == ""


def test_a_mistake_of_ours_is_heard_of(installed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (installed / "wrong.py").write_text("def main():\n    raise KeyError('mistake')\n")
    process = Beside("wrong")
    try:
        process.send(b"one")
        assert process.receive() == b""
    finally:
        process.close()
    assert "mistake" in capfd.readouterr().err


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with our packages, as an installation has them beside those of others; ``echo`` is among them."""
    root = tmp_path / "site-packages"
    (root / "layers").mkdir(parents=True)
    for name in ("__init__.py", "beside.py"):
        shutil.copy(REPOSITORY / "layers" / name, root / "layers")
    shutil.copy(REPOSITORY / "tests" / "support" / "echo.py", root)
    monkeypatch.setattr(beside, "__file__", str(root / "layers" / "beside.py"))
    return root


def echoes() -> bool:
    process = Beside("echo")
    try:
        return process.send(b"one") and process.receive() == b"one"
    finally:
        process.close()


def test_other_packages_do_not_stand_in_for_the_standard_library(installed: Path) -> None:
    (installed / "typing.py").write_text("raise ImportError")
    assert echoes()


def test_compiled_modules_go_where_they_should(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setattr("sys.pycache_prefix", None)
    assert echoes()
    assert not list(installed.rglob("*.pyc"))
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    monkeypatch.setattr("sys.pycache_prefix", str(tmp_path / "compiled"))
    assert echoes()
    assert not list(installed.rglob("*.pyc"))
    assert list((tmp_path / "compiled").rglob("echo.*.pyc"))


def test_a_user_with_many_pipes_gets_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    process = Beside(ECHO)
    try:
        assert process.send(b"x" * 3_000_000)
        assert process.receive() == b"x" * 3_000_000
    finally:
        process.close()
