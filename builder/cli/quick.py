"""Reads the command line of most builds without click, whose import takes as long as the rest of a build in which
nothing has changed.

What is plain is read here; everything else (a mistake, ``--help``, an abbreviation, letters that are put together) is
left to click, which reads plain command lines to the same values.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from builder.cli.commands import SUMMARIES
from builder.cli.options import BUILD, PULLS, Option

_OPTIONS = {name: option for option in BUILD for name in option.names}


class _NotPlain(Exception):
    """Something that click has to look at."""


def read_build(words: Sequence[str]) -> dict[str, Any] | None:
    """What ``build`` is given, for ``run_build``; None when click has to look at it."""
    if words[:1] == ["build"]:
        words = words[1:]
    elif words and words[0] in SUMMARIES:
        return None
    given: dict[str, Any] = {option.key: option.nothing for option in BUILD}
    paths = []
    try:
        for option, value in _read(words):
            if option is None:
                paths.append(value)
            else:
                given[option.key] = (*given[option.key], value) if option.kind == "list" else value
    except _NotPlain:
        return None
    return {**given, "path": paths[0]} if len(paths) == 1 and paths[0] else None


def _read(words: Sequence[str]) -> Iterator[tuple[Option | None, str | bool]]:
    """Options with their values; None with a word that is no option's."""
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            yield None, word
            continue
        name, equals, value = PULLS.get(word, word).partition("=")
        option = _OPTIONS.get(name)
        if option is None or (equals and (option.kind == "switch" or not name.startswith("--"))):
            raise _NotPlain
        if option.kind == "switch":
            yield option, True
            continue
        if not equals:
            value = next(rest, "")
            if not value or (value.startswith("-") and value != "-"):
                raise _NotPlain
        if option.choices and value not in option.choices:
            raise _NotPlain
        yield option, value
