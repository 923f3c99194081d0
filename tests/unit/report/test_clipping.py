"""What is cut of the output of steps, and what is said about it."""

import pytest

from builder.events import Event, StepOutput, StepStarted
from builder.report.clipping import Clipper, Limits, from_environment, size_text


def passed(limits: Limits, *given: tuple[float, int, bytes]) -> list[tuple[int, bytes]]:
    """(step, data) of what comes through, of (at, step, data)."""
    found: list[Event] = []
    clipper = Clipper(found.append, limits)
    for at, step, data in given:
        clipper(StepOutput(at, step, 1, data))
    return [(event.step, event.data) for event in found if isinstance(event, StepOutput)]


def test_two_mebibytes_a_step() -> None:
    part = b"x" * (1 << 20)
    note = b"\n[output clipped, log limit 2MiB reached]\n"
    found = passed(Limits(), (0, 1, part), (0, 2, part), (1, 1, part), (2, 1, b"more"), (3, 1, b"more"), (4, 2, b"y"))
    assert found == [(1, part), (2, part), (1, part), (1, note), (2, b"y")]


def test_a_part_that_is_too_long_is_cut_in_two() -> None:
    assert passed(Limits(4, None), (0, 1, b"abcdef")) == [
        (1, b"abcd"),
        (1, b"\n[output clipped, log limit 4B reached]\n"),
    ]


def test_a_speed_is_an_average_and_output_comes_back() -> None:
    found = passed(Limits(None, 10), (0, 1, b"a" * 15), (0.5, 1, b"b"), (1.2, 1, b"c" * 4), (2.5, 1, b"d" * 30))
    note = b"\n[output clipped, log limit 10B/s reached]\n"
    assert found == [(1, b"a" * 10), (1, note), (1, b"c" * 4), (1, b"d" * 16), (1, note)]


def test_no_limits_and_other_events() -> None:
    assert passed(Limits(None, None), (0, 1, b"x" * 10_000_000)) == [(1, b"x" * 10_000_000)]
    found: list[Event] = []
    Clipper(found.append, Limits(0, 0))(StepStarted(0.0, 1))
    assert found == [StepStarted(0.0, 1)]


@pytest.mark.parametrize(
    ("environ", "limits"),
    [
        ({}, Limits(2 << 20, None)),
        ({"BUILDKIT_STEP_LOG_MAX_SIZE": "-1"}, Limits(None, None)),
        ({"BUILDKIT_STEP_LOG_MAX_SIZE": "10", "BUILDKIT_STEP_LOG_MAX_SPEED": "20"}, Limits(10, 20)),
        ({"BUILDKIT_STEP_LOG_MAX_SIZE": ""}, Limits(2 << 20, None)),
    ],
)
def test_variables(environ: dict[str, str], limits: Limits) -> None:
    assert from_environment(environ) == limits


def test_a_variable_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="BUILDKIT_STEP_LOG_MAX_SPEED=fast is no number"):
        from_environment({"BUILDKIT_STEP_LOG_MAX_SPEED": "fast"})


@pytest.mark.parametrize(("size", "text"), [(2 << 20, "2MiB"), (200 << 10, "200KiB"), (7, "7B"), (1536, "1.5KiB")])
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text
