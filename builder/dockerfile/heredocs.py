"""Heredoc marks, ``[fd]<<[-]NAME``, on the joined line of an instruction. Pure."""

from builder.dockerfile.blanks import split_keyword
from builder.dockerfile.flags import split_flags
from builder.dockerfile.jsonform import NotStringsError, json_words
from builder.dockerfile.words import RAW, UNESCAPE, UNQUOTE, WordError, split_unset
from builder.errors import ParseError, Span
from layers.tuples import NamedTuple

_INSTRUCTIONS = frozenset(("RUN", "COPY", "ADD"))
_ASCII_SPACE = "\t\n\f\r "


class HeredocMark(NamedTuple):
    """``expand``: no part of the name was in quotes. ``chomp``: ``<<-``. ``fd``: the number before it, if any."""

    name: str
    expand: bool
    chomp: bool
    fd: int | None


def parse_mark(word: str) -> HeredocMark | None:
    """The mark that ``word`` is, or None. Raises WordError for a name whose quotes or substitutions are malformed."""
    before, mark, name = word.partition("<<")
    if mark == "" or "<" in name or not (before == "" or (before.isascii() and before.isdecimal())):
        return None
    chomp = name.startswith("-")
    name = name.removeprefix("-").lstrip(_ASCII_SPACE)
    if name == "":
        return None
    words = split_unset(name, UNQUOTE)
    if len(words) != 1:
        return None
    # A name is quoted if processing the quotes takes any away: then the body is literal.
    quoted = split_unset(name, UNESCAPE)
    expand = len(quoted) == 1 and _quotes(quoted[0]) == _quotes(words[0])
    return HeredocMark(words[0], expand, chomp, int(before[:9]) if before else None)


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def find_heredocs(text: str, escape: str, span: Span) -> tuple[HeredocMark, ...]:
    """The marks on an instruction's line in order; none in the list form or where the quotes do not add up."""
    value = _heredoc_value(text, escape)
    try:
        if value is None or json_words(value) is not None:
            return ()
        words = split_unset(text, RAW)
    except (WordError, NotStringsError):
        return ()  # a list of other things than strings is reported with the instruction
    marks: list[HeredocMark] = []
    for word in words:
        try:
            mark = parse_mark(word)
        except WordError as error:
            raise ParseError(f"the heredoc {word} is malformed: {error.message}", span=span, hint=error.hint) from None
        if mark is not None:
            marks.append(mark)
    return tuple(marks)


def _heredoc_value(text: str, escape: str) -> str | None:
    """What follows the flags if the instruction, or the one below ONBUILD, may have heredocs."""
    keyword, value = split_keyword(text)
    value = split_flags(value, escape).rest
    if keyword == "ONBUILD":
        keyword, value = split_keyword(value)
        value = split_flags(value, escape).rest
    return value if keyword in _INSTRUCTIONS else None
