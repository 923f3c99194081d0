"""Live progress on a terminal: finished steps scroll away above, running ones with their last lines are redrawn below.

Only sequences that every terminal (and tmux, screen) has are written: cursor up, erase to the end of line or screen,
and colours. No line is ever as wide as the terminal, so none wraps by itself. The only importer of tqdm, which is slow
to import and so is not before something has been moving for a while.
"""

import unicodedata
from collections.abc import Callable, Mapping

from builder.events import Event, StepCached, StepFailed, StepFinished, Transfer, Warned
from builder.report.timeline import TAIL_LINES, State, Step, Timeline, clean, seconds_text
from layers.tuples import NamedTuple

_UP = "\x1b[{}A"
_ERASE_LINE = "\x1b[K"
_ERASE_BELOW = "\x1b[J"
STYLES = {"done": "34", "cached": "36", "failed": "31", "warning": "33", "output": "2", "head": "1"}
"""SGR parameters: blue, cyan, red, yellow, faint, bold."""
_BAR_AFTER = 0.5
"""Seconds a transfer must last to be shown."""
_SMALLEST = (20, 4)


class _Line(NamedTuple):
    """``right`` is put at the right edge."""

    text: str
    style: str
    right: str = ""


def width(text: str) -> int:
    """Columns a terminal needs for ``text`` (Unicode TR11; marks that combine need none)."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """``text`` cut to ``columns``, with an ellipsis when something was cut off."""
    text = text.expandtabs(8)
    if width(text) <= columns:
        return text
    used, end = 0, 0
    for char in text:
        used += _columns(char)
        if used > columns - 1:
            break
        end += 1
    return text[:end] + "…" if columns > 0 else ""


class Tty:
    """``write`` gets whole frames; ``size`` is asked for columns and lines before each one. ``colors``: SGR parameters
    in place of those of STYLES; ``lines``: so many last ones of a step's output are shown at most."""

    def __init__(  # noqa: PLR0913 - each of them is a setting of its own
        self,
        write: Callable[[str], object],
        size: Callable[[], tuple[int, int]],
        *,
        color: bool = True,
        verbose: bool = False,
        colors: Mapping[str, str] | None = None,
        lines: int = TAIL_LINES,
    ) -> None:
        self._write = write
        self._size = size
        self._styles = ({**STYLES, **(colors or {})}) if color else {}
        self._verbose = verbose
        self._timeline = Timeline(lines)
        self._above: list[_Line] = []
        """Lines for good, not yet written."""
        self._widths: list[int] = []
        """Of the lines of the last frame that will be drawn over."""

    def __call__(self, event: Event) -> None:
        self._timeline.apply(event)
        match event:
            case StepCached() | StepFinished() | StepFailed():
                self._above.append(_ended(self._timeline.step(event.step)))
            case Warned():
                place = f" (line {event.first_line})" if event.first_line else ""
                self._above.append(_Line(f"WARNING: {clean(event.message)}{place}", "warning"))
            case _:
                pass

    def tick(self, now: float) -> None:
        if self._timeline.started is None:
            return
        columns, height = map(max, self._size(), _SMALLEST)
        self._draw(self._live(now, columns, height), columns)

    def close(self) -> None:
        """Leaves the end of the story: no step runs any more."""
        timeline = self._timeline
        if timeline.started is None:
            return
        done = timeline.finished
        head = self._head(timeline.latest, "FAILED" if done is None else "FINISHED")
        self._draw([head], max(self._size()[0], _SMALLEST[0]))
        if done is not None:
            # Nothing is drawn over these: they may wrap, and are not cut.
            texts = [f" => image {done.image_id}", *(f" => named {clean(name)}" for name in done.names)]
            self._write("".join(self._styled(text, "done") + "\n" for text in texts))

    def _head(self, now: float, suffix: str = "") -> _Line:
        timeline = self._timeline
        seconds = now - (timeline.started if timeline.started is not None else now)
        text = f"[+] Building {seconds_text(seconds)} ({timeline.ended}/{len(timeline.steps)}) {suffix}"
        return _Line(text.rstrip(), "failed" if timeline.failed else "head")

    def _live(self, now: float, columns: int, height: int) -> list[_Line]:
        """The head, then every running step with as many of its last lines as there is room for."""
        timeline = self._timeline
        lines = [self._head(now)]
        steps = timeline.running()
        notes = self._moving(now, columns)
        room = height - 2 - len(steps) - len(notes)
        for place, step in enumerate(steps):
            share = max(room, 0) // (len(steps) - place)
            shown = step.shown[-share:] if share > 0 else []
            room -= len(shown)
            lines.append(_Line(f" => {step.name}", "", seconds_text(now - step.started)))
            lines += [_Line(f" => => # {text}", "output") for text in shown]
        return [*lines, *notes][: height - 1]

    def _moving(self, now: float, columns: int) -> list[_Line]:
        timeline = self._timeline
        lines = [
            _Line(f" => {name} {clean(detail)}".rstrip(), "", seconds_text(now - since))
            for (step, name, detail), since in timeline.phases.items()
            if step is None or self._verbose
        ]
        for since, transfer in timeline.transfers.values():
            if now - since >= _BAR_AFTER:
                lines.append(_Line(_bar(transfer, now - since, columns - 1), ""))
        return lines

    def _draw(self, live: list[_Line], columns: int) -> None:
        """Over the last frame, in one write: the new lines for good, then the live ones."""
        usable = columns - 1
        out = []
        if self._widths:
            # A terminal that was made narrower has wrapped what stands there.
            rows = sum(max(1, -(-wide // columns)) for wide in self._widths)
            out.append(_UP.format(rows) + "\r")
        widths = []
        for place, line in enumerate([*self._above, *live]):
            text = self._arranged(line, usable)
            if place >= len(self._above):
                widths.append(width(text))
            out.append(self._styled(text, line.style) + _ERASE_LINE + "\n")
        self._widths = widths
        self._above = []
        self._write("".join([*out, _ERASE_BELOW]))

    def _arranged(self, line: _Line, columns: int) -> str:
        if not line.right:
            return fit(line.text, columns)
        left = fit(line.text, columns - len(line.right) - 1)
        return left + " " * (columns - width(left) - len(line.right)) + line.right

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{self._styles[style]}m{text}\x1b[0m" if style in self._styles else text


def _ended(step: Step) -> _Line:
    match step.state:
        case State.CACHED:
            return _Line(f" => CACHED {step.name}", "cached", seconds_text(0.0))
        case State.FAILED:
            return _Line(f" => ERROR {step.name}", "failed", seconds_text(step.seconds))
        case _:
            return _Line(f" => {step.name}", "done", seconds_text(step.seconds))


def _bar(transfer: Transfer, seconds: float, columns: int) -> str:
    from tqdm import tqdm

    text = tqdm.format_meter(
        transfer.done,
        transfer.total,
        seconds,
        ncols=columns,
        prefix=f" => => {clean(transfer.what)}",
        ascii=True,
        unit="B",
        unit_scale=True,
    )
    return str(text)
