"""What two builders made of one case, compared; and which differences a row of the reference explains."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.conftest import FIXTURES
from tests.differential.cases import PARITY, Case, Expectation
from tests.support.flatten import Changes, Flat
from tests.support.parity import Listed, compare_configs, compare_files, compare_histories, load_listed

EXPLAINED = FIXTURES / "differential" / "differences.toml"
CURRENT = FIXTURES / "differential" / "current.toml"
ASPECTS = ("outcome", "config", "history", "layers", "files")


class Image(NamedTuple):
    flat: Flat
    layers: tuple[Changes, ...]


Outcome = Image | str
"""An image, or why the builder refused."""
HUNG = "error: it does not end"


class Difference(NamedTuple):
    """``line`` is ``place: ours != theirs`` as in tests.support.parity, with two places more: ``dir:PATH:FIELD`` for
    directories, and ``layer:NUMBER:PATH`` for what a layer does to a path whose final state is equal."""

    aspect: str
    line: str


def compare(ours: Outcome, theirs: Outcome, started: int) -> tuple[Difference, ...]:
    if isinstance(ours, str) and isinstance(theirs, str) and not ours.startswith(HUNG):
        return ()
    if isinstance(ours, str) or isinstance(theirs, str):
        said = [f"refused ({last_line(one)})" if isinstance(one, str) else "built" for one in (ours, theirs)]
        return (Difference("outcome", f"outcome: {said[0]} != {said[1]}"),)
    return tuple(_differences(ours, theirs, started))


def last_line(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower() or line.startswith("failed")]
    return (errors or lines or ["said nothing"])[-1].strip()[:300]


def _differences(ours: Image, theirs: Image, started: int) -> Iterator[Difference]:
    paths = set()
    for line in compare_files(ours.flat, theirs.flat, started, directories="dir"):
        yield Difference("files", line)
        place = line.split(": ", 1)[0]
        if not place.endswith(":mtime"):
            paths.add(place.split(":", 1)[1].rsplit(":", 1)[0])
    for line in compare_configs(ours.flat, theirs.flat):
        yield Difference("layers" if line.startswith("layers:") else "config", line)
    for line in compare_histories(ours.flat, theirs.flat):
        yield Difference("history", line)
    if len(ours.layers) == len(theirs.layers):
        for number, (mine, other) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
            for path in sorted({*mine, *other} - paths):
                if mine.get(path) != other.get(path):
                    yield Difference("layers", f"layer:{number}:{path}: {mine.get(path)} != {other.get(path)}")


class Rule(NamedTuple):
    """Explains differences in cases whose Dockerfile, setup or flags match ``needs``."""

    listed: Listed
    needs: re.Pattern[str]

    def covers(self, case: Case, difference: Difference) -> bool:
        if not self.listed.covers(self.listed.peer, case.name, difference.line):
            return False
        return bool(self.needs.search("\n".join((case.dockerfile, case.setup, *case.arguments))))


class ParityRule(NamedTuple):
    """An entry of fixtures/parity/differences.toml, which has fewer kinds of places."""

    listed: Listed

    def covers(self, case: Case, difference: Difference) -> bool:
        line = difference.line.replace("dir:", "file:", 1) if difference.line.startswith("dir:") else difference.line
        if line.startswith("outcome: refused ") and line.endswith(" != built"):
            line = "accepted: refused != built"
        refused = line.startswith("outcome: built != refused ")
        fits = self.listed.refuses == refused and self.listed.covers("docker", case.name, line)
        return case.origin == "fixture" and fits


class Ruling(NamedTuple):
    difference: Difference
    reason: str | None
    """The row of the reference that explains it."""


class Judge:
    def __init__(self, rules: tuple[Rule | ParityRule, ...]) -> None:
        self._rules = rules

    def judge(self, case: Case, differences: tuple[Difference, ...]) -> tuple[Ruling, ...]:
        return tuple(self._rule(case, difference) for difference in differences)

    def _rule(self, case: Case, difference: Difference) -> Ruling:
        reasons = (rule.listed.reason for rule in self._rules if rule.covers(case, difference))
        return Ruling(difference, next(reasons, None))


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Every pattern of the file. ``[[difference]]`` has ``reason``, ``where`` (a table from case to a pattern or a list
    of patterns, as in fixtures/parity/differences.toml), and may have ``needs``, a regular expression."""
    rules = []
    for entry in tomllib.loads(path.read_text()).get("difference", []):
        needs = re.compile(entry.get("needs", ""), re.MULTILINE | re.IGNORECASE)
        for name, patterns in entry["where"].items():
            for pattern in [patterns] if isinstance(patterns, str) else patterns:
                rules.append(Rule(Listed(path.stem, name, pattern, refuses=False, reason=entry["reason"]), needs))
    return tuple(rules)


def current_rules() -> tuple[Rule, ...]:
    """For a BuildKit as new as the reference."""
    return load_rules(CURRENT)


def rules_of_2022() -> tuple[Rule | ParityRule, ...]:
    """For the BuildKit inside Debian's docker.io."""
    listed = load_listed(PARITY / "differences.toml")
    return (*load_rules(EXPLAINED), *(ParityRule(entry) for entry in listed if entry.peer == "docker"))


def check_expected(expected: Expectation, outcome: Outcome) -> tuple[Difference, ...]:
    """How an image differs from what the reference says."""
    if expected.refused is not None:
        fits = isinstance(outcome, str) and expected.refused in outcome
        said = last_line(outcome) if isinstance(outcome, str) else "built"
        return () if fits else (Difference("outcome", f"outcome: {said} != refused ({expected.refused})"),)
    if isinstance(outcome, str):
        return (Difference("outcome", f"outcome: refused ({last_line(outcome)}) != built"),)
    return (
        *_check_files(expected.files, outcome.flat),
        *_check_config(expected.config, outcome.flat),
        *_check_history(expected.history, outcome.flat),
    )


def _check_files(files: Mapping[str, tuple[str, ...]], flat: Flat) -> Iterator[Difference]:
    for path, wanted in files.items():
        node = flat.files.get(path)
        said = {"absent"}
        if node is not None:
            said = {node.kind, f"{node.kind} {node.link}", f"{node.mode:04o}", f"{node.uid}:{node.gid}"}
            said |= {f"{node.mode:04o} {node.uid}:{node.gid}", f"= {node.content}", f"mtime {node.mtime}"}
        for text in wanted:
            if text not in said:
                yield Difference("files", f"file:{path}: {sorted(said)} != {text}")


def _check_config(config: Mapping[str, object], flat: Flat) -> Iterator[Difference]:
    for key, wanted in config.items():
        found = flat.config["config"].get(key, "absent")
        if found != wanted:
            yield Difference("config", f"config:{key}: {found} != {wanted}")


def _check_history(history: tuple[str, ...], flat: Flat) -> Iterator[Difference]:
    found = [line["created_by"] for line in flat.config["history"]][-len(history) :] if history else []
    if list(history) != found:
        yield Difference("history", f"history:text: {found} != {list(history)}")
