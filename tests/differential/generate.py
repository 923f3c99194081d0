"""Generates Dockerfiles with their contexts: the same for the same seed and number, whatever else is generated."""

import random
import re
from collections.abc import Callable

from tests.differential import copies, runs, settings
from tests.differential.cases import Case
from tests.differential.draft import SCRATCH_FOLDERS, Draft, Stage
from tests.differential.modern import contexts, ignores, stages
from tests.differential.modern.mistakes import ADDED
from tests.differential.spoil import spoil
from tests.differential.trees import make_ignore, make_tree

SEED = 20261122
SPOILT = 0.15
"""The part of the cases into which a mistake is built."""

Instruction = Callable[[Draft], str]
STAGE_NAMES = ("build", "base2", "Builder", "deps", "st-1", "x.y_z", "final")
_NO_TRIGGER = re.compile(r"MAINTAINER|COPY --from")
"""Nobody allows the one, and BuildKit of 2022 does not build the stage that the other names."""


def generate(seed: int, number: int) -> Case:
    rng = random.Random(f"{seed}/{number}")
    name = f"g{seed}-{number:04}"
    tree = make_tree(rng, name)
    ignore = make_ignore(rng, tree) if rng.random() < 0.3 else None
    draft = Draft(rng, name, tree, ignore is not None, Stage(0, None, scratch=False))
    lines = _dockerfile(draft)
    if rng.random() < SPOILT:
        lines = spoil(rng, lines)
    setup = tree.script
    if ignore is not None:
        setup += f"cat > .dockerignore <<'END'\n{ignore}END\n"
    return Case(name, "generated", _formatted(rng, lines), setup, tuple(draft.arguments))


def generate_modern(seed: int, number: int) -> Case:
    """With what a BuildKit of 2022 lacks."""
    rng = random.Random(f"modern {seed}/{number}")
    name = f"m{seed}-{number:04}"
    tree = contexts.widen(rng, name, make_tree(rng, name))
    ignore = ignores.make_ignore(rng, tree) if rng.random() < 0.35 else None
    draft = Draft(rng, name, tree, ignore is not None, Stage(0, None, scratch=False))
    setup = [tree.script]
    draft.secrets = contexts.secrets(rng, setup, draft.arguments)
    draft.named = contexts.named_contexts(rng, tree, setup, draft.arguments)
    lines = stages.dockerfile(draft)
    if rng.random() < SPOILT:
        lines = spoil(rng, lines, ADDED)
    if ignore is not None:
        setup.append(f"cat > .dockerignore <<'END_OF_PATTERNS'\n{ignore.rstrip()}\nEND_OF_PATTERNS\n")
    return Case(name, "generated", _formatted(rng, lines), "\n".join(setup), tuple(draft.arguments))


def _dockerfile(draft: Draft) -> list[str]:
    lines = _head(draft)
    count = draft.pick((1, 1, 2, 2, 3, 4))
    for index in range(count):
        lines += _stage(draft, index, last=index == count - 1)
        draft.stages.append(draft.stage)
    names = [stage.name for stage in draft.stages if stage.name is not None]
    if names and draft.chance(0.12):
        draft.arguments += ["--target", draft.pick(names).lower()]
    if draft.chance(0.1):
        draft.arguments += ["--label", draft.pick(("one=cli", "org.example.key=2", "added=x"))]
    return lines


def _head(draft: Draft) -> list[str]:
    """Global arguments."""
    lines = []
    if draft.chance(0.3):
        lines.append(f"ARG {draft.pick(('BASE=base', 'BASE=base:latest', 'TAG=latest BASE=base:$TAG'))}")
        draft.globals.append("BASE")
    if draft.chance(0.15):
        lines.append(f"ARG {draft.pick(('A=global', 'version=1.0', 'version'))}")
        draft.globals.append(lines[-1].split()[1].split("=")[0])
    return lines


def _stage(draft: Draft, index: int, *, last: bool) -> list[str]:
    name = draft.pick(STAGE_NAMES) if draft.chance(0.7) else None
    if name in {stage.name for stage in draft.stages}:
        name = None
    lines = [_from(draft, index, name)]
    lines += [_instruction(draft) for _ in range(draft.rng.randint(2, 9))]
    if last and draft.stages:  # else what was built before would be for nothing
        lines.insert(draft.rng.randint(1, len(lines)), copies.copy_stage(draft))
    if not last and draft.chance(0.2):
        lines.append(f"ONBUILD {_triggered(draft)}")
    return lines


def _from(draft: Draft, index: int, name: str | None) -> str:
    named = [stage for stage in draft.stages if stage.name is not None]
    suffix = f" {draft.pick(('AS', 'as'))} {name}" if name else ""
    platform = "--platform=$BUILDPLATFORM " if draft.chance(0.05) else ""
    if named and draft.chance(0.3):
        parent = draft.pick(named)
        draft.stage = parent.child(index, name)
        return f"FROM {parent.name}{suffix}"
    if draft.chance(0.1):
        draft.stage = Stage(index, name, scratch=True, files=[], folders=list(SCRATCH_FOLDERS))
        return f"FROM {platform}scratch{suffix}"
    draft.stage = Stage(index, name, scratch=False)
    references = (
        ("${BASE}", "$BASE", "${BASE:-base}") if "BASE" in draft.globals else ("base", "base:latest", "${NONE:-base}")
    )
    return f"FROM {platform}{draft.pick(references)}{suffix}"


def _instruction(draft: Draft) -> str:
    choices: list[tuple[int, Instruction]] = [*settings.INSTRUCTIONS, (22, copies.copy_context)]
    if draft.stages:
        choices.append((18, copies.copy_stage))
    if not draft.stage.scratch:
        choices.append((24, runs.run))
    weights = [weight for weight, _ in choices]
    instruction: Instruction = draft.rng.choices(choices, weights)[0][1]
    return instruction(draft)


def _triggered(draft: Draft) -> str:
    while _NO_TRIGGER.match(line := _instruction(draft)):
        pass
    return line


def _formatted(rng: random.Random, lines: list[str]) -> str:
    """The lines as people write them: broken, indented, commented, in capitals or not."""
    escape = "`" if rng.random() < 0.06 else "\\"
    text = "# escape=`\n" if escape == "`" else ""
    for line in lines:
        if rng.random() < 0.15:
            text += rng.choice(("# comment\n", "\n", "   # indented comment\n", "#\n", "\t\n"))
        first, newline, rest = line.partition("\n")
        text += _broken(rng, first, escape) if rng.random() < 0.25 else _plain(rng, first)
        text += newline + rest
        text += "\n"
    if rng.random() < 0.1:
        text = text.rstrip("\n")
    return text.replace("\n", "\r\n") if rng.random() < 0.03 else text


def _plain(rng: random.Random, line: str) -> str:
    keyword, _, rest = line.partition(" ")
    return rng.choice((line, line, line, f"{keyword.lower()} {rest}", f"  {line}", f"{line} ", f"{keyword}  {rest}"))


def _broken(rng: random.Random, line: str, escape: str) -> str:
    words = line.split(" ")
    text = words[0]
    for word in words[1:]:
        if rng.random() < 0.25 and not text.endswith(("\\", "`")) and not word.startswith("#"):
            between = rng.choice(("", "", "  # a comment\n", "# one\n#two\n", "\n"))
            text += f" {escape}{rng.choice(('', '', ' '))}\n{between}{rng.choice(('', '  ', '    '))}{word}"
        else:
            text += f" {word}"
    return text
