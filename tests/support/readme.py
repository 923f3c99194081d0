"""README's fenced blocks, and the shell commands of those that are for CI systems."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import REPOSITORY


class Block(NamedTuple):
    """``section``: the heading it stands under."""

    section: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    text = (REPOSITORY / "README.md").read_text()
    heading = re.compile(r"^#+ ([^\n]+)$|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    section = ""
    for found in heading.finditer(text):
        if found[1]:
            section = found[1]
        else:
            yield Block(section, found[2], found[3])


def commands(yaml: str) -> Iterator[str]:
    """What ``run:`` (GitHub) and the items of ``script:`` (GitLab) hold, in order; not more of YAML than they need."""
    lines = yaml.splitlines()
    scripts: int | None = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line.strip() == "script:":
            scripts = indent
            continue
        if scripts is not None and indent <= scripts:
            scripts = None
        words = line.strip().removeprefix("- run: ") if "- run: " in line else None
        if scripts is not None:
            words = line.strip().removeprefix("- ")
        if words == "|":
            yield "\n".join(_indented(lines[number + 1 :], indent + 2))
        elif words is not None:
            # What would be a mapping or start with a quote is not the text that it seems.
            assert ": " not in words and words[0] not in "\"'{[&*!|>%@`", words
            yield words


def _indented(lines: list[str], indent: int) -> Iterator[str]:
    for line in lines:
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            return
        yield line.strip()


def expressions(yaml: str) -> Iterator[str]:
    """Names that GitHub gives a value: ``NAME: ${{ ... }}``."""
    for found in re.finditer(r"^\s+([A-Z_]+): \$\{\{ (?:vars|secrets)\.(\w+) \}\}$", yaml, re.MULTILINE):
        assert found[1] == found[2]
        yield found[1]
