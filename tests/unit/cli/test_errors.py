"""What a user sees of an error."""

import json
import signal
import threading
from pathlib import Path

import pytest

from builder.cli.errors import excerpt, narrowed
from builder.errors import Cancelled, ParseError, PlanError, Span, StepFailed
from builder.events import Emit
from layers.errors import IntegrityError
from tests.unit.cli.conftest import FakeApi, Run

SOURCE = b"FROM debian\n\nRUN a && \\\n\tb --flag=x\nCMD x\n"


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span("D", 1, 1), ["> 1 | FROM debian", "    | ^^^^^^^^^^^"]),
        (Span("D", 1, 1, 5, 6), ["> 1 | FROM debian", "    |      ^^^^^^"]),
        (
            Span("D", 3, 4),
            ["  1 | FROM debian", "  2 |", "> 3 | RUN a && \\", "    | ^^^^^^^^^^", "> 4 |     b --flag=x"],
        ),
        (Span("D", 4, 4, 3, 8), ["  2 |", "  3 | RUN a && \\", "> 4 |     b --flag=x", "    |       ^^^^^^^^"]),
        (Span("D", 5, 9, 40, 2), ["  3 | RUN a && \\", "  4 |     b --flag=x", "> 5 | CMD x", "    |      ^"]),
        (Span("D", 6, 6), []),
        (Span("D", 0, 0), []),
    ],
)
def test_excerpt(span: Span, expected: list[str]) -> None:
    assert excerpt(SOURCE, span) == expected


def test_excerpt_of_a_file_that_is_not_at_hand() -> None:
    assert excerpt(None, Span("D", 1, 1)) == []


def test_long_instructions_are_shown_in_part() -> None:
    lines = excerpt(b"RUN x \\\n" * 30, Span("D", 1, 30))
    assert len(lines) == 14
    assert lines[-1] == "     | ... (to line 30)"


def test_excerpts_cannot_reach_the_terminal() -> None:
    assert excerpt(b"RUN \x1b[2Jx\n", Span("D", 1, 1))[0] == "> 1 | RUN x"


def test_a_failed_step(run: Run, context: Path, api: FakeApi) -> None:
    api.error = StepFailed(
        'process "make" did not complete successfully: exit code: 2',
        span=Span("Dockerfile", 2, 3),
        exit_code=2,
        tail=b"cc a.c\r\n\x1b[31merror\x1b[0m\nmake: *** stop\n",
        hint="look above",
    )
    ran = run(".")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "------\ncc a.c\nerror\nmake: *** stop\n------\n"
        "Dockerfile:2\n  1 | FROM debian\n> 2 | RUN make &&\\\n    | ^^^^^^^^^^^^\n> 3 |   make install\n"
        'error: process "make" did not complete successfully: exit code: 2\nhint: look above\n'
    )


def test_the_exit_code_is_always_told(run: Run, context: Path, api: FakeApi) -> None:
    api.error = StepFailed("RUN make failed", exit_code=127)
    assert run(".").err == "error: RUN make failed\nexit code: 127\n"


def test_an_error_somewhere_else_has_its_place_without_lines(run: Run, context: Path, api: FakeApi) -> None:
    api.error = PlanError("no such stage\nmaybe build", span=Span("ONBUILD of debian", 1, 1))
    assert run(".").err == "ONBUILD of debian:1\nerror: no such stage\n  maybe build\n"


def test_errors_for_programs(run: Run, context: Path, api: FakeApi) -> None:
    api.error = StepFailed("RUN make failed", exit_code=2, tail=b"\xff!", span=Span("Dockerfile", 2, 3))
    ran = run("--progress=json", ".")
    assert ran.code == 1
    assert json.loads(ran.err) == {
        "event": "error",
        "code": "step-failed",
        "message": "RUN make failed",
        "hint": None,
        "span": {"path": "Dockerfile", "first_line": 2, "last_line": 3, "column": 0, "width": 0},
        "exit_code": 2,
        "tail": "\ufffd!",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ParseError("x"), 1),
        (IntegrityError("x"), 1),
        (Cancelled("x"), 1),
        (KeyboardInterrupt(), 130),
        (FileNotFoundError(2, "No such file or directory", b"/a"), 1),
    ],
)
def test_exit_codes(error: BaseException, code: int, run: Run, context: Path, api: FakeApi) -> None:
    api.error = error
    ran = run(".")
    assert ran.code == code
    assert "Traceback" not in ran.err


def test_debug_shows_the_traceback(run: Run, context: Path, api: FakeApi) -> None:
    api.error = ParseError("bad")
    assert "Traceback" in run("-D", ".").err


def test_a_mistake_of_pybuild_is_called_so(run: Run, context: Path, api: FakeApi) -> None:
    api.error = ZeroDivisionError("division by zero")
    ran = run(".")
    assert ran.code == 1
    assert ran.err.startswith("error: internal error: ZeroDivisionError: division by zero\nhint: ")
    assert "Traceback" not in ran.err
    assert "Traceback" in run("-D", ".").err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_cancel_the_build(number: signal.Signals, run: Run, context: Path, api: FakeApi) -> None:
    def during(emit: Emit, cancelled: threading.Event) -> None:
        signal.raise_signal(number)
        assert cancelled.wait(10)
        raise StepFailed("killed by signal 9")

    outside = signal.signal(number, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
    api.during = during
    try:
        ran = run(".")
        assert (ran.code, ran.err) == (128 + number, "error: the build was interrupted\n")
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, outside)


def test_ignored_signals_stay_ignored(run: Run, context: Path, api: FakeApi) -> None:
    def during(emit: Emit, cancelled: threading.Event) -> None:
        signal.raise_signal(signal.SIGHUP)
        assert not cancelled.wait(0.05)

    api.during = during
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(".").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("column", "shown", "caret"),
    [
        (4, "RUN " + "x" * 156 + "...", "    ^"),
        (500, "..." + "x" * 160 + "...", " " * 43 + "^"),
        (996, "..." + "x" * 44, " " * 43 + "^"),
    ],
)
def test_long_lines_are_shown_around_what_is_meant(column: int, shown: str, caret: str) -> None:
    lines = excerpt(b"RUN " + b"x" * 996, Span("D", 1, 1, column, 1))
    assert lines == [f"> 1 | {shown}", f"    | {caret}"]


@pytest.mark.parametrize(
    ("about", "column", "width"),
    [("root", 19, 4), ("--chown=root", 5, 12), ("chown", 7, 5), ("none", 0, 0)],
)
def test_the_word_that_is_meant(about: str, column: int, width: int) -> None:
    found = narrowed(b"COPY --chown=root: root /x\n", Span("D", 1, 1), about)
    assert (found.column, found.width) == (column, width)


def test_an_ignore_file_is_shown_too(run: Run, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (context / ".dockerignore").write_text("a\n[b\n")
    ran = run(".")
    assert ran.code == 1
    assert "  1 | a\n> 2 | [b\n    | ^^\n" in ran.err
