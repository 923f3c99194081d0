"""The generated Dockerfiles: repeatable, and with everything in them that they are to try."""

import re
import subprocess
from pathlib import Path

import pytest

from builder.dockerfile.parse import parse
from layers.errors import PybuildError
from tests.differential.cases import lay_out, written_cases
from tests.differential.generate import SEED, generate

CASES = tuple(generate(SEED, number) for number in range(200))


def test_equal_seeds_give_equal_cases() -> None:
    assert generate(7, 3) == generate(7, 3)
    assert generate(7, 3).dockerfile != generate(8, 3).dockerfile


def test_all_that_is_to_be_tried_is_there() -> None:
    text = "\n".join(case.dockerfile for case in CASES)
    for pattern in (
        *("^ARG", "^add", "--from=0", "--from=[a-zA-Z]", "--chown=", "--chmod=", "^ONBUILD", "^FROM scratch", "^SHELL"),
        *(
            r"\$\{\w+:-",
            r"\$\{\w+:\+",
            "# escape=`",
            "^HEALTHCHECK",
            r'^COPY.*\["',
            "^VOLUME",
            "^USER",
            "rm -rf",
            "mkfifo",
        ),
    ):
        assert re.search(pattern, text, re.MULTILINE), pattern
    assert any(".dockerignore" in case.setup and "\n!" in case.setup for case in CASES)
    assert any("--target" in case.arguments for case in CASES)
    assert any("--build-arg" in case.arguments for case in CASES)


def test_most_of_them_parse() -> None:
    assert sum(_parses(case.dockerfile) for case in CASES) > 0.8 * len(CASES)


def _parses(dockerfile: str) -> bool:
    try:
        parse(dockerfile.encode(), "Dockerfile")
    except PybuildError:
        return False
    return True


@pytest.mark.needs_root
@pytest.mark.needs_tool("bzip2", "xz")
def test_contexts_can_be_made(tmp_path: Path) -> None:
    for case in (*CASES[:20], *written_cases()):
        context = tmp_path / case.name
        lay_out(case, context, recent=2_000_000_000)
        assert sorted(subprocess.check_output(["ls", "-A", context], text=True).split("\n"))
        assert case.origin == "written" or (context / "Dockerfile").read_bytes() == case.dockerfile.encode()
        assert not (context / "setup.sh").exists()
