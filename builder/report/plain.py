"""Plain progress, for logs: the lines BuildKit writes with ``--progress=plain``.

Lines of steps that run at the same time would be unreadable when mixed one by one. One step owns the page until it
ends, or until another has waited ``PATIENCE`` seconds with something to say.
"""

from collections.abc import Callable

from builder.events import (
    BuildFinished,
    Event,
    Phase,
    StepCached,
    StepFailed,
    StepFinished,
    StepOutput,
    StepStarted,
    Transfer,
    Warned,
)
from builder.report.timeline import Timeline, clean, seconds_text

PATIENCE = 1.0
_EARLY = {"pull": ("pulling", "pulled"), "fetch": ("fetching", "fetched")}
"""Phases that are told of before there are steps."""
_PHASES = {"output": "exporting", "push": "pushing"}
"""Phases outside of steps that are shown as steps of their own."""


class _Block:
    """What a step has to say and was not written yet."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines: list[str] = []
        self.done = False


def stamp(seconds: float) -> str:
    """Seconds as BuildKit writes them before a line: fewer decimals as they grow."""
    seconds = max(seconds, 0.0)
    return f"{seconds:.{3 if seconds < 10 else 2 if seconds < 100 else 1}f}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


class Plain:
    """``write`` gets text that ends in a newline; ``debug`` shows every phase of every step as well."""

    def __init__(self, write: Callable[[str], object], *, debug: bool = False) -> None:
        self._write = write
        self._debug = debug
        self._timeline = Timeline()
        self._blocks: dict[int, _Block] = {}
        self._names: dict[int, str] = {}
        """Of blocks that aren't steps."""
        self._began: dict[int, float] = {}
        self._began_early: dict[str, float] = {}
        self._fetching: set[tuple[int, str]] = set()
        self._owner: int | None = None
        self._wrote = False

    def __call__(self, event: Event) -> None:
        lines = self._timeline.apply(event)
        match event:
            case StepStarted():
                self._say(event.step, event.at, [])
            case StepOutput():
                if lines:
                    self._say(event.step, event.at, self._stamped(event.step, event.at, lines))
            case StepCached():
                self._say(event.step, event.at, ["CACHED"], done=True)
            case StepFinished() | StepFailed():
                self._say(event.step, event.at, [*self._stamped(event.step, event.at, lines), _end(event)], done=True)
            case Warned():
                place = f" (line {event.first_line})" if event.first_line else ""
                self._write(f"WARNING: {clean(event.message)}{place}\n")
            case Phase():
                self._phase(event)
            case Transfer():
                self._transfer(event)
            case BuildFinished():
                self._finished(event)
            case _:
                pass
        self.tick(event.at)

    def tick(self, now: float) -> None:
        """Hands the page over to whoever has waited too long."""
        waiting = [number for number, block in self._blocks.items() if now - block.since >= PATIENCE]
        for number in waiting:
            if self._owner is not None and number != self._owner:
                self._text(f"#{self._owner} ...\n")
                self._owner = None
                self._next()
                return

    def close(self) -> None:
        for number in tuple(self._blocks):
            self._show(number)

    def _stamped(self, number: int, at: float, lines: list[str]) -> list[str]:
        when = stamp(at - self._timeline.step(number).started)
        return [f"{when} {line}".rstrip() for line in lines]

    def _say(self, number: int, at: float, lines: list[str], *, done: bool = False) -> None:
        block = self._blocks.setdefault(number, _Block(at))
        block.lines += lines
        block.done = block.done or done
        if self._owner in {None, number}:
            self._show(number)
        if self._owner is None:
            self._next()

    def _next(self) -> None:
        """The page is free: first those who are done, then whoever has waited longest."""
        for number in [number for number, block in self._blocks.items() if block.done]:
            self._show(number)
        if self._blocks:
            self._show(min(self._blocks, key=lambda number: self._blocks[number].since))

    def _show(self, number: int) -> None:
        block = self._blocks.pop(number)
        text = []
        if number != self._owner:
            name = self._names.get(number) or self._timeline.step(number).name
            text.append(f"{'' if not self._wrote else chr(10)}#{number} {name}\n")
        text += [f"#{number} {line}\n" for line in block.lines]
        self._owner = None if block.done else number
        if text:
            self._text("".join(text))

    def _text(self, text: str) -> None:
        self._wrote = True
        self._write(text)

    def _early(self, event: Phase) -> None:
        """Comes before the steps are known, and so before they have numbers; 0 is none of theirs."""
        doing, done = _EARLY[event.name]
        if event.start:
            self._began_early[event.detail] = event.at
            self._text(f"#0 {doing} {clean(event.detail)}\n")
        else:
            seconds = event.at - self._began_early.pop(event.detail, event.at)
            self._text(f"#0 {done} {clean(event.detail)} in {seconds_text(seconds)}\n")

    def _transfer(self, event: Transfer) -> None:
        """What a step waits for; what is moved outside of steps has lines of its own."""
        if event.step is None or event.total is None:
            return
        what = event.step, event.what
        if event.done < event.total and what not in self._fetching:
            self._fetching.add(what)
            self._say(event.step, event.at, [f"fetching {clean(event.what)}, {_megabytes(event.total)}"])
        elif event.done == event.total and what in self._fetching:
            self._fetching.remove(what)
            self._say(event.step, event.at, [f"fetched {clean(event.what)}"])

    def _phase(self, event: Phase) -> None:
        if event.step is None and event.name in _EARLY:
            self._early(event)
            return
        verb = _PHASES.get(event.name, event.name if self._debug else None)
        if verb is None or (event.step is not None and not self._debug):
            return
        if event.step is not None:
            self._say(
                event.step, event.at, [f"{event.name} {'begins' if event.start else 'ends'} {event.detail}".rstrip()]
            )
            return
        number = self._number(f"{verb} {clean(event.detail)}".rstrip())
        if event.start:
            self._began[number] = event.at
            self._say(number, event.at, [])
        else:
            seconds = event.at - self._began.get(number, event.at)
            self._say(number, event.at, [f"DONE {seconds_text(seconds)}"], done=True)

    def _number(self, name: str) -> int:
        """The number of a block that is no step: above those of all steps."""
        for number, known in self._names.items():
            if known == name:
                return number
        number = max([0, *self._timeline.steps, *self._names]) + 1
        self._names[number] = name
        return number

    def _finished(self, event: BuildFinished) -> None:
        lines = [f"writing image {event.image_id}"]
        lines += [f"manifest {event.manifest_digest}"] if event.manifest_digest else []
        lines += [f"naming to {clean(name)}" for name in event.names]
        lines.append(f"DONE {seconds_text(event.seconds)}, {event.cached} of {event.total} steps cached")
        self._say(self._number("exporting to image"), event.at, lines, done=True)


def _end(event: StepFinished | StepFailed) -> str:
    if isinstance(event, StepFinished):
        return f"DONE {seconds_text(event.seconds)}"
    return f"ERROR: {clean(event.message.replace(chr(10), ' '))}"
