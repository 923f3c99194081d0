"""The group: its default command, help, version, and how little it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder.cli import os_message
from builder.cli.commands import SUMMARIES
from builder.cli.group import cli
from builder.cli.progress import choose, renderer
from builder.settings import FlagError
from tests.conftest import REPOSITORY
from tests.unit.cli.conftest import FakeApi, Run


def test_help_lists_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    assert all(f"  {name} " in ran.out for name in SUMMARIES)


def test_version(run: Run) -> None:
    ran = run("--version")
    assert ran.code == 0
    assert ran.out.startswith("pybuild")


def test_no_arguments_show_the_help(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert "Usage: pybuild" in ran.out + ran.err


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_command_is_there_and_helps(name: str, run: Run) -> None:
    with cli.make_context("pybuild", ["--help"], resilient_parsing=True) as ctx:
        command = cli.get_command(ctx, name)
    assert command is not None
    assert command.name == name
    ran = run(name, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: pybuild {name} ")


def test_an_unknown_word_is_a_directory_to_build(run: Run, context: Path, api: FakeApi) -> None:
    ran = run("biuld")
    assert (ran.code, ran.err.split("\n")[0]) == (2, "error: biuld: no such directory")


def test_plan_takes_the_flags_that_decide_it(run: Run, context: Path, api: FakeApi) -> None:
    ran = run("plan", "--build-arg", "A=1", "--target=t", ".")
    assert (ran.code, ran.err) == (1, "error: planned\n")
    (request,) = api.requests
    assert (request.target, request.build_args) == ("t", (("A", "1"),))
    assert run("plan", "-o", "x", ".").code == 2


@pytest.mark.parametrize(
    ("given", "environ", "quiet", "terminal", "expected"),
    [
        (None, {"TERM": "xterm"}, False, True, "tty"),
        (None, {"TERM": "dumb"}, False, True, "plain"),
        (None, {}, False, True, "plain"),
        (None, {"TERM": "xterm"}, False, False, "plain"),
        ("auto", {"TERM": "screen"}, False, True, "tty"),
        ("plain", {"TERM": "xterm"}, False, True, "plain"),
        ("tty", {}, False, True, "tty"),
        (None, {"BUILDKIT_PROGRESS": "json"}, True, False, "quiet"),
        ("none", {}, True, False, "quiet"),
        ("none", {}, False, False, "none"),
        ("rawjson", {}, False, False, "rawjson"),
        ("auto", {"BUILDKIT_PROGRESS": "plain", "TERM": "xterm"}, False, True, "plain"),
        (None, {"BUILDKIT_PROGRESS": "plain", "TERM": "xterm"}, False, True, "plain"),
        (None, {"BUILDKIT_PROGRESS": "rawjson"}, False, False, "rawjson"),
        ("json", {"BUILDKIT_PROGRESS": "plain"}, False, False, "json"),
    ],
)
def test_progress(given: str | None, environ: dict[str, str], quiet: bool, terminal: bool, expected: str) -> None:
    assert choose(given, environ, quiet=quiet, terminal=terminal) == expected


def test_progress_from_the_environment_is_checked() -> None:
    with pytest.raises(FlagError, match="BUILDKIT_PROGRESS=loud is unknown"):
        choose(None, {"BUILDKIT_PROGRESS": "loud"}, quiet=False, terminal=False)


def test_progress_is_not_asked_for_in_two_ways() -> None:
    with pytest.raises(FlagError, match="--quiet and --progress=plain exclude each other"):
        choose("plain", {}, quiet=True, terminal=False)


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"BUILDKIT_COLORS": "run=pink"}, "BUILDKIT_COLORS: pink is neither the name of a color"),
        ({"BUILDKIT_TTY_LOG_LINES": "few"}, "BUILDKIT_TTY_LOG_LINES=few is no number of lines"),
        ({"BUILDKIT_TTY_LOG_LINES": "0"}, "is no number of lines"),
    ],
)
def test_a_live_view_that_cannot_be_had(environ: dict[str, str], problem: str) -> None:
    renderer("plain", environ, debug=False)
    with pytest.raises(FlagError, match=problem):
        renderer("tty", environ, debug=False)


def test_messages_of_the_system() -> None:
    assert os_message(OSError(2, "No such file or directory", b"/a")) == "/a: No such file or directory"
    assert os_message(OSError(18, "Invalid link", "a", None, "b")) == "a -> b: Invalid link"
    assert os_message(OSError("odd")) == "odd"


def test_starting_imports_little() -> None:
    """What is imported before a build is known to be needed."""
    code = "import builder.cli, builder.cli.build, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(done.stdout.split())
    heavy = {"requests", "tqdm", "cryptography", "zstandard", "zlib_ng", "sqlite3", "dockerfile_parse", "traceback"}
    assert not heavy & loaded
    assert not any(name.startswith(("builder.sandbox", "builder.plan", "layers.store")) for name in loaded)


def test_closed_standard_output_is_no_traceback() -> None:
    code = "import sys, builder.cli; sys.exit(builder.cli.main(['images', '--help']))"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            check=False,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
