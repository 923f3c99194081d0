"""How an error looks: the end of the step's output, the Dockerfile's lines with a caret, the message, the hint."""

import re
import traceback
from typing import Any

from builder.cli.session import Session
from builder.errors import BuildError, Span, StepFailed
from builder.report.timeline import clean
from layers.errors import PybuildError

_BEFORE = 2
"""Lines of the file shown above the one that is meant."""
_LONGEST_SPAN = 12
_WIDEST = 160
"""Characters of a line shown; of a longer one, those around what is meant."""
_LEFT = 40
"""Characters before what is meant."""
_TAIL_LINES = 20
_RULE = "------"


def describe(error: PybuildError, session: Session) -> str:
    """Several lines of text without a newline at the end."""
    parts = []
    if isinstance(error, StepFailed) and error.tail:
        parts += [_RULE, *_tail(error.tail), _RULE]
    span = error.span if isinstance(error, BuildError) else None
    if isinstance(error, BuildError) and span is not None:
        source = session.sources.get(span.path)
        span = narrowed(source, span, error.about)
        parts += [f"{clean(span.path)}:{span.first_line}", *excerpt(source, span)]
    parts.append(f"error: {_block(error.message)}")
    if isinstance(error, StepFailed) and error.exit_code is not None and str(error.exit_code) not in error.message:
        parts.append(f"exit code: {error.exit_code}")
    if error.hint:
        parts.append(f"hint: {_block(error.hint)}")
    if session.debug:
        parts.append("".join(traceback.format_exception(error)).rstrip())
    return "\n".join(parts)


def as_fields(error: PybuildError) -> dict[str, Any]:
    """The error as a line of ``--progress=json``."""
    fields: dict[str, Any] = {"event": "error", "code": error.code, "message": error.message, "hint": error.hint}
    if isinstance(error, BuildError) and error.span is not None:
        fields["span"] = error.span._asdict()
    if isinstance(error, StepFailed):
        fields["exit_code"] = error.exit_code
        fields["tail"] = error.tail.decode("utf-8", "replace")
    return fields


def narrowed(source: bytes | None, span: Span, about: str) -> Span:
    """The place of ``about`` among the lines of ``span``; ``span`` itself when it is not written there in one piece."""
    if source is None or not about or span.width:
        return span
    lines = source.decode("utf-8", "replace").split("\n")
    text = re.escape(about)
    for pattern in (rf"(?<!\S){text}(?!\S)", rf"(?<!\S){text}", text):
        for number in range(span.first_line, min(span.last_line, len(lines)) + 1):
            found = re.search(pattern, lines[number - 1])
            if found:
                return Span(span.path, number, number, found.start(), len(about))
    return span


def excerpt(source: bytes | None, span: Span) -> list[str]:
    """The lines of ``span`` marked with ``>``, some lines above them, and a caret below the first when it is known
    what is meant; nothing when the file is not at hand or has no such line."""
    text = "" if source is None else source.decode("utf-8", "replace").removesuffix("\n")
    lines = text.split("\n") if text else []
    first, last = span.first_line, min(max(span.last_line, span.first_line), len(lines))
    if not 1 <= first <= len(lines):
        return []
    shown = list(range(max(first - _BEFORE, 1), min(last, first + _LONGEST_SPAN - 1) + 1))
    gutter = len(str(shown[-1]))
    found = []
    for number in shown:
        mark = ">" if number >= first else " "
        line = _shown(lines[number - 1])
        caret = _caret(lines[number - 1], span) if number == first else ""
        line, caret = _clipped(line, caret)
        found.append(f"{mark} {number:{gutter}} | {line}".rstrip())
        if caret:
            found.append(f"  {'':{gutter}} | {caret}")
    if last > shown[-1]:
        found.append(f"  {'':{gutter}} | ... (to line {last})")
    return found


def _shown(line: str) -> str:
    return clean(line).expandtabs(4)


def _caret(line: str, span: Span) -> str:
    """Below the characters that ``column`` and ``width`` mean, or below the whole line."""
    column, width = span.column, span.width
    if not width:
        column = len(line) - len(line.lstrip())
        width = len(line.rstrip()) - column
    column = min(column, len(line))
    start = len(_shown(line[:column]))
    end = len(_shown(line[: column + width]))
    return " " * start + "^" * max(end - start, 1)


def _clipped(line: str, caret: str) -> tuple[str, str]:
    """A line and what is below it, both cut to what a person can look at."""
    if len(line) <= _WIDEST:
        return line, caret
    start = len(caret) - len(caret.lstrip())
    cut = start - _LEFT if start > _WIDEST - _LEFT else 0
    end = cut + _WIDEST
    before, after = "..." if cut else "", "..." if end < len(line) else ""
    return f"{before}{line[cut:end]}{after}", f"{' ' * len(before)}{caret[cut:end]}" if caret else ""


def _tail(tail: bytes) -> list[str]:
    lines = tail.decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n").split("\n")
    return [clean(line.rpartition("\r")[2]) for line in lines[-_TAIL_LINES:]]


def _block(text: str) -> str:
    """Several lines of a message, each made harmless, the later ones indented."""
    return "\n  ".join(clean(line) for line in text.rstrip("\n").split("\n"))
