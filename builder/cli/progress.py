"""Which renderer shows a build, and what it writes to. Standard error, always: standard output is for results."""

import os
import sys
from collections.abc import Mapping

from builder.cli.options import MODES
from builder.events import Event
from builder.report.hub import Renderer
from builder.settings import FlagError

_SILENT = ("quiet", "none")


def choose(given: str | None, environ: Mapping[str, str], *, quiet: bool, terminal: bool) -> str:
    """One of MODES but ``auto``. Raises FlagError for a terminal that isn't there."""
    if quiet and given not in {None, "auto", *_SILENT}:
        raise FlagError(f"--quiet and --progress={given} exclude each other", hint="leave one of them out")
    if quiet:
        return "quiet"
    mode = given if given not in {None, "auto"} else environ.get("BUILDKIT_PROGRESS") or "auto"
    assert mode is not None
    if mode not in MODES:
        raise FlagError(f"BUILDKIT_PROGRESS={mode} is unknown", hint=f"it may be {', '.join(MODES)}")
    live = terminal and environ.get("TERM", "") not in {"", "dumb"}
    if mode == "tty" and not terminal:
        raise FlagError("--progress=tty: standard error is no terminal", hint="use --progress=plain")
    if mode == "auto":
        return "tty" if live else "plain"
    return mode


def renderer(mode: str, environ: Mapping[str, str], *, debug: bool) -> Renderer:
    match mode:
        case "tty":
            return _live(environ, debug=debug)
        case "plain":
            from builder.report.plain import Plain

            return Plain(_write, debug=debug)
        case "json":
            from builder.report.jsonl import JsonLines

            return JsonLines(_write)
        case "rawjson":
            from builder.report.rawjson import RawJson

            return RawJson(_write)
        case _:
            return Silent()


def _live(environ: Mapping[str, str], *, debug: bool) -> Renderer:
    """As the variables say that BuildKit's own view heeds."""
    from builder.report.colors import parse_colors
    from builder.report.timeline import TAIL_LINES
    from builder.report.tty import Tty

    try:
        colors = parse_colors(environ.get("BUILDKIT_COLORS", ""))
    except ValueError as error:
        raise FlagError(f"BUILDKIT_COLORS: {error}", hint="for example run=cyan:error=255,0,0:warning=white") from None
    text = environ.get("BUILDKIT_TTY_LOG_LINES", "")
    if text and not (text.isascii() and text.isdigit() and int(text)):
        raise FlagError(f"BUILDKIT_TTY_LOG_LINES={text} is no number of lines", hint=f"for example {TAIL_LINES}")
    lines = int(text or TAIL_LINES)
    return Tty(_write, _size, color=not environ.get("NO_COLOR"), verbose=debug, colors=colors, lines=lines)


class Silent:
    """``--quiet``: the image id alone is shown, and that is a result; ``--progress=none``: not even that."""

    def __call__(self, event: Event) -> None:
        """Nobody is told."""

    def tick(self, now: float) -> None:
        """Nothing changes."""

    def close(self) -> None:
        """Nothing is left."""


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _size() -> os.terminal_size:
    """A terminal that doesn't know its size (a serial line) says 0."""
    size = os.get_terminal_size(sys.stderr.fileno())
    return os.terminal_size((size.columns or 80, size.lines or 24))
