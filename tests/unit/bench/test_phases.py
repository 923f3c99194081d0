import json
from typing import Any

import pytest

from builder.events import Phase, StepFinished, StepOutput
from builder.report.jsonl import JsonLines
from tests.bench.phases import read_events, totals


def events(*given: Any) -> list[Any]:
    """As pybuild itself writes them."""
    lines: list[str] = []
    write = JsonLines(lines.append)
    for event in given:
        write(event)
    return read_events(lines)


def test_phases_are_added_up_by_name() -> None:
    found = totals(
        events(
            Phase(101.0, None, "context", True),
            Phase(103.0, None, "context", False),
            Phase(103.0, 1, "run", True),
            Phase(104.0, 2, "run", True),
            Phase(106.0, 1, "run", False),
            Phase(105.0, 2, "run", False),
            StepFinished(107.0, 1, 3.5),
            StepFinished(107.0, 2, 1.5),
        ),
        100.0,
        107.5,
    )
    assert found == {"start-up": 1.0, "context": 2.0, "run": 4.0, "steps": 5.0, "ending": 0.5}
    assert list(found) == ["start-up", "context", "run", "steps", "ending"]


def test_equal_phases_of_one_step_are_told_apart_by_detail() -> None:
    found = totals(
        events(
            Phase(1.0, 1, "unpack", True, "a"),
            Phase(2.0, 1, "unpack", True, "b"),
            Phase(5.0, 1, "unpack", False, "a"),
            Phase(9.0, 1, "unpack", False, "b"),
        ),
        0.0,
        9.0,
    )
    assert found["unpack"] == 11.0


def test_a_phase_that_never_ended_is_not_counted() -> None:
    found = totals(events(Phase(1.0, 1, "run", True), Phase(2.0, 3, "pack", False)), 0.0, 3.0)
    assert found == {"start-up": 1.0, "steps": 0.0, "ending": 1.0}


def test_nothing_said() -> None:
    assert totals([], 4.0, 6.5) == {"steps": 0.0, "ending": 2.5}


def test_output_of_steps_is_no_event() -> None:
    """What a step prints is inside an event; what is no event of ours is passed over."""
    said = events(StepOutput(1.0, 1, 1, b'{"event":"phase","at":5}\n'))
    assert [event["event"] for event in said] == ["step-output"]
    assert read_events(["warning: x\n", "{broken\n", "{}\n", json.dumps({"event": "error"}) + "\n"]) == []


@pytest.mark.parametrize("kind", ["step-finished", "step-failed"])
def test_failed_steps_count(kind: str) -> None:
    assert totals([{"event": kind, "at": 2.0, "step": 1, "seconds": 1.5}], 0.0, 2.0)["steps"] == 1.5
