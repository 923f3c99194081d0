"""Events folded into a Timeline, and bytes of output into harmless lines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder import events
from builder.events import StepInfo
from builder.report.timeline import LINE_LIMIT, TAIL_LINES, Lines, State, Timeline, clean, fold, step_name

RUN = StepInfo(3, "RUN make", "build", 2, 4, 7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ünïcode 日本", "plain ünïcode 日本"),
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
        ("\x1bP+q544e\x1b\\text", "text"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1bcreset", "reset"),
        ("\x9b31mold", "31mold"),
        ("bell\x07back\x08nul\x00", "bellbacknul"),
        ("pay\u202egnp.exe", "paygnp.exe"),
        ("two\u2028lines", "twolines"),
        ("lone\x1b", "lone"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


@given(st.text())
def test_clean_leaves_nothing_that_controls_a_terminal(text: str) -> None:
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e]", clean(text))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"one\ntwo\n", ["one", "two"]),
        (b"crlf\r\n", ["crlf"]),
        (b"10%\r50%\r100%\n", ["100%"]),
        (b"50%\r100%\r\x1b[K\n", ["100%"]),
        (b"\n", [""]),
        (b"\xff\n", ["\ufffd"]),
    ],
)
def test_lines(raw: bytes, expected: list[str]) -> None:
    assert Lines().feed(raw) == expected


@given(st.binary() | st.text(st.characters(codec="utf-8")).map(str.encode), st.integers(1, 5))
def test_lines_do_not_depend_on_how_the_bytes_come(data: bytes, size: int) -> None:
    pieces = Lines()
    found = [line for at in range(0, len(data), size) for line in pieces.feed(data[at : at + size])]
    whole = Lines()
    assert found + pieces.flush() == whole.feed(data) + whole.flush()


def test_a_line_without_an_end_is_cut_between_characters() -> None:
    lines = Lines()
    found = lines.feed(("x" + "ü" * LINE_LIMIT).encode())
    assert found
    assert "\ufffd" not in "".join([*found, *lines.flush()])
    assert all(len(line.encode()) <= LINE_LIMIT for line in found)


@pytest.mark.parametrize(
    ("info", "lone", "expected"),
    [
        (RUN, False, "[build 2/4] RUN make"),
        (RUN._replace(total=12), False, "[build  2/12] RUN make"),
        (RUN._replace(stage=""), False, "[2/4] RUN make"),
        (RUN._replace(stage="stage-0"), True, "[2/4] RUN make"),
        (StepInfo(1, "load build context", "", 0, 0, 0), False, "[internal] load build context"),
        (StepInfo(1, "FROM busybox", "", 0, 0, 0), False, "FROM busybox"),
        (RUN._replace(title="RUN \x1b[2Jx"), False, "[build 2/4] RUN x"),
    ],
)
def test_step_name(info: StepInfo, lone: bool, expected: str) -> None:
    assert step_name(info, lone=lone) == expected


def test_fold_of_a_build() -> None:
    base = StepInfo(1, "FROM debian", "build", 1, 4, 1)
    timeline = fold(
        [
            events.PlanReady(10.0, (base, RUN), 3),
            events.StepCached(10.1, 1, "recipe"),
            events.StepStarted(10.2, 3),
            events.StepOutput(10.3, 3, 1, b"one\ntw"),
            events.StepOutput(10.4, 3, 2, b"err\n"),
            events.StepOutput(10.5, 3, 1, b"o"),
        ]
    )
    assert timeline.steps[1].state is State.CACHED
    assert [step.info.step for step in timeline.running()] == [3]
    assert timeline.steps[3].shown == ["one", "err", "two"]
    assert timeline.ended == 1
    assert timeline.apply(events.StepFinished(11.2, 3, 1.0)) == ["two"]
    assert (timeline.steps[3].state, timeline.steps[3].seconds) == (State.DONE, 1.0)
    assert timeline.ended == 2


def test_tail_is_short() -> None:
    timeline = Timeline()
    timeline.apply(events.StepOutput(1.0, 3, 1, b"x\n" * 1000 + b"last"))
    assert timeline.steps[3].shown == ["x"] * (TAIL_LINES - 1) + ["last"]


def test_a_failure_ends_the_transfers_and_phases_of_its_step() -> None:
    timeline = fold(
        [
            events.Phase(1.0, 3, "unpack", True),
            events.Phase(1.0, None, "output", True, "a.tar"),
            events.Transfer(1.1, 3, "layer", 5, 10),
            events.Transfer(1.1, None, "blob", 5, None),
            events.StepFailed(2.0, 3, "exit code: 1\nmore", 1.0),
        ]
    )
    assert list(timeline.phases) == [(None, "output", "a.tar")]
    assert list(timeline.transfers) == [(None, "blob")]
    assert timeline.steps[3].message == "exit code: 1 more"
    assert timeline.failed


def test_transfers_end_when_all_is_there() -> None:
    timeline = fold([events.Transfer(1.0, 1, "layer", 5, 10), events.Transfer(2.0, 1, "layer", 10, 10)])
    assert not timeline.transfers


def test_the_only_stage_without_a_name_is_not_named() -> None:
    step = StepInfo(1, "FROM x", "stage-0", 1, 1, 1)
    other = StepInfo(2, "FROM x", "stage-1", 1, 1, 1)
    assert fold([events.PlanReady(0.0, (step,), 1)]).steps[1].name == "[1/1] FROM x"
    assert fold([events.PlanReady(0.0, (step, other), 1)]).steps[1].name == "[stage-0 1/1] FROM x"


def test_warnings_and_the_end_are_kept() -> None:
    finished = events.BuildFinished(2.0, "sha256:0", None, ("app",), 1.0, 1, 2)
    timeline = fold([events.Warned(1.0, None, "odd", 3), finished])
    assert [warning.message for warning in timeline.warnings] == ["odd"]
    assert timeline.finished == finished
