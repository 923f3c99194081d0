"""The child that stays outside: what it is asked, what it answers, and when it ends."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from builder.sandbox import outside as outside_module
from builder.sandbox.outside import Maps, Outside
from layers.errors import PybuildError


def answer(arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
    match arguments:
        case ["refuse"]:
            raise PybuildError("not installed", hint="install it", code="missing")
        case ["die"]:
            os._exit(3)
        case ["count", number]:
            return 0, bytes(int(number))
        case _:
            return 7, f"{os.getpid()} {arguments} {given!r} {dict(environ)}".encode()


def test_what_is_asked_is_done_in_the_child() -> None:
    child = Outside(answer)
    status, output = child.run(["get", "ü\udcff"], b"\0x", {"A": "1"})
    pid, _, rest = output.decode().partition(" ")
    assert status == 7
    assert int(pid) != os.getpid()
    assert rest == "['get', 'ü\\udcff'] b'\\x00x' {'A': '1'}"
    assert child.run(["count", "1000000"], b"x" * 1_000_000, {}) == (0, bytes(1_000_000))
    child.close()


def test_errors_come_back_as_they_are() -> None:
    child = Outside(answer)
    with pytest.raises(PybuildError) as raised:
        child.run(["refuse"], b"", {})
    assert (raised.value.message, raised.value.hint, raised.value.code) == ("not installed", "install it", "missing")
    assert child.run(["count", "1"], b"", {}) == (0, b"\0")
    child.close()


def test_a_child_that_died_is_an_error() -> None:
    child = Outside(answer)
    for _ in range(2):
        with pytest.raises(PybuildError, match="has ended"):
            child.run(["die"], b"", {})
    child.close()


def test_the_child_ends_when_its_parent_lets_go() -> None:
    child = Outside(answer)
    pid = int(child.run(["get"], b"", {})[1].split()[0])
    child.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "newuidmap is not installed"),
        ("#!/bin/sh\necho newuidmap: no range >&2; exit 1\n", "newuidmap: no range"),
        ("#!/bin/sh\nexit 1\n", "newuidmap failed"),
        ('#!/bin/sh\n[ "$*" = "1 0 1000 1 1 100000 65536" ]\n', None),
    ],
)
def test_programs_that_write_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, said: str | None
) -> None:
    if script is not None:
        (tmp_path / "newuidmap").write_text(script)
        (tmp_path / "newuidmap").chmod(0o755)
    (tmp_path / "newgidmap").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "newgidmap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = ((0, 1000, 1), (1, 100000, 65536))
    assert outside_module._map(1, Maps(rows, rows, tools=True)) == said


def test_maps_that_may_not_be_written_say_so() -> None:
    assert outside_module._map(1 << 30, Maps((), (), tools=False)) == "writing the id map: No such file or directory"
