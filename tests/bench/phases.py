"""Where one build of pybuild spent its time, folded out of what ``--progress json`` wrote.

Phases that run at the same time are added up, so that totals may exceed the build's own time.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

START_UP = "start-up"
"""From the process being started to its first event: the interpreter, imports, options, opening the store."""
ENDING = "ending"
"""From the last event to the process being gone."""
BACKGROUND = "background"
"""From the process being gone to the last of what it left running being gone: it is not part of the build's time."""
STEPS = "steps"
"""All steps that were not cached, as they measured themselves."""


def read_events(lines: Iterable[str]) -> list[Mapping[str, Any]]:
    """The JSON objects among ``lines``; anything else that came through the same file is passed over."""
    found = []
    for line in lines:
        if not line.startswith("{"):
            continue
        try:
            document = json.loads(line)
        except ValueError:
            continue
        if "event" in document and "at" in document:
            found.append(document)
    return found


def totals(events: Iterable[Mapping[str, Any]], started: float, ended: float) -> dict[str, float]:
    """Seconds by phase, in order of appearance. ``started`` and ``ended`` of the process, seconds since the epoch."""
    found: dict[str, float] = {}
    open_phases: dict[tuple[int | None, str, str], list[float]] = {}
    steps = 0.0
    at = started
    for event in events:
        at = event["at"]
        found.setdefault(START_UP, at - started)
        match event["event"]:
            case "phase":
                key = (event["step"], event["name"], event["detail"])
                if event["start"]:
                    open_phases.setdefault(key, []).append(at)
                elif open_phases.get(key):
                    name = event["name"]
                    found[name] = found.get(name, 0.0) + at - open_phases[key].pop()
            case "step-finished" | "step-failed":
                steps += event["seconds"]
            case _:
                pass
    return {**found, STEPS: steps, ENDING: ended - at}
