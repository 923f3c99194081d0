"""A process beside: its messages, and what is left when it dies."""

from pathlib import Path

import pytest

from layers.beside import LENGTH, Beside, read_message, write_message

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
