"""The live view, drawn on a small model of a terminal that knows the sequences the view may use."""

import re
from collections.abc import Sequence

import pytest

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
from builder.report.tty import Tty, fit, width

PLAN = PlanReady(
    100.0,
    (
        StepInfo(1, "FROM debian:12", "build", 1, 3, 1),
        StepInfo(2, "RUN make", "build", 2, 3, 2),
        StepInfo(3, "RUN test", "check", 2, 2, 5),
    ),
    2,
)
SEQUENCE = re.compile(r"\x1b\[(\d*)([A-Za-z])|([\n\r])|([^\x1b\n\r]+)|(.)", re.DOTALL)


class Screen:
    """Rows of text; scrolls by growing. Fails on any sequence but cursor up and the two erasures."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = lines
        self.rows = [""]
        self.row = 0
        self.column = 0

    def write(self, text: str) -> None:
        for number, letter, control, plain, other in SEQUENCE.findall(text):
            assert not other, f"unexpected control in {text!r}"
            if letter:
                self._sequence(number, letter)
            elif control == "\r":
                self.column = 0
            elif control == "\n":
                self.row, self.column = self.row + 1, 0
                self.rows += [""] * (self.row + 1 - len(self.rows))
            else:
                assert self.column + width(plain) < self.columns, f"{plain!r} would wrap"
                row = self.rows[self.row].ljust(self.column)
                self.rows[self.row] = row[: self.column] + plain + row[self.column + len(plain) :]
                self.column += len(plain)

    def _sequence(self, number: str, letter: str) -> None:
        match letter:
            case "A":
                assert int(number) < self.lines, "the cursor would leave the screen"
                self.row -= int(number)
                assert self.row >= 0
            case "K":
                self.rows[self.row] = self.rows[self.row][: self.column]
            case "J":
                self.rows[self.row] = self.rows[self.row][: self.column]
                del self.rows[self.row + 1 :]
            case _:
                raise AssertionError(f"unexpected sequence {letter}")

    @property
    def text(self) -> list[str]:
        return [row.rstrip() for row in self.rows if row.strip()]


def shown(events: Sequence[Event], now: float, *, columns: int = 50, lines: int = 24) -> tuple[Screen, Tty]:
    """A frame is drawn after every event, and one more at ``now``."""
    screen = Screen(columns, max(lines, 4))
    tty = Tty(screen.write, lambda: (columns, lines), color=False)
    for event in events:
        tty(event)
        tty.tick(event.at)
    tty.tick(now)
    return screen, tty


def test_running_steps_with_their_last_lines() -> None:
    screen, _ = shown(
        [
            PLAN,
            StepCached(100.0, 1, "recipe"),
            StepStarted(100.5, 2),
            StepOutput(101.0, 2, 1, b"cc a.c\ncc b"),
        ],
        102.0,
    )
    assert screen.text == [
        " => CACHED [build 1/3] FROM debian:12        0.0s",
        "[+] Building 2.0s (1/3)",
        " => [build 2/3] RUN make                     1.5s",
        " => => # cc a.c",
        " => => # cc b",
    ]


def test_so_many_lines_and_such_colors_as_are_asked_for() -> None:
    frames: list[str] = []
    tty = Tty(frames.append, lambda: (50, 24), colors={"done": "32", "failed": "38;5;196"}, lines=8)
    for event in (PLAN, StepStarted(100.0, 2), StepOutput(100.5, 2, 1, b"".join(b"%d\n" % n for n in range(10)))):
        tty(event)
    tty.tick(101.0)
    assert frames[-1].count(" => => # ") == 8
    tty(StepFinished(102.0, 2, 2.0))
    tty(StepFailed(102.0, 3, "no", 0.5))
    tty.tick(102.0)
    assert "\x1b[32m => [build 2/3] RUN make" in frames[-1]
    assert "\x1b[38;5;196m => ERROR [check 2/2] RUN test" in frames[-1]


def test_finished_steps_stay_above() -> None:
    screen, tty = shown(
        [
            PLAN,
            StepStarted(100.0, 2),
            StepStarted(100.0, 3),
            StepOutput(100.5, 3, 1, b"ok\n"),
            StepFinished(101.0, 3, 1.0),
            Warned(101.0, None, "odd", 4),
            StepFinished(102.0, 2, 2.0),
            BuildFinished(102.5, "sha256:ab", None, ("docker.io/library/app:1",), 2.5, 0, 3),
        ],
        102.5,
    )
    tty.close()
    assert screen.text == [
        " => [check 2/2] RUN test                     1.0s",
        "WARNING: odd (line 4)",
        " => [build 2/3] RUN make                     2.0s",
        "[+] Building 2.5s (2/3) FINISHED",
        " => image sha256:ab",
        " => named docker.io/library/app:1",
    ]


def test_failure() -> None:
    screen, tty = shown([PLAN, StepStarted(100.0, 2), StepFailed(101.0, 2, "exit code: 1", 1.0)], 101.0)
    tty.close()
    assert screen.text == [
        " => ERROR [build 2/3] RUN make               1.0s",
        "[+] Building 1.0s (1/3) FAILED",
    ]


@pytest.mark.parametrize("lines", [1, 4, 5, 6, 9, 24])
def test_never_taller_than_the_screen(lines: int) -> None:
    events: list[Event] = [PLAN, *(StepStarted(100.0, step) for step in (1, 2, 3))]
    events += [StepOutput(100.1, step, 1, b"line\n" * 9) for step in (1, 2, 3)]
    screen, _ = shown(events, 101.0, lines=lines)
    assert len(screen.text) <= max(lines, 4) - 1


def test_room_is_shared_between_steps() -> None:
    events: list[Event] = [PLAN, StepStarted(100.0, 2), StepStarted(100.1, 3)]
    events += [StepOutput(100.2, step, 1, b"line\n" * 9) for step in (2, 3)]
    screen, _ = shown(events, 101.0, lines=9)
    assert [row.strip() for row in screen.text if "#" in row] == ["=> => # line"] * 5


@pytest.mark.parametrize("columns", [1, 20, 33, 80])
def test_never_wider_than_the_screen(columns: int) -> None:
    long = StepInfo(2, "RUN " + "日本 long " * 30, "build", 2, 3, 2)
    screen, _ = shown(
        [PLAN._replace(steps=(long,)), StepStarted(100.0, 2), StepOutput(100.1, 2, 1, ("日本\t" * 40).encode())],
        101.0,
        columns=max(columns, 20),
    )
    assert all(width(row) < max(columns, 20) for row in screen.rows)


def test_a_narrower_terminal_has_wrapped_the_last_frame() -> None:
    written: list[str] = []
    size = [40, 24]
    tty = Tty(written.append, lambda: (size[0], size[1]), color=False)
    for event in (PLAN, StepStarted(100.0, 2)):
        tty(event)
    tty.tick(101.0)
    size[0] = 20
    tty.tick(101.1)
    head = len("[+] Building 1.0s (0/3)")
    assert written[-1].startswith(f"\x1b[{-(-head // 20) + -(-39 // 20)}A")


def test_escape_sequences_of_output_stay_out() -> None:
    screen, _ = shown([PLAN, StepOutput(100.0, 2, 1, "\x1b[2J\x1b]0;x\x07hi\x9b2J\n".encode())], 100.0)
    assert screen.text[-1] == " => => # hi2J"


def test_slow_transfers_get_a_bar() -> None:
    events: list[Event] = [PLAN, Transfer(100.0, None, "layer", 0, 4000), Transfer(100.2, None, "layer", 1000, 4000)]
    assert not any("layer" in row for row in shown(events, 100.3)[0].text)
    assert any("layer:  25%" in row for row in shown(events, 102.0, columns=80)[0].text)


def test_phases_outside_of_steps() -> None:
    events: list[Event] = [PLAN, Phase(100.0, None, "output", True, "app.tar"), Phase(100.0, 2, "unpack", True)]
    assert [row for row in shown(events, 101.0)[0].text if "=>" in row] == [
        " => output app.tar                           1.0s"
    ]


def test_colour_only_when_asked() -> None:
    written: list[str] = []
    for color in (True, False):
        tty = Tty(written.append, lambda: (80, 24), color=color)
        tty(PLAN)
        tty(StepCached(100.0, 1, "recipe"))
        tty.close()
    assert "\x1b[36m" in written[0]
    assert not re.search(r"\x1b\[\d+m", written[1])


def test_nothing_happened_nothing_drawn() -> None:
    written: list[str] = []
    tty = Tty(written.append, lambda: (80, 24))
    tty.tick(1.0)
    tty.close()
    assert written == []


@pytest.mark.parametrize(
    ("text", "columns", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 5, "日本…"),
        ("日本語", 6, "日本語"),
        ("a\u0301bc", 3, "a\u0301bc"),
        ("x", 0, ""),
    ],
)
def test_fit(text: str, columns: int, expected: str) -> None:
    assert fit(text, columns) == expected
