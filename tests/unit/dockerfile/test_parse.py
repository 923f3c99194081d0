"""Parsing as a whole: spans, warnings, triggers, and that it always ends."""

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.instructions import Copy, Env, Heredoc, Instruction, Run
from builder.dockerfile.parse import parse, parse_trigger
from builder.errors import BuildError, ParseError, Span

PATH = "Dockerfile"
WHERE = Span(PATH, 7, 7)


def only(text: str) -> Instruction:
    (stage,) = parse(f"FROM a\n{text}".encode(), PATH).stages
    (instruction,) = stage.instructions
    return instruction


def test_stages() -> None:
    parsed = parse(b"ARG A\nARG B=1\nFROM a AS One\nRUN x\n\nRUN <<E\ny\nE\n\nFROM one\n", PATH)
    assert [arg.items for arg in parsed.global_args] == [(("A", None),), (("B", "1"),)]
    assert [(stage.number, stage.name, stage.base.image) for stage in parsed.stages] == [
        (0, "one", "a"),
        (1, None, "one"),
    ]
    assert [(stage.span.first_line, stage.span.last_line) for stage in parsed.stages] == [(3, 8), (10, 10)]
    assert parsed.escape == "\\"


@pytest.mark.parametrize(
    "syntax",
    [
        "docker/dockerfile",
        "docker/dockerfile:1",
        "docker/dockerfile:1.4-labs some words",
        "docker/dockerfile:experimental",
        "docker/dockerfile-upstream:master",
        "docker.io/docker/dockerfile:1",
        "mirror.example.org:5000/docker/dockerfile:1",
        "docker/dockerfile:1@sha256:" + "0" * 64,
    ],
)
def test_dockers_own_frontends_are_builtin(syntax: str) -> None:
    assert parse(f"# syntax = {syntax}\nFROM a\n".encode(), PATH).stages[0].base.image == "a"


@pytest.mark.parametrize("text", ["{", "{}\n", '{"syntax": 1}', "// a\n", "#!x\n# y\n", "[" * 100_000])
def test_what_is_no_foreign_syntax_is_read_as_a_dockerfile(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text.encode(), PATH)


def test_source_is_the_text() -> None:
    assert parse("\ufeffFROM a\r\n# \u00e9\n".encode(), PATH).source == "FROM a\r\n# \u00e9\n"
    assert parse(b"FROM a\n# \xe9\n", PATH).source == "FROM a\n# \ufffd\n"


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("RUN x", Run(WHERE, "RUN x", ("x",), True)),
        ("env A=b", Env(WHERE, "env A=b", (("A", "b"),))),
        (
            "COPY <<-E /x\n\tbody\nE",
            Copy(WHERE, "COPY <<-E /x", (Heredoc("E", "body\n", True, True, None, "\tbody\n"),), "/x"),
        ),
        ("# comment\nRUN x \\\n y", Run(WHERE, "RUN x  y", ("x  y",), True)),
    ],
)
def test_triggers(text: str, instruction: Instruction) -> None:
    assert parse_trigger(text, WHERE, "\\") == instruction


def test_triggers_written_and_read_back() -> None:
    onbuild = only("ONBUILD RUN <<'E' cat\n\tbody\n\nE\n")
    trigger = parse_trigger(onbuild.trigger, WHERE, "\\")  # type: ignore[union-attr] # what ONBUILD parses to
    assert isinstance(trigger, Run)
    assert trigger.heredocs == (Heredoc("E", "\tbody\n\n", False, False, None, "\tbody\n\n"),)


def test_triggers_with_another_escape() -> None:
    assert parse_trigger("RUN a`\n b", WHERE, "`") == Run(WHERE, "RUN a b", ("a b",), True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("RUN a\nRUN b", "it is not one instruction"),
        ("FROM a", "FROM cannot be a trigger"),
        ("ONBUILD RUN x", "ONBUILD cannot be a trigger"),
        ("MAINTAINER x", "MAINTAINER cannot be a trigger"),
        ("RUNN x", "RUNN is no instruction"),
        ("COPY a", "COPY needs at least a source"),
        ("RUN <<E\n\ud800", "the heredoc E"),
        ("RUN " + "x" * 100 + "\nRUN", "x..."),
    ],
)
def test_bad_triggers(text: str, message: str) -> None:
    with pytest.raises(ParseError, match="the ONBUILD trigger") as caught:
        parse_trigger(text, WHERE, "\\")
    assert message in caught.value.message
    assert caught.value.span == WHERE


def test_a_bad_trigger_keeps_its_hint() -> None:
    with pytest.raises(ParseError) as caught:
        parse_trigger("RUNN x", WHERE, "\\")
    assert caught.value.hint == "did you mean RUN?"


TOKENS = st.sampled_from(
    [
        *("a", "b=c", "=", "=a", '"x y"', "'q", '"', "\\", "`", "$a", "${a", "<<E", "<<-E", '3<<"E"', "<<", "#"),
        *(
            "--from=a",
            "--link",
            "--mount=x,y",
            '--mount="',
            "--network=none",
            "--",
            "--x",
            "--interval=1s",
            "--retries=9",
        ),
        *('["a"]', '["a', "[1]", "[", "NONE", "CMD", "RUN", "as", "AS", "80/tcp", "\u00e9", "\u00a0", "\r", "\t", "\n"),
        *("\\\n", "\\\n\n", "\\\n# c\n", "\nE\n", "NaN", "[NaN]", "[1e999]", "[[" * 50),
    ]
)
KEYWORDS = st.sampled_from(
    [
        *("FROM", "RUN", "CMD", "LABEL", "ENV", "ARG", "COPY", "ADD", "EXPOSE", "VOLUME", "USER", "WORKDIR"),
        *("STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "SHELL", "ENTRYPOINT", "MAINTAINER"),
    ]
)
INSTRUCTIONS = st.tuples(KEYWORDS, st.lists(TOKENS, max_size=6)).map(lambda parts: " ".join((parts[0], *parts[1])))


@given(st.lists(INSTRUCTIONS, max_size=5))
def test_never_crashes(instructions: list[str]) -> None:
    text = "FROM a\n" + "\n".join(instructions)
    try:
        parsed = parse(text.encode(), PATH)
    except BuildError as error:
        assert error.span is not None
        assert 1 <= error.span.first_line <= error.span.last_line <= text.count("\n") + 1
        return
    spans = [each.span for stage in parsed.stages for each in (stage.base, *stage.instructions)]
    assert all(span.first_line <= span.last_line for span in spans)
    assert all(before.last_line < after.first_line for before, after in pairwise(spans))


@given(st.lists(INSTRUCTIONS, max_size=3))
def test_continued_lines_say_the_same(instructions: list[str]) -> None:
    """Breaking the line of an instruction after a blank changes nothing but the lines, unless what then stands at the
    beginning of a line makes it a comment."""
    lines = (line.strip() for line in instructions)
    plain_lines = (line for line in lines if line.isascii() and line.isprintable() and not set("\\#") & set(line))
    text = "FROM a\n" + "\n".join(plain_lines)
    try:
        plain = parse(text.encode(), PATH)
    except BuildError:
        return
    broken = parse(text.replace(" ", " \\\n# c\n").encode(), PATH)
    texts = [each.text for stage in plain.stages for each in (stage.base, *stage.instructions)]
    assert texts == [each.text for stage in broken.stages for each in (stage.base, *stage.instructions)]


@pytest.mark.parametrize("deep", ["[" * 200_000, '["a", ' + "[" * 200_000, "[" + "9" * 5_000 + "]"])
def test_deep_and_long_lists(deep: str) -> None:
    lines = "\\\n".join(deep[at : at + 60_000] for at in range(0, len(deep), 60_000))
    try:
        assert isinstance(only("RUN " + lines), Run)
    except ParseError as error:
        assert error.message == "the list of RUN may hold nothing but strings"


def test_parsing_imports_little() -> None:
    """A build that has nothing to do parses too."""
    heavy = "{'asyncio', 'click', 'requests', 'subprocess', 'inspect', 'dataclasses', 'zstandard', 'sqlite3'}"
    code = f"import sys; before = set(sys.modules); import builder.dockerfile.parse, builder.dockerfile.ignore; \
print(sorted({heavy} & (set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    if "dockerfile_parse" in done.stderr:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stderr
