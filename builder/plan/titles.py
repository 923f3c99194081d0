"""Titles of steps: an instruction as BuildKit's progress shows it, with variables replaced. Pure."""

import functools
import re
from collections.abc import Mapping

from builder.dockerfile.words import WordError, expand
from builder.errors import PlanError
from builder.plan.expand import Expander

_KEYWORD = r"\S+"
_VARIABLE = r"\$\{(?P<braced>\w+)[^{}]*\}|\$(?P<name>\w+)"


@functools.cache
def _patterns(escape: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What is special outside of quotes, and inside double ones."""
    mark = re.escape(escape)
    escaped = rf"{mark}(?P<escaped>.)"
    quoted = rf'(?P<quoted>"(?:{mark}.|[^"{mark}])*")'
    return (
        re.compile(rf"{escaped}|'[^']*'|{quoted}|{_VARIABLE}", re.DOTALL),
        re.compile(rf'{mark}(?P<escaped>["${mark}])|{_VARIABLE}'),
    )


def expanded(text: str, expander: Expander) -> str:
    """COPY, ADD and WORKDIR: everything expanded, quotes gone; as written when that cannot be done."""
    try:
        return _upper(expander.word(text))
    except PlanError:
        return _upper(text)


def run(text: str, expander: Expander, heredoc: str | None) -> str:
    """RUN: quotes stay, and so does what is not set (the shell may know it); ``heredoc`` is a body that is the command.

    Words inside ``${...}`` are not looked into when they have braces of their own.
    """
    if heredoc is not None:
        first, newline, _ = heredoc.strip().partition("\n")
        text += f" ({first.rstrip()}{'...' if newline else ''})"
    if "$" in text or expander.escape in text:
        text = _replaced(text, expander.values, expander.escape)
    return _upper(text)


def _replaced(text: str, values: Mapping[str, str], escape: str) -> str:
    plain, quoted = _patterns(escape)

    def outside(found: re.Match[str]) -> str:
        if found["quoted"]:
            return quoted.sub(inside, found[0])
        return inside(found)

    def inside(found: re.Match[str]) -> str:
        return found["escaped"] or variable(found)

    def variable(found: re.Match[str]) -> str:
        if (found["braced"] or found["name"]) not in values:
            return found[0]
        try:
            return expand(found[0], values.get, escape)
        except WordError:
            return found[0]

    return plain.sub(outside, text)


def _upper(text: str) -> str:
    return re.sub(_KEYWORD, lambda found: found[0].upper(), text, count=1)
