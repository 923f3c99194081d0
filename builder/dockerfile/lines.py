"""The logical lines of a Dockerfile: one per instruction, with its heredoc bodies and its place in the file. Pure.

The instructions, their line ranges and their arguments are found by ``dockerfile_parse``. That library does not know
heredocs, blank lines inside a continuation, doubled escapes or a file that ends in the middle of a continuation
(version 2.0.1), so it is given a text of as many lines that says the same without them: each instruction joined on
its first line, comments in the place of everything else.
"""

import io
from bisect import bisect_right
from typing import Any

from dockerfile_parse import DockerfileParser

from builder.dockerfile.blanks import BLANKS, SPACE, first_word
from builder.dockerfile.directives import Directive, DirectiveReader
from builder.dockerfile.heredocs import HeredocMark, find_heredocs
from builder.errors import ParseError, Span
from layers.tuples import NamedTuple

MAX_LINE = 65_535
"""Bytes in a physical line, without its newline; BuildKit's limit."""

_SENTINEL = "\0"
_ODD_SPACE = {ord(char): 0x100000 + ord(char) for char in SPACE + "\x1c\x1d\x1e\x1f" if char not in "\n" + BLANKS}
_ODD_SPACE_BACK = {to: char for char, to in _ODD_SPACE.items()}


class Body(NamedTuple):
    """A heredoc with the text of its body as it stands in the file, terminator line left out."""

    mark: HeredocMark
    text: str


class Piece(NamedTuple):
    """Where a part of a logical line comes from: ``offset`` in its text; 1-based ``line``, 0-based ``column``."""

    offset: int
    line: int
    column: int


class LogicalLine(NamedTuple):
    """``keyword`` is upper-case, ``word`` as written. ``value``: the rest, flags included. ``text``: both, joined.

    ``trailing``: the blanks after ``text``, which only ONBUILD keeps.
    ``comments``: the comments above the instruction since the last bare ``#``, their marks removed.
    """

    keyword: str
    word: str
    value: str
    text: str
    span: Span
    pieces: tuple[Piece, ...]
    heredocs: tuple[Body, ...]
    comments: tuple[str, ...]
    trailing: str

    def place(self, offset: int, width: int = 1) -> Span:
        """The span of ``width`` characters from ``offset`` in ``value``, on the physical line where they begin."""
        at = offset + len(self.text) - len(self.value)
        index = max(bisect_right(self.pieces, at, key=lambda piece: piece.offset) - 1, 0)
        piece = self.pieces[index]
        if index + 1 < len(self.pieces):
            width = min(width, self.pieces[index + 1].offset - at)
        return Span(self.span.path, piece.line, piece.line, piece.column + at - piece.offset, max(width, 1))

    def place_word(self) -> Span:
        """The span of the instruction's name."""
        return self.place(len(self.value) - len(self.text), len(self.word))


class Lines(NamedTuple):
    """``warnings``: (message, span). ``source``: the whole text, for showing."""

    escape: str
    directives: tuple[Directive, ...]
    lines: tuple[LogicalLine, ...]
    warnings: tuple[tuple[str, Span], ...]
    source: str


class _Joined(NamedTuple):
    """An instruction as the pre-pass sees it: lines ``first`` to ``last`` (0-based), bodies below ``last``."""

    text: str
    first: int
    last: int
    pieces: tuple[Piece, ...]
    heredocs: tuple[Body, ...]
    comments: tuple[str, ...]
    trailing: str


def logical_lines(source: bytes, path: str, *, escape: str = "\\") -> Lines:
    """Split a Dockerfile. ``path`` is for messages; ``escape`` holds unless a directive says otherwise.

    Raises ParseError for text that has no lines of instructions: no UTF-8 in a heredoc, a heredoc without its end,
    a line too long, a malformed directive, a file without instructions.
    """
    reader = _Reader(source, path, escape)
    joined = reader.read()
    if not joined:
        raise ParseError(
            f"{path} has no instructions" if source.strip() else f"{path} is empty",
            span=Span(path, 1, max(len(reader.lines), 1)),
            hint="a Dockerfile starts with FROM",
        )
    structure = _structure(_plain_text(joined, len(reader.lines), reader.directives.escape))
    lines = tuple(_logical_line(found, entry, path) for found, entry in zip(joined, structure, strict=True))
    whole = _without_strays("".join(reader.lines))
    return Lines(reader.directives.escape, tuple(reader.directives.found), lines, tuple(reader.warnings), whole)


def _strays(text: str) -> bool:
    """Whether bytes that are not UTF-8 stand in ``text``, as lone surrogates."""
    return not text.isascii() and any("\udc80" <= char <= "\udcff" for char in text)


def _without_strays(text: str) -> str:
    """One replacement character for each such byte, as they would get in the image's configuration anyway."""
    if not _strays(text):
        return text
    return "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in text)


def _plain_text(joined: list[_Joined], count: int, escape: str) -> str:
    """What ``dockerfile_parse`` understands exactly (see the module's docstring): a directive and ``count`` lines."""
    plain = [f"#escape={escape}"] + ["#"] * count
    for found in joined:
        # A doubled escape at the end is none for the library; the sentinel keeps it from being one.
        text = found.text + _SENTINEL if found.text.endswith(escape) else found.text
        text = text.translate(_ODD_SPACE)
        if found.last > found.first:
            text = f"{text} {escape}"
            plain[found.last + 1] = ""
        plain[found.first + 1] = text
    return "\n".join(plain) + "\n"


def _structure(plain: str) -> list[dict[str, Any]]:
    parser = DockerfileParser(fileobj=io.BytesIO(plain.encode()))
    return [entry for entry in parser.structure if entry["instruction"] != "COMMENT" or entry["content"][0] != "#"]


def _logical_line(found: _Joined, entry: dict[str, Any], path: str) -> LogicalLine:
    if (entry["startline"] - 1, entry["endline"] - 1) != (found.first, found.last):
        raise AssertionError(f"{path}: two readers disagree about the instruction on line {found.first + 1}")
    value = entry["value"].strip(BLANKS).removesuffix(_SENTINEL).translate(_ODD_SPACE_BACK).rstrip(SPACE)
    keyword = entry["instruction"].removesuffix(_SENTINEL).translate(_ODD_SPACE_BACK)
    last = found.last + sum(body.text.count("\n") + 1 for body in found.heredocs)
    span = Span(path, found.first + 1, last + 1)
    word = first_word(found.text)
    return LogicalLine(
        keyword, word, value, found.text, span, found.pieces, found.heredocs, found.comments, found.trailing
    )


class _Reader:
    """The pre-pass: physical lines to instructions."""

    def __init__(self, source: bytes, path: str, escape: str) -> None:
        self.path = path
        self.warnings: list[tuple[str, Span]] = []
        self.lines = self._decode(source.removeprefix(b"\xef\xbb\xbf"))
        self.directives = DirectiveReader(path, escape)
        self.at = 0
        self.comments: list[str] = []

    def _decode(self, source: bytes) -> list[str]:
        if b"\0" in source:
            number = source.count(b"\n", 0, source.index(b"\0")) + 1
            raise ParseError(
                f"{self.path} holds a NUL byte",
                span=Span(self.path, number, number),
                hint="is it UTF-16? a Dockerfile is UTF-8 text"
                if source[:2] in (b"\xff\xfe", b"\xfe\xff")
                else "a Dockerfile is text: is this another file?",
            )
        lines = source.split(b"\n")
        for number, content in enumerate(lines, 1):
            if len(content) > MAX_LINE:
                raise ParseError(
                    f"line {number} has {len(content)} bytes, the limit is {MAX_LINE}",
                    span=Span(self.path, number, number),
                    hint="break it with a continuation, or COPY a file instead",
                )
        ends = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
        try:
            return [line.decode() for line in ends]
        except UnicodeDecodeError:
            return [line.decode(errors="surrogateescape") for line in ends]

    def read(self) -> list[_Joined]:
        joined: list[_Joined] = []
        while self.at < len(self.lines):
            found = self._instruction()
            if found is not None:
                joined.append(found)
        return joined

    def _instruction(self) -> _Joined | None:
        """The instruction that starts on the current line; None for a blank line or a comment."""
        first = self.at
        raw = self.lines[first].rstrip("\r\n")
        line = raw.lstrip(SPACE)
        self.at += 1
        directive = self.directives.read(line, first + 1)
        if line.startswith("#") or line == "":
            if line != "" and not directive:
                self._remember(raw)
            return None
        parts: list[str] = []
        pieces: list[Piece] = []
        column = len(raw) - len(line)
        length = 0
        last = first
        hole = 0
        while True:
            text, continues = self._continuation(self._known(line, last))
            pieces.append(Piece(length, last + 1, column))
            parts.append(text)
            length += len(text)
            if not continues:
                break
            while self.at < len(self.lines):
                line = self.lines[self.at].rstrip("\r\n")
                bare = line.lstrip(SPACE)
                if bare != "" and bare[0] != "#":
                    break
                if bare == "":
                    hole = self.at + 1
                self.at += 1
            if self.at == len(self.lines):
                last = self.at - 1
                break
            last = self.at
            self.at += 1
            column = 0
        return self._finish("".join(parts), first, last, pieces, hole)

    def _finish(self, text: str, first: int, last: int, pieces: list[Piece], hole: int) -> _Joined:
        stripped = text.strip(SPACE)
        span = Span(self.path, first + 1, last + 1)
        if stripped == "":
            raise ParseError("a continuation that continues no instruction", span=span, hint="remove the line")
        if first < hole - 1 <= last:
            self.warnings.append(
                (f"an empty line inside a continued {first_word(stripped).upper()}", Span(self.path, hole, hole))
            )
        lead = len(text) - len(text.lstrip(SPACE))
        moved = tuple(Piece(piece.offset - lead, piece.line, piece.column) for piece in pieces)
        bodies = self._bodies(stripped, span) if "<<" in stripped else ()
        comments = tuple(self.comments)
        self.comments.clear()
        return _Joined(stripped, first, last, moved, bodies, comments, text[lead + len(stripped) :])

    def _known(self, line: str, number: int) -> str:
        if _strays(line):
            self.warnings.append(("bytes that are not UTF-8 were replaced", Span(self.path, number + 1, number + 1)))
        return _without_strays(line)

    def _remember(self, raw: str) -> None:
        comment = raw.lstrip(SPACE)[1:].strip(SPACE)
        if comment == "":
            self.comments.clear()
        else:
            self.comments.append(comment)

    def _continuation(self, line: str) -> tuple[str, bool]:
        """The line without its continuation mark, and whether it had one. A doubled escape is none."""
        bare = line.rstrip(" \t")
        escape = self.directives.escape
        if bare.endswith(escape) and bare[-2:-1] != escape:
            return bare[:-1], True
        return line, False

    def _missing_end(self, mark: HeredocMark, start: int) -> str:
        for number, line in enumerate(self.lines[start:], start + 1):
            if line.strip() == mark.name:
                return f"line {number} does not end it, because of its blanks; only tabs may stand there, after <<-"
        return f"a line with nothing but {mark.name} ends it"

    def _bodies(self, text: str, span: Span) -> tuple[Body, ...]:
        bodies: list[Body] = []
        for mark in find_heredocs(text, self.directives.escape, span):
            start = self.at
            while True:
                if self.at == len(self.lines):
                    raise ParseError(
                        f"the heredoc {mark.name} has no end",
                        span=Span(self.path, span.first_line, len(self.lines)),
                        hint=self._missing_end(mark, start),
                    )
                line = self.lines[self.at].rstrip("\r\n")
                self.at += 1
                if (line.lstrip("\t") if mark.chomp else line) == mark.name:
                    break
            body = "".join(self.lines[start : self.at - 1])
            if _strays(body):
                raise ParseError(
                    f"the heredoc {mark.name} holds bytes that are not UTF-8",
                    span=Span(self.path, start + 1, self.at - 1),
                    hint="convert the Dockerfile to UTF-8, or COPY a file instead",
                )
            bodies.append(Body(mark, body))
        return tuple(bodies)
