"""Comparing the images that two builders made of one Dockerfile, and the list of what may differ.

A difference is a line ``place: ours != theirs``; places are ``file:PATH:FIELD``, ``config:KEY``, ``layers``,
``history:length``, ``history:N:text``, ``history:N:empty`` and ``history:N:comment``.
"""

import fnmatch
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.flatten import Flat, Node

HISTORY_KEYS = {"created_by": "text", "empty_layer": "empty", "comment": "comment"}
PART = re.compile(r"\d+(\.\d+)?:?|L")
"""What a reason begins with: the part of the reference that has the row."""
DOCUMENT_KEYS = ("author", "os", "architecture", "variant")


def compare_files(ours: Flat, theirs: Flat, started: int, *, directories: str = "file") -> Iterator[str]:
    """Times from ``started`` on (seconds) are equal: both builders' own clocks, while the test ran. ``directories`` is
    the first word of the places of what is a directory for both."""
    for path in sorted(set(ours.files) | set(theirs.files)):
        mine, other = ours.files.get(path), theirs.files.get(path)
        if mine is None or other is None:
            yield f"file:{path}:presence: {mine and mine.kind} != {other and other.kind}"
            continue
        kind = directories if mine.kind == other.kind == "dir" else "file"
        for field in Node._fields:
            one, two = getattr(mine, field), getattr(other, field)
            both_now = field == "mtime" and one >= started and two >= started
            if one != two and not both_now:
                yield f"{kind}:{path}:{field}: {_text(field, one, started)} != {_text(field, two, started)}"


def _text(field: str, value: object, started: int) -> str:
    match field, value:
        case "mode", int(mode):
            return f"{mode:04o}"
        case "mtime", int(seconds) if seconds >= started:
            return "now"
    return str(value)


def compare_configs(ours: Flat, theirs: Flat) -> Iterator[str]:
    """Every key of either config; null, false and empty are as good as absent."""
    mine, other = ours.config["config"], theirs.config["config"]
    for one, two, keys in ((mine, other, sorted({*mine, *other})), (ours.config, theirs.config, DOCUMENT_KEYS)):
        for key in keys:
            if (one.get(key) or None) != (two.get(key) or None):
                yield f"config:{key}: {one.get(key) or None} != {two.get(key) or None}"
    if ours.layers != theirs.layers:
        yield f"layers: {ours.layers} != {theirs.layers}"


def compare_histories(ours: Flat, theirs: Flat) -> Iterator[str]:
    mine, other = ours.config.get("history") or (), theirs.config.get("history") or ()
    if len(mine) != len(other):
        yield f"history:length: {len(mine)} != {len(other)}"
    for number, (line, their_line) in enumerate(zip(mine, other, strict=False)):
        for key, place in HISTORY_KEYS.items():
            if (line.get(key) or None) != (their_line.get(key) or None):
                yield f"history:{number}:{place}: {line.get(key) or None} != {their_line.get(key) or None}"


def compare(ours: Flat, theirs: Flat, started: int) -> tuple[str, ...]:
    return (
        *compare_files(ours, theirs, started),
        *compare_configs(ours, theirs),
        *compare_histories(ours, theirs),
    )


class Listed(NamedTuple):
    """One pattern of differences.toml: what may differ in one case (``*``: any) against one peer, and why.

    ``refuses``: instead of a difference, a text in the message with which the peer refuses the whole Dockerfile.
    """

    peer: str
    case: str
    pattern: str
    refuses: bool
    reason: str

    def covers(self, peer: str, case: str, difference: str) -> bool:
        """Patterns are shell patterns over the place, or over the whole line when they have `` != ``."""
        if self.peer != peer or self.case not in {"*", case}:
            return False
        if self.refuses:
            return self.pattern in difference
        whole = " != " in self.pattern
        return fnmatch.fnmatchcase(difference if whole else difference.split(": ", 1)[0], self.pattern)


def load_listed(path: Path) -> tuple[Listed, ...]:
    """Every (peer, case, pattern) of the file, in its order.

    ``[[difference]]`` has ``peer`` (a name or a list), ``reason`` and ``where`` or ``refuses``: tables from case to a
    pattern or a list of patterns.
    """
    listed = []
    for entry in tomllib.loads(path.read_text()).get("difference", []):
        peers = [entry["peer"]] if isinstance(entry["peer"], str) else entry["peer"]
        for kind in ("where", "refuses"):
            for case, patterns in entry.get(kind, {}).items():
                for pattern in [patterns] if isinstance(patterns, str) else patterns:
                    listed += [Listed(peer, case, pattern, kind == "refuses", entry["reason"]) for peer in peers]
    return tuple(listed)


class Ledger:
    """Which listed differences were seen, so that those that are not seen any more can be reported."""

    def __init__(self, listed: tuple[Listed, ...]) -> None:
        self._listed = listed
        self._seen: set[Listed] = set()
        self._compared: set[tuple[str, str]] = set()

    def refusals(self, peer: str, case: str) -> tuple[Listed, ...]:
        return tuple(entry for entry in self._listed if entry.refuses and (entry.peer, entry.case) == (peer, case))

    def unexplained(self, peer: str, case: str, differences: tuple[str, ...], *, refused: bool = False) -> list[str]:
        """The differences that no entry covers; the entries that cover one count as seen."""
        self._compared.add((peer, case))
        unexplained = []
        for difference in differences:
            covering = [e for e in self._listed if e.refuses == refused and e.covers(peer, case, difference)]
            self._seen.update(covering)
            if not covering:
                unexplained.append(difference)
        return unexplained

    def unused(self, cases: tuple[str, ...]) -> list[str]:
        """Entries that covered nothing, of those whose every case was compared (a run may be of some cases only)."""
        return [
            f"{entry.peer}: {entry.case}: {entry.pattern}"
            for entry in self._listed
            if entry not in self._seen
            and all((entry.peer, case) in self._compared for case in (cases if entry.case == "*" else (entry.case,)))
        ]
