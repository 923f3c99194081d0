"""One JSON object per event, no byte of output lost."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builder.events import BuildFinished, Event, Phase, PlanReady, StepFinished, StepInfo, StepOutput
from builder.report.jsonl import JsonLines


def written(events: Sequence[Event]) -> list[dict[str, Any]]:
    lines: list[str] = []
    renderer = JsonLines(lines.append)
    for event in events:
        renderer(event)
    renderer.close()
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_fields_and_names() -> None:
    info = StepInfo(1, "RUN x", "s", 1, 1, 2)
    finished = BuildFinished(3.0, "sha256:a", None, ("n",), 1.0, 0, 1)
    plan, phase, end = written([PlanReady(1.0, (info,), 1), Phase(2.0, None, "pack", True, "d"), finished])
    assert plan == {"event": "plan-ready", "at": 1.0, "steps": [info._asdict()], "target": 1}
    assert phase == {"event": "phase", "at": 2.0, "step": None, "name": "pack", "start": True, "detail": "d"}
    assert (end["event"], end["names"]) == ("build-finished", ["n"])


def test_characters_are_not_cut() -> None:
    data = "aü日".encode()
    found = written(
        [StepOutput(1.0, 1, 1, data[:2]), StepOutput(2.0, 1, 1, data[2:4]), StepOutput(3.0, 1, 1, data[4:])]
    )
    assert [event["data"] for event in found] == ["a", "ü", "日"]


def test_streams_do_not_mix() -> None:
    found = written([StepOutput(1.0, 1, 1, b"\xc3"), StepOutput(2.0, 1, 2, b"x"), StepOutput(3.0, 1, 1, b"\xbc")])
    assert [(event["stream"], event["data"]) for event in found] == [(2, "x"), (1, "ü")]


def test_what_is_held_back_comes_before_the_end() -> None:
    found = written([StepOutput(1.0, 1, 1, b"\xc3"), StepFinished(2.0, 1, 1.0)])
    assert [event["event"] for event in found] == ["step-output", "step-finished"]
    assert base64.b64decode(found[0]["data_base64"]) == b"\xc3"


@given(st.lists(st.binary(max_size=12)))
def test_every_byte_arrives(pieces: list[bytes]) -> None:
    found = written([StepOutput(1.0, 1, 1, piece) for piece in pieces])
    got = [event["data"].encode() if "data" in event else base64.b64decode(event["data_base64"]) for event in found]
    assert b"".join(got) == b"".join(pieces)
