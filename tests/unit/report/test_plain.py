"""Plain progress reads like BuildKit's, however steps overlap."""

from collections.abc import Sequence

from builder.events import (
    BuildFinished,
    Event,
    Phase,
    PlanReady,
    StepCached,
    StepFailed,
    StepFinished,
    StepInfo,
    StepOutput,
    StepStarted,
    Transfer,
    Warned,
)
from builder.report.plain import Plain, stamp

PLAN = PlanReady(
    100.0,
    (
        StepInfo(1, "load build context", "", 0, 0, 0),
        StepInfo(2, "FROM debian:12", "build", 1, 3, 1),
        StepInfo(3, "COPY . /src", "build", 2, 3, 2),
        StepInfo(4, "RUN make", "build", 3, 3, 3),
        StepInfo(5, "RUN test", "check", 2, 2, 6),
    ),
    4,
)


def drawn(events: Sequence[Event], *, debug: bool = False) -> str:
    text: list[str] = []
    plain = Plain(text.append, debug=debug)
    for event in events:
        plain(event)
    plain.close()
    return "".join(text)


def test_one_step_after_another() -> None:
    text = drawn(
        [
            PLAN,
            StepStarted(100.0, 1),
            StepFinished(100.0, 1, 0.0),
            StepCached(100.0, 2, "recipe"),
            StepStarted(100.1, 3),
            StepFinished(100.4, 3, 0.3),
            StepStarted(100.5, 4),
            StepOutput(100.623, 4, 1, b"cc a.c\ncc"),
            StepOutput(112.5, 4, 1, b" b.c\n\nlinking"),
            StepFinished(113.0, 4, 12.5),
            BuildFinished(113.1, "sha256:ab", "sha256:cd", ("docker.io/library/app:1.0",), 13.1, 2, 4),
        ]
    )
    assert text == (
        "#1 [internal] load build context\n#1 DONE 0.0s\n\n"
        "#2 [build 1/3] FROM debian:12\n#2 CACHED\n\n"
        "#3 [build 2/3] COPY . /src\n#3 DONE 0.3s\n\n"
        "#4 [build 3/3] RUN make\n#4 0.123 cc a.c\n#4 12.00 cc b.c\n#4 12.00\n#4 12.50 linking\n#4 DONE 12.5s\n\n"
        "#6 exporting to image\n#6 writing image sha256:ab\n#6 manifest sha256:cd\n"
        "#6 naming to docker.io/library/app:1.0\n"
        "#6 DONE 13.1s, 2 of 4 steps cached\n"
    )


def test_a_failure_says_error() -> None:
    text = drawn([PLAN, StepStarted(100.0, 4), StepFailed(101.0, 4, "exit code: 2", 1.0)])
    assert text == "#4 [build 3/3] RUN make\n#4 ERROR: exit code: 2\n"


def test_lines_of_another_step_wait_until_the_first_ends() -> None:
    text = drawn(
        [
            PLAN,
            StepStarted(100.0, 4),
            StepStarted(100.0, 5),
            StepOutput(100.1, 5, 1, b"testing\n"),
            StepOutput(100.2, 4, 1, b"making\n"),
            StepFinished(100.3, 4, 0.3),
            StepFinished(100.4, 5, 0.4),
        ]
    )
    assert text == (
        "#4 [build 3/3] RUN make\n#4 0.200 making\n#4 DONE 0.3s\n\n"
        "#5 [check 2/2] RUN test\n#5 0.100 testing\n#5 DONE 0.4s\n"
    )


def test_a_step_that_waited_too_long_takes_over() -> None:
    text = drawn(
        [
            PLAN,
            StepStarted(100.0, 4),
            StepStarted(100.0, 5),
            StepOutput(100.1, 5, 1, b"testing\n"),
            StepOutput(101.5, 4, 1, b"making\n"),
            StepOutput(101.6, 4, 1, b"more\n"),
            StepFinished(102.0, 5, 2.0),
            StepFinished(102.1, 4, 2.1),
        ]
    )
    assert text == (
        "#4 [build 3/3] RUN make\n#4 1.500 making\n#4 ...\n\n"
        "#5 [check 2/2] RUN test\n#5 0.100 testing\n#5 DONE 2.0s\n\n"
        "#4 [build 3/3] RUN make\n#4 1.600 more\n#4 DONE 2.1s\n"
    )


def test_time_alone_brings_out_what_waits() -> None:
    text: list[str] = []
    plain = Plain(text.append)
    for event in (PLAN, StepStarted(100.0, 4), StepStarted(100.0, 5), StepOutput(100.1, 5, 1, b"testing\n")):
        plain(event)
    before = "".join(text)
    plain.tick(100.5)
    assert "".join(text) == before
    plain.tick(101.5)
    assert "testing" in "".join(text)


def test_nothing_is_lost_when_it_ends_early() -> None:
    text = drawn([PLAN, StepStarted(100.0, 4), StepStarted(100.0, 5), StepOutput(100.1, 5, 1, b"testing\n")])
    assert "#5 0.100 testing\n" in text


def test_warnings_name_the_line() -> None:
    assert drawn([Warned(1.0, None, "no such ARG", 3)]) == "WARNING: no such ARG (line 3)\n"
    assert drawn([Warned(1.0, None, "odd")]) == "WARNING: odd\n"


def test_an_output_is_shown_as_a_step_of_its_own() -> None:
    text = drawn([PLAN, Phase(100.0, None, "output", True, "app.tar"), Phase(100.5, None, "output", False, "app.tar")])
    assert text == "#6 exporting app.tar\n#6 DONE 0.5s\n"


def test_phases_of_steps_are_for_debugging() -> None:
    events = (PLAN, StepStarted(100.0, 4), Phase(100.1, 4, "unpack", True), Phase(100.2, 4, "unpack", False))
    assert "unpack" not in drawn(events)
    assert "#4 unpack begins\n#4 unpack ends\n" in drawn(events, debug=True)


def test_output_cannot_reach_the_terminal() -> None:
    text = drawn([PLAN, StepOutput(100.0, 4, 1, b"\x1b]0;owned\x07\x1b[2Jhi\n")])
    assert text == "#4 [build 3/3] RUN make\n#4 0.000 hi\n"


def test_stamp_loses_decimals() -> None:
    assert [stamp(seconds) for seconds in (0.1234, 12.345, 123.45, -0.1)] == ["0.123", "12.35", "123.5", "0.000"]


def test_pulls_come_before_the_steps_are_numbered() -> None:
    written: list[str] = []
    plain = Plain(written.append)
    plain(Phase(1.0, None, "pull", True, "debian:12"))
    plain(Phase(3.5, None, "pull", False, "debian:12"))
    plain(PlanReady(4.0, (StepInfo(1, "FROM debian:12", "stage-0", 1, 1, 1),), 1))
    plain(StepCached(4.0, 1, "recipe"))
    plain.close()
    assert "".join(written) == (
        "#0 pulling debian:12\n#0 pulled debian:12 in 2.5s\n\n#1 [1/1] FROM debian:12\n#1 CACHED\n"
    )


def test_what_a_step_waits_for() -> None:
    written: list[str] = []
    plain = Plain(written.append)
    plain(PlanReady(4.0, (StepInfo(1, "RUN make", "stage-0", 1, 1, 1),), 1))
    plain(StepStarted(4.0, 1))
    for done in (0, 5_000_000, 12_340_000):
        plain(Transfer(5.0, 1, "layer sha256:0123", done, 12_340_000))
    plain(Transfer(5.0, None, "push a", 0, 10))
    plain(StepFinished(6.0, 1, 2.0))
    plain.close()
    assert "".join(written) == (
        "#1 [1/1] RUN make\n#1 fetching layer sha256:0123, 12.3 MB\n#1 fetched layer sha256:0123\n#1 DONE 2.0s\n"
    )
