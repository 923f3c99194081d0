"""Which renderer shows a build, and what it writes to. Standard error, always: standard output is for results."""

import os
import sys
from collections.abc import Mapping

from builder.cli.options import MODES
from builder.events import Event
from builder.report.hub import Renderer
from builder.settings import FlagError

_DOCKER_NAMES = {"rawjson": "json", "none": "quiet"}


def choose(given: str | None, environ: Mapping[str, str], *, quiet: bool, terminal: bool) -> str:
    """``tty``, ``plain``, ``json`` or ``quiet``. Raises FlagError for a terminal that isn't there."""
    if quiet:
        return "quiet"
    mode = given or environ.get("BUILDKIT_PROGRESS") or "auto"
    if given is None:
        mode = _DOCKER_NAMES.get(mode, mode)
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
            from builder.report.tty import Tty

            return Tty(_write, _size, color=not environ.get("NO_COLOR"), verbose=debug)
        case "plain":
            from builder.report.plain import Plain

            return Plain(_write, debug=debug)
        case "json":
            from builder.report.jsonl import JsonLines

            return JsonLines(_write)
        case _:
            return Silent()


class Silent:
    """``--quiet``: the image id alone is shown, and that is a result."""

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
