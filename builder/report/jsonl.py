"""Progress for programs: one JSON object a line, one line an event, nothing left out.

``event`` is the event's name in kebab-case (``step-output``), the rest its fields. Bytes of output are text under
``data`` when they are UTF-8, else base64 under ``data_base64``; characters are never cut in two.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from builder.events import Event, PlanReady, StepCached, StepFailed, StepFinished, StepOutput

_HUMP = re.compile(r"(?<!^)(?=[A-Z])")
_LONGEST = 4
"""Bytes of the longest UTF-8 character."""


class JsonLines:
    """``write`` gets one whole line at a time."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._held: dict[tuple[int, int], bytes] = {}
        """Per (step, stream): the beginning of a character whose rest has not come yet."""
        self._latest = 0.0

    def __call__(self, event: Event) -> None:
        self._latest = event.at
        match event:
            case StepOutput():
                self._output(event)
            case StepFinished() | StepFailed() | StepCached():
                self._release(event.step, event.at)
                self._event(event, event._asdict())
            case PlanReady():
                self._event(event, {**event._asdict(), "steps": [info._asdict() for info in event.steps]})
            case _:
                self._event(event, event._asdict())

    def tick(self, now: float) -> None:
        """Every event was written when it came."""

    def close(self) -> None:
        for step, _ in tuple(self._held):
            self._release(step, self._latest)

    def _event(self, event: Event, fields: dict[str, Any]) -> None:
        name = _HUMP.sub("-", type(event).__name__).lower()
        self._write(json.dumps({"event": name, **fields}, separators=(",", ":")) + "\n")

    def _output(self, event: StepOutput) -> None:
        key = (event.step, event.stream)
        data = self._held.pop(key, b"") + event.data
        start = _unfinished(data)
        if start < len(data):
            self._held[key] = data[start:]
        self._data(event._replace(data=data[:start]))

    def _data(self, event: StepOutput) -> None:
        if not event.data:
            return
        fields = event._asdict()
        try:
            fields["data"] = event.data.decode()
        except UnicodeDecodeError:
            del fields["data"]
            fields["data_base64"] = b64encode(event.data).decode()
        self._event(event, fields)

    def _release(self, step: int, at: float) -> None:
        for key in [key for key in self._held if key[0] == step]:
            self._data(StepOutput(at, step, key[1], self._held.pop(key)))


def _unfinished(data: bytes) -> int:
    """Where the last character begins when its end is missing, else the length of ``data``."""
    for start in range(len(data) - 1, max(len(data) - _LONGEST, -1), -1):
        if data[start] & 0xC0 != 0x80:
            needed = 1 + (data[start] >= 0xC0) + (data[start] >= 0xE0) + (data[start] >= 0xF0)
            return start if start + needed > len(data) else len(data)
    return len(data)
