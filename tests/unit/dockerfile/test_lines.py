"""Logical lines: places, comments, and that nothing in a file can break or be lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.lines import Lines, logical_lines
from builder.errors import BuildError, ParseError, Span

PATH = "Dockerfile"


def read(text: str | bytes, escape: str = "\\") -> Lines:
    return logical_lines(text if isinstance(text, bytes) else text.encode(), PATH, escape=escape)


def test_comments_above_an_instruction() -> None:
    lines = read("# one\n#two \n\n  # three\nFROM a\n# lost\n#\n# kept\nRUN b \\\n# inside\n c\nCMD d\n").lines
    assert [line.comments for line in lines] == [("one", "two", "three"), ("kept",), ()]


def test_directives_are_no_comments() -> None:
    found = read("# syntax=x/y:1 z\n#escape=`\n# Check = skip=all \n# c=d\nFROM a\n")
    assert [(each.name, each.value) for each in found.directives] == [
        ("syntax", "x/y:1 z"),
        ("escape", "`"),
        ("check", "skip=all"),
    ]
    assert found.lines[0].comments == ("c=d",)
    assert found.escape == "`"


def test_the_callers_escape() -> None:
    assert read("RUN a`\n b", "`").lines[0].text == "RUN a b"


@pytest.mark.parametrize(
    ("offset", "width", "span"),
    [
        (0, 1, Span(PATH, 2, 2, 5, 1)),
        (4, 3, Span(PATH, 3, 3, 2, 3)),
        (0, 50, Span(PATH, 2, 2, 5, 2)),
        (8, 2, Span(PATH, 5, 5, 1, 2)),
    ],
)
def test_places(offset: int, width: int, span: Span) -> None:
    """``RUN a \\`` on line 2, ``  bcd\\`` on 3, a comment, `` ef`` on 5."""
    line = read("# c\n RUN a\\\n  bcd\\\n# c\n ef\n").lines[0]
    assert line.value == "a  bcd ef"
    offset = {0: 0, 4: 3, 8: 7}[offset]
    assert line.place(offset, width)._replace(width=0) == span._replace(width=0)


def test_place_of_the_name() -> None:
    line = read("\n   WORKDIR x\n").lines[0]
    assert line.place_word() == Span(PATH, 2, 2, 3, 7)


def test_longest_line() -> None:
    assert len(read("RUN " + "x" * 65_531).lines[0].text) == 65_535
    assert len(read("RUN " + "x" * 65_530 + "\\\n" + "y" * 65_535).lines[0].text) == 131_069
    with pytest.raises(ParseError, match="the limit is 65535"):
        read("RUN " + "x" * 65_532)


def test_bodies_keep_their_line_ends() -> None:
    line = read(b"RUN <<E\r\na\r\n\tb\nE\r\n").lines[0]
    assert [body.text for body in line.heredocs] == ["a\r\n\tb\n"]


@pytest.mark.parametrize("text", ["FROM a", "FROM a\n", "FROM a\\", "FROM a\\\n", "FROM a \\\n#", "FROM a\r\n\r\n"])
def test_ends_of_file(text: str) -> None:
    lines = read(text).lines
    assert [(line.keyword, line.value) for line in lines] == [("FROM", "a")]


def test_words_no_one_expects() -> None:
    """Blanks that separate words elsewhere and names that look like the library's own."""
    lines = read("COMMENT a\nRUN\u00a0a b\nRUN \u2003a\n\x1cRUN a\x1c\n").lines
    assert [line.keyword for line in lines] == ["COMMENT", "RUN\u00a0A", "RUN", "\x1cRUN"]
    assert [line.value for line in lines] == ["a", "b", "\u2003a", "a\x1c"]


LINE = st.one_of(
    st.sampled_from(
        [
            *("FROM a", "RUN x", "COPY a b", "RUN <<E", "COPY <<E <<-F /x", "E", "\tF", "", "  ", "#", "# c", "  # c"),
            *("RUN a \\", "\\", " b \\ ", "c \\\\", "`", "# escape=`", "# syntax=x", "ONBUILD RUN <<E", "\ufeff", "x"),
            *('RUN ["a"]', 'RUN ["a", <<E', "RUN 'a <<E", "\x0b\x0c", "\u00a0", "\x85", "\x1c", "COMMENT x"),
        ]
    ),
    st.text(max_size=12),
)
FILES = st.lists(st.tuples(LINE, st.sampled_from(["\n", "\n", "\r\n", "\n\n"])), max_size=10).map(
    lambda lines: "".join(line + end for line, end in lines)
)


@given(FILES)
def test_spans_cover_the_file(text: str) -> None:
    """Lines come in order without overlap, and between them stand comments and blank lines only."""
    try:
        found = read(text.encode(errors="replace"))
    except BuildError:
        return
    physical = text.encode(errors="replace").decode().removeprefix("\ufeff").split("\n")
    covered = 0
    for line in found.lines:
        between = physical[covered : line.span.first_line - 1]
        assert all(each.strip("\r\n\t\v\f \x85\u00a0\u2003")[:1] in ("", "#") for each in between)
        assert covered < line.span.first_line <= line.span.last_line <= len(physical)
        covered = line.span.last_line
        assert line.text.endswith(line.value)
        assert line.text.startswith(line.word)
    assert all(each.strip("\r\n\t\v\f \x85\u00a0\u2003")[:1] in ("", "#") for each in physical[covered:])


@given(FILES, st.integers(0, 40), st.integers(1, 10))
def test_places_are_in_the_file(text: str, offset: int, width: int) -> None:
    """A place on an instruction holds the very characters that stand there."""
    try:
        found = read(text.encode(errors="replace"))
    except BuildError:
        return
    physical = text.encode(errors="replace").decode().removeprefix("\ufeff").split("\n")
    for line in found.lines:
        if offset < len(line.value):
            span = line.place(offset, width)
            shown = physical[span.first_line - 1][span.column : span.column + span.width]
            assert line.value[offset:].startswith(shown[: len(line.value) - offset])


@given(st.binary(max_size=80))
def test_any_bytes(source: bytes) -> None:
    try:
        found = read(source)
    except BuildError as error:
        assert error.span is not None
        return
    found.source.encode()
    assert all(line.text.encode() for line in found.lines)
