"""What BuildKit's clients print with ``--progress=rawjson`` (client.SolveStatus)."""

import base64
import json
from collections.abc import Sequence
from typing import Any

from builder.events import (
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
from builder.report.rawjson import RawJson

PLAN = PlanReady(0.0, (StepInfo(1, "FROM a", "s", 1, 2, 1), StepInfo(2, "RUN x", "s", 2, 2, 2)), 2)


def written(events: Sequence[Event]) -> list[dict[str, Any]]:
    lines: list[str] = []
    renderer = RawJson(lines.append)
    for event in events:
        renderer(event)
        renderer.tick(event.at)
    renderer.close()
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    return [json.loads(line) for line in lines]


def test_steps_are_vertexes() -> None:
    plan, cached, started, log, done = written(
        [
            PLAN,
            StepCached(1.0, 1, "recipe"),
            StepStarted(2.0, 2),
            StepOutput(2.5, 2, 1, b"a\xff"),
            StepFinished(3.0, 2, 1.0),
        ]
    )
    base, run = plan["vertexes"]
    assert (base["name"], run["name"]) == ("[s 1/2] FROM a", "[s 2/2] RUN x")
    assert base["digest"].startswith("sha256:") and base["digest"] != run["digest"]
    at = "1970-01-01T00:00:0{}.000000Z".format
    assert cached == {"vertexes": [{**base, "started": at(1), "completed": at(1), "cached": True}]}
    assert started == {"vertexes": [{**run, "started": at(2)}]}
    (line,) = log["logs"]
    assert (line["vertex"], line["stream"], base64.b64decode(line["data"])) == (run["digest"], 1, b"a\xff")
    assert done == {"vertexes": [{**run, "started": at(2), "completed": at(3)}]}


def test_a_failure_says_why() -> None:
    *_, failed = written([PLAN, StepStarted(1.0, 2), StepFailed(2.0, 2, "exit code: 3", 1.0)])
    assert failed["vertexes"][0]["error"] == "exit code: 3"


def test_transfers_are_statuses() -> None:
    _, begun, done, free = written(
        [
            PLAN,
            Transfer(1.0, 2, "layer", 5, 10),
            Transfer(2.0, 2, "layer", 10, 10),
            Transfer(3.0, None, "push", 1, None),
        ]
    )
    (status,) = begun["statuses"]
    assert (status["id"], status["current"], status["total"], "completed" in status) == ("layer", 5, 10, False)
    (status,) = done["statuses"]
    assert (status["current"], status["started"][17:19], status["completed"][17:19]) == (10, "01", "02")
    assert "vertex" not in free["statuses"][0] and "total" not in free["statuses"][0]


def test_transfers_of_an_output_are_its_own() -> None:
    begun, moved, _ = written(
        [
            Phase(1.0, None, "output", True, "oci x"),
            Transfer(1.5, None, "oci x", 1, None),
            Phase(2.0, None, "output", False, "oci x"),
        ]
    )
    assert moved["statuses"][0]["vertex"] == begun["vertexes"][0]["digest"]


def test_what_is_outside_of_steps() -> None:
    begun, ended, warned = written(
        [
            Phase(1.0, None, "output", True, "oci x"),
            Phase(2.0, None, "output", False, "oci x"),
            Warned(2.0, None, "w", 3),
        ]
    )
    assert begun["vertexes"][0]["name"] == ended["vertexes"][0]["name"] == "[internal] exporting oci x"
    assert ended["vertexes"][0]["completed"].startswith("1970-01-01T00:00:02")
    assert warned == {
        "warnings": [{"level": 1, "short": "dw==", "range": [{"start": {"line": 3}, "end": {"line": 3}}]}]
    }
