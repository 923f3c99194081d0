"""What is said of lines that were meant for something else."""

import pytest

from builder.dockerfile.parse import parse
from builder.errors import ParseError


def refused(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse(text.encode(), "Dockerfile")
    return caught.value


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("RNU x", "RNU is no instruction", "did you mean RUN?"),
        ("\ufeffRUN x", "<U+FEFF>RUN is no instruction", "it has an invisible character in it, U+FEFF"),
        ("RUN\u00a0x y", "RUN<U+00A0>x is no instruction", "it has an invisible character in it, U+00A0"),
        ("// note", "// is no instruction", "a comment starts with #"),
        ("<<<<<<< HEAD", "<<<<<<< is no instruction", "it marks a conflict of a merge"),
        ("=======", "======= is no instruction", "it marks a conflict of a merge"),
        ("```", "``` is no instruction", "it is a mark of Markdown"),
        ("apt-get install x", "apt-get is no instruction", "for a command write RUN apt-get install x; if"),
        ("INCLUDE x", "INCLUDE is no instruction", "a line that goes on ends in a backslash; there are FROM, RUN,"),
    ],
)
def test_unknown_instructions(line: str, message: str, hint: str) -> None:
    error = refused(f"FROM a\n{line}\n")
    assert (error.message, error.span and error.span.first_line) == (message, 2)
    assert (error.hint or "").startswith(hint)


@pytest.mark.parametrize("line", ["CMD <<EOF", "ENV a=<<-'EOF'"])
def test_a_heredoc_where_none_can_be(line: str) -> None:
    error = refused(f"FROM a\n{line}\nx\nEOF\n")
    assert error.hint == "only RUN, COPY and ADD take heredocs: the instruction above ends with its line"


def test_long_commands_are_shown_in_part() -> None:
    assert f"write RUN make {'x' * 35}...; " in (refused(f"FROM a\nmake {'x' * 99}\n").hint or "")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("FROM a # base", "FROM needs one argument, or three", "a comment needs a line of its own"),
        ("FROM a b", "FROM needs one argument, or three", "write FROM a AS b"),
        ("FROM a AS", "FROM needs one argument, or three", "write FROM image, or FROM image AS name"),
        ("FROM a :1", "FROM needs one argument, or three", "write FROM image, or FROM image AS name"),
        ("FROM --platform p a", "the flag --platform needs a value", "write --platform=VALUE, without a blank"),
        ("FROM a AS $b", "a stage cannot have the name $b", "variables are not expanded here"),
    ],
)
def test_from(line: str, message: str, hint: str) -> None:
    error = refused(line)
    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        ("CMD ['a']", True),
        ('RUN ["a",]', True),
        ('ENTRYPOINT [ "a", "b" ] c', True),
        ("CMD [\u201ca\u201d]", True),
        ('RUN [ "$a" = b ] && c', False),
        ("RUN [ -e a ]", False),
        ('CMD ["a"]', False),
    ],
)
def test_what_is_nearly_a_list(line: str, warned: bool) -> None:
    warnings = parse(f"FROM a\n{line}\n".encode(), "Dockerfile").warnings
    assert [text.partition(" ")[0] for text, _ in warnings] == ([line.partition(" ")[0]] if warned else [])


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("RUN <<E\nx\n  E\n", "line 4 does not end it, because of its blanks; only tabs may stand there, after <<-"),
        ("RUN <<E\nx\nE2\n", "a line with nothing but E ends it"),
    ],
)
def test_heredocs_without_an_end(text: str, hint: str) -> None:
    assert refused(f"FROM a\n{text}").hint == hint
