"""Titles of steps: an instruction as BuildKit's progress shows it, with variables replaced. Pure."""

import re
from collections.abc import Mapping

from builder.errors import PlanError
from builder.plan.expand import Expander

_PART = re.compile(r"\\.|'[^']*'|\$(?:\{(\w+)\}|(\w+))")


def expanded(text: str, expander: Expander) -> str:
    """COPY, ADD and WORKDIR: everything expanded, quotes gone; as written when that cannot be done."""
    try:
        return _upper(expander.word(text))
    except PlanError:
        return _upper(text)


def run(text: str, values: Mapping[str, str], heredoc: str | None) -> str:
    """RUN: quotes stay, and so does what is not set (the shell may know it); ``heredoc`` is a body that is the command.

    ``${x:-y}`` and its kin are left to the reader.
    """
    if heredoc is not None:
        first, newline, _ = heredoc.strip().partition("\n")
        text += f" ({first.rstrip()}{'...' if newline else ''})"
    return _upper(_PART.sub(lambda found: _value(found, values), text))


def _value(found: re.Match[str], values: Mapping[str, str]) -> str:
    name = found[1] or found[2]
    return found[0] if name is None else values.get(name, found[0])


def _upper(text: str) -> str:
    keyword, blank, rest = text.partition(" ")
    return keyword.upper() + blank + rest
