"""Progress as BuildKit's clients tell it to programs (``--progress=rawjson``): one SolveStatus a line.

A line holds ``vertexes`` (steps, by a digest, when they are known, start and end), ``statuses`` (transfers), ``logs``
(output, as base64) or ``warnings``.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from builder.events import (
    Event,
    Phase,
    PlanReady,
    StepCached,
    StepFailed,
    StepFinished,
    StepOutput,
    StepStarted,
    Transfer,
    Warned,
)
from builder.report.timeline import Timeline, clean

_PHASES = {"output": "exporting", "push": "pushing", "pull": "pulling", "fetch": "fetching"}
"""Phases outside of steps that are vertexes of their own."""


class RawJson:
    """``write`` gets one whole line at a time."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._timeline = Timeline()
        self._started: dict[str, float] = {}
        """By digest, of vertexes outside of steps."""
        self._moving: dict[tuple[int | None, str], float] = {}

    def __call__(self, event: Event) -> None:
        self._timeline.apply(event)
        match event:
            case PlanReady():
                self._line(vertexes=[self._vertex(info.step) for info in event.steps])
            case StepStarted():
                self._line(vertexes=[{**self._vertex(event.step), "started": stamp(event.at)}])
            case StepCached() | StepFinished() | StepFailed():
                self._line(vertexes=[self._ended(event)])
            case StepOutput():
                log = {"vertex": self._digest(event.step), "stream": event.stream, "data": _base64(event.data)}
                self._line(logs=[{**log, "timestamp": stamp(event.at)}])
            case Transfer():
                self._transfer(event)
            case Phase():
                self._phase(event)
            case Warned():
                warning: dict[str, Any] = {"level": 1, "short": _base64(event.message.encode(errors="replace"))}
                if event.first_line:
                    place = {"line": event.first_line}
                    warning["range"] = [{"start": place, "end": place}]
                self._line(warnings=[warning])
            case _:
                pass

    def tick(self, now: float) -> None:
        """Every event was written when it came."""

    def close(self) -> None:
        """Nothing is held back."""

    def _line(self, **fields: list[dict[str, Any]]) -> None:
        self._write(json.dumps(fields, separators=(",", ":")) + "\n")

    def _digest(self, number: int) -> str:
        return digest(f"{number} {self._timeline.step(number).name}")

    def _vertex(self, number: int) -> dict[str, Any]:
        return {"digest": self._digest(number), "name": self._timeline.step(number).name}

    def _ended(self, event: StepCached | StepFinished | StepFailed) -> dict[str, Any]:
        started = self._timeline.step(event.step).started
        vertex = {**self._vertex(event.step), "started": stamp(started), "completed": stamp(event.at)}
        if isinstance(event, StepCached):
            return {**vertex, "cached": True}
        return {**vertex, "error": event.message} if isinstance(event, StepFailed) else vertex

    def _transfer(self, event: Transfer) -> None:
        key = event.step, event.what
        started = self._moving.setdefault(key, event.at)
        status: dict[str, Any] = {"id": clean(event.what)}
        vertex = self._digest(event.step) if event.step is not None else next(reversed(self._started), None)
        if vertex is not None:
            status["vertex"] = vertex
        if event.total is not None:
            status["total"] = event.total
        status |= {"current": event.done, "timestamp": stamp(event.at), "started": stamp(started)}
        if event.total is not None and event.done >= event.total:
            status["completed"] = stamp(event.at)
            del self._moving[key]
        self._line(statuses=[status])

    def _phase(self, event: Phase) -> None:
        if event.step is not None or event.name not in _PHASES:
            return
        name = f"[internal] {_PHASES[event.name]} {clean(event.detail)}"
        vertex = {"digest": digest(name), "name": name}
        if event.start:
            self._started[vertex["digest"]] = event.at
            self._line(vertexes=[{**vertex, "started": stamp(event.at)}])
        else:
            started = self._started.pop(vertex["digest"], event.at)
            self._line(vertexes=[{**vertex, "started": stamp(started), "completed": stamp(event.at)}])


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode(errors="replace")).hexdigest()


def stamp(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
