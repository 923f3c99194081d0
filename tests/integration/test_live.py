"""Progress on a terminal: a bar for what moves, none where the terminal cannot draw one, and no colour when asked."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.fakes.faults import paced
from tests.fakes.registry import FakeRegistry
from tests.support.images import make_image, make_layer
from tests.support.terminal import Terminal, bare

pytestmark = [pytest.mark.needs_root]

LAYER = make_layer({"big": os.urandom(8 << 20)})
BAR = re.compile(r"pull \S+ *: +\d+%\|[ #0-9]+\| \S+M/8\.\S+M \[")
COLOUR = re.compile(r"\x1b\[\d+m")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A name in a registry that takes two seconds for its layer."""
    with FakeRegistry().running() as registry:
        registry.put_image("team/base", make_image(LAYER), "1")
        registry.fault("GET .*/blobs/" + LAYER.digest, paced(2.0))
        yield f"{registry.host}/team/base:1"


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "BUILDKIT_PROGRESS"}}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", **more}


def pybuild(store: Path, *arguments: str | Path) -> list[str]:
    command, *rest = [str(argument) for argument in arguments]
    return [sys.executable, "-m", "builder", command, "--root", str(store), *rest]


def test_a_pull_has_a_bar(image: str, tmp_path: Path) -> None:
    terminal = Terminal(pybuild(tmp_path / "store", "pull", image), environment())
    assert terminal.end() == 0
    assert BAR.search(bare(terminal.seen)), terminal.seen
    assert COLOUR.search(terminal.seen)
    assert "FAILED" not in terminal.seen
    assert "Pulling" in bare(terminal.seen)


def test_so_has_the_pull_of_a_base(image: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f'FROM {image}\nRUN ["/no"]\n')
    terminal = Terminal(pybuild(tmp_path / "store", "build", tmp_path), environment())
    assert terminal.end() == 1
    assert BAR.search(bare(terminal.seen)), terminal.seen


def test_no_colour(image: str, tmp_path: Path) -> None:
    terminal = Terminal(pybuild(tmp_path / "store", "pull", image), environment(NO_COLOR="1"))
    assert terminal.end() == 0
    assert BAR.search(bare(terminal.seen))
    assert not COLOUR.search(terminal.seen)


@pytest.mark.parametrize("columns", [20, 33])
def test_a_narrow_terminal(image: str, tmp_path: Path, columns: int) -> None:
    terminal = Terminal(pybuild(tmp_path / "store", "pull", image), environment(), columns=columns)
    assert terminal.end() == 0
    live = bare(terminal.seen).rpartition("team/base:1: ")[0].splitlines()
    assert "%" in "".join(live)
    assert max(map(len, live)) < columns


def test_a_dumb_terminal(image: str, tmp_path: Path) -> None:
    terminal = Terminal(pybuild(tmp_path / "store", "pull", image), environment(TERM="dumb"))
    assert terminal.end() == 0
    assert "\x1b" not in terminal.seen
    assert f"#0 pulling {image}" in terminal.seen


def test_no_terminal(image: str, tmp_path: Path) -> None:
    done = subprocess.run(
        pybuild(tmp_path / "store", "pull", image),
        check=True,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        cwd=REPOSITORY,
    )
    assert f"#0 pulling {image}" in done.stderr
    assert "\x1b" not in done.stderr
