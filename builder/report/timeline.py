"""Timeline: events folded into what is known of a build so far. All renderers draw from it, so that they agree. Pure.

Output of steps is bytes that may hold anything: it becomes lines of harmless text here and nowhere else.
"""

import re
from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import assert_never

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

TAIL_LINES = 6
"""Last lines of output kept for each running step, unless more are asked for (buildx shows as many)."""
LINE_LIMIT = 32 << 10
"""Bytes after which a line without an end is cut, so that no output can fill the memory."""

_CONTROL = (
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movement (ECMA-48, 5.4)
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC with their string: titles, clipboard, keys
    r"|\x1b[ -/]*[0-~]"  # other escape sequences
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f]"  # what is left of C0 (but tab) and all of C1
    r"|[\u200e\u200f\u2028-\u202e\u2066-\u2069]"  # separators and marks that reorder the text around them
)


def clean(text: str) -> str:
    """One line without anything that moves the cursor, colours, renames, rings or reorders. Tabs stay."""
    return text if text.isprintable() else re.sub(_CONTROL, "", text)


def _line(raw: bytes) -> str:
    """What a terminal would show of a finished line: of parts overwritten by carriage returns, the last one."""
    parts = raw.decode("utf-8", "replace").split("\r")
    return next((text for part in reversed(parts) if (text := clean(part))), "")


class Lines:
    """Bytes in, whole lines out. Splits between characters, whatever way the bytes come in."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *whole, rest = (self._rest + data).split(b"\n")
        found = [_line(raw) for raw in whole]
        while len(rest) > LINE_LIMIT:
            cut = LINE_LIMIT
            while cut > LINE_LIMIT - 4 and rest[cut] & 0xC0 == 0x80:
                cut -= 1
            found.append(_line(rest[:cut]))
            rest = rest[cut:]
        self._rest = rest
        return found

    @property
    def partial(self) -> str:
        """The line that has no end yet."""
        return _line(self._rest) if self._rest else ""

    def flush(self) -> list[str]:
        """The last line, if it has no end."""
        text, self._rest = self.partial, b""
        return [text] if text else []


class State(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({State.CACHED, State.DONE, State.FAILED})


class Step:
    """``started`` is when it was first heard of; ``seconds`` is known once it ended."""

    def __init__(self, info: StepInfo, name: str, lines: int = TAIL_LINES) -> None:
        self.info = info
        self.name = name
        self.state = State.WAITING
        self.started = 0.0
        self.seconds = 0.0
        self.message = ""
        self.tail: deque[str] = deque(maxlen=lines)
        self._lines = lines
        self._streams: dict[int, Lines] = {}
        self._latest: Lines | None = None

    @property
    def shown(self) -> list[str]:
        """The last lines of its output, the unfinished one included."""
        partial = self._latest.partial if self._latest is not None else ""
        return [*self.tail, partial][-self._lines :] if partial else list(self.tail)

    def begin(self, at: float) -> None:
        if self.state is State.WAITING:
            self.state, self.started = State.RUNNING, at

    def output(self, event: StepOutput) -> list[str]:
        self.begin(event.at)
        self._latest = self._streams.setdefault(event.stream, Lines())
        lines = self._latest.feed(event.data)
        self.tail.extend(lines)
        return lines

    def end(self, state: State, seconds: float) -> list[str]:
        self.state, self.seconds = state, seconds
        lines = [line for stream in self._streams.values() for line in stream.flush()]
        self.tail.extend(lines)
        return lines


def step_name(info: StepInfo, *, lone: bool = False) -> str:
    """As BuildKit names it: ``[build 2/4] RUN make``, ``[internal] load build context`` outside of stages.

    ``lone``: the stage is the only one and has no name of its own, which then isn't shown.
    """
    title = clean(info.title)
    if info.position == 0:
        return title if title.startswith(("[", "FROM ")) else f"[internal] {title}"
    place = f"{info.position:{len(str(info.total))}}/{info.total}"
    return f"[{place}] {title}" if lone or not info.stage else f"[{clean(info.stage)} {place}] {title}"


def seconds_text(seconds: float) -> str:
    return f"{max(seconds, 0.0):.1f}s"


class Timeline:
    """What is known of a build. ``apply`` is the only thing that changes it. ``lines``: of each step's output."""

    def __init__(self, lines: int = TAIL_LINES) -> None:
        self._lines = lines
        self.steps: dict[int, Step] = {}
        self.started: float | None = None
        self.latest = 0.0
        self.phases: dict[tuple[int | None, str, str], float] = {}
        """Running phases (step, name, detail) and when they began."""
        self.transfers: dict[tuple[int | None, str], tuple[float, Transfer]] = {}
        """Unfinished transfers (step, what): when they were first heard of, and the newest state."""
        self.warnings: list[Warned] = []
        self.finished: BuildFinished | None = None

    @property
    def ended(self) -> int:
        return sum(step.state in ENDED for step in self.steps.values())

    @property
    def failed(self) -> bool:
        return any(step.state is State.FAILED for step in self.steps.values())

    def running(self) -> list[Step]:
        """Steps under way, longest first."""
        active = [step for step in self.steps.values() if step.state is State.RUNNING]
        return sorted(active, key=lambda step: step.started)

    def step(self, number: int) -> Step:
        """A step that was never announced gets a name that says so."""
        if number not in self.steps:
            info = StepInfo(number, f"step {number}", "", 0, 0, 0)
            self.steps[number] = Step(info, step_name(info), self._lines)
        return self.steps[number]

    def apply(self, event: Event) -> list[str]:
        """Takes one event in. Returns the lines of output that it completed (of the event's own step)."""
        self.latest = max(self.latest, event.at)
        if self.started is None:
            self.started = event.at
        match event:
            case StepOutput():
                return self.step(event.step).output(event)
            case StepCached():
                self.step(event.step).begin(event.at)
                return self.step(event.step).end(State.CACHED, 0.0)
            case StepFinished():
                return self._end(event, State.DONE)
            case StepFailed():
                self.step(event.step).message = clean(event.message.replace("\n", " "))
                return self._end(event, State.FAILED)
            case _:
                self._note(event)
                return []

    def _end(self, event: StepFinished | StepFailed, state: State) -> list[str]:
        self.transfers = {key: value for key, value in self.transfers.items() if key[0] != event.step}
        self.phases = {key: value for key, value in self.phases.items() if key[0] != event.step}
        self.step(event.step).begin(event.at - event.seconds)
        return self.step(event.step).end(state, event.seconds)

    def _note(self, event: PlanReady | StepStarted | Transfer | Phase | Warned | BuildFinished) -> None:
        match event:
            case PlanReady():
                stages = {info.stage for info in event.steps if info.position}
                lone = stages == {"stage-0"}
                self.steps = {info.step: Step(info, step_name(info, lone=lone), self._lines) for info in event.steps}
            case StepStarted():
                self.step(event.step).begin(event.at)
            case Transfer():
                key = (event.step, event.what)
                first, _ = self.transfers.pop(key, (event.at, event))
                if event.total is None or event.done < event.total:
                    self.transfers[key] = (first, event)
            case Phase():
                self.phases.pop((event.step, event.name, event.detail), None)
                if event.start:
                    self.phases[event.step, event.name, event.detail] = event.at
            case Warned():
                self.warnings.append(event)
            case BuildFinished():
                self.finished = event
            case _:
                assert_never(event)


def fold(events: Iterable[Event]) -> Timeline:
    timeline = Timeline()
    for event in events:
        timeline.apply(event)
    return timeline
