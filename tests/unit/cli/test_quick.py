"""What is read without click is read as click reads it."""

from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builder.cli.build import build
from builder.cli.group import cli
from builder.cli.options import BUILD
from builder.cli.quick import read_build
from builder.cli.session import Session

_WORDS = (
    *(name for option in BUILD for name in option.names),
    *(choice for option in BUILD for choice in option.choices),
    *("build", "plan", "context", "ls", "images", ".", "-", "--", "", "a=b", "-x", "--help", "-h", "--version", "-qD"),
    *("--pull=true", "--pull=0", "--pull=newer", "--pull=maybe", "--push=false", "--tag=", "--tag=x", "-t=x", "-tx"),
    *("--progress=loud", "--progress=plain", "--no-cache=1", "--target=", "--file=-", "--fil", "--squash", "--rm"),
)


def read_by_click(words: list[str]) -> dict[str, Any] | None:
    """None for what is no build, or a mistake."""
    found: list[dict[str, Any]] = []
    callback = build.callback
    build.callback = lambda **values: found.append(values)  # in place of the build itself
    try:
        with cli.make_context("pybuild", list(words), obj=Session()) as ctx:
            cli.invoke(ctx)
    except (click.ClickException, click.exceptions.Exit):
        return None
    finally:
        build.callback = callback
    return found[0] if found else None


@given(st.lists(st.sampled_from(_WORDS) | st.text(max_size=4), max_size=7))
@example(["."])
@example(["build", "."])
@example(["-t", "a", "--tag=b", "-f", "-", "--pull", "--target", "x", "--target=y", "."])
def test_as_click_reads_it(words: list[str]) -> None:
    read = read_build(words)
    if read is not None:
        assert read == read_by_click(words)


@pytest.mark.parametrize(
    "words",
    [
        ["-t", "app:1.0", "."],
        ["build", "--root", "/s", "--progress", "json", "--build-arg", "A=1", "-t", "x", "--push", "dir"],
        ["--pull", "-q", "-D", "--no-cache", "-o", "type=oci,dest=-", "-f", "-", "."],
        ["--secret=id=a,src=b", "--label=a=b", "-"],
    ],
)
def test_plain_ones_are_read(words: list[str]) -> None:
    assert read_build(words) is not None


@pytest.mark.parametrize(
    "words",
    [
        *([], ["build"], ["plan", "."], ["images"], ["--help"], [".", "--version"], ["a", "b"], [""]),
        *(["-qD", "."], ["--tag", "."], [".", "--tag"], ["-t", "--push", "."], ["--push=false", "."], ["--", "."]),
        *(["--squash", "."], ["--progress", "loud", "."], ["--tags=x", "."], ["--ta=x", "."], ["-t=x", "."]),
    ],
)
def test_others_are_left_to_click(words: list[str]) -> None:
    assert read_build(words) is None
