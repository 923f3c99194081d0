"""One instruction on its way to its type: flags taken off, and the ways to cut its arguments. Pure."""

from builder.dockerfile.blanks import BLANKS, SPACE
from builder.dockerfile.flags import FlagError, Flags, FlagWord, parse_flags, split_flags
from builder.dockerfile.jsonform import NotStringsError, json_words
from builder.dockerfile.lines import LogicalLine
from builder.errors import ParseError
from layers.tuples import NamedTuple


class Word(NamedTuple):
    """A word as written, and where it starts in the arguments."""

    text: str
    offset: int


class Statement(NamedTuple):
    """``rest``: the arguments without the flags, blanks trimmed at both ends."""

    line: LogicalLine
    keyword: str
    rest: str
    flag_words: tuple[FlagWord, ...]
    escape: str

    def error(self, message: str, *, hint: str | None = None, word: Word | None = None) -> ParseError:
        """A ParseError about ``word``, or about the whole instruction."""
        span = self.line.span
        if word is not None:
            span = self.line.place(len(self.line.value) - len(self.rest) + word.offset, max(len(word.text), 1))
        return ParseError(message, span=span, hint=hint)

    def flag_error(self, flag: FlagWord, message: str, hint: str | None = None) -> ParseError:
        return ParseError(message, span=self.line.place(flag.offset, flag.width), hint=hint)

    def flags(self) -> Flags:
        """The instruction's flags. ParseError for one it does not have."""
        try:
            return parse_flags(self.keyword, self.flag_words)
        except FlagError as error:
            raise self.flag_error(error.flag, error.message, error.hint) from None

    def listed(self, text: str) -> tuple[str, ...] | None:
        """The members of ``text`` as a JSON list of strings; None when it is no JSON list."""
        try:
            words = json_words(text)
        except NotStringsError:
            raise self.error(
                f"the list of {self.keyword} may hold nothing but strings",
                hint='put every member in double quotes: ["a", "b"]',
            ) from None
        if any("\0" in word for word in words or ()):
            raise self.error(
                f"the list of {self.keyword} holds a NUL character", hint="no argument and no path can: leave it out"
            )
        return words


def statement(line: LogicalLine, escape: str) -> Statement:
    split = split_flags(line.value, escape)
    return Statement(line, line.keyword, split.rest, split.flags, escape)


def blank_separated(text: str) -> tuple[Word, ...]:
    """The words between blanks; quotes mean nothing here."""
    words: list[Word] = []
    start = 0
    for at, char in enumerate(text):
        if char in BLANKS:
            if at > start:
                words.append(Word(text[start:at], start))
            start = at + 1
    if start < len(text):
        words.append(Word(text[start:], start))
    return tuple(words)


def quoted_words(text: str, escape: str) -> tuple[Word, ...]:
    """The words between blanks that are neither quoted nor escaped, with quotes and escapes left in them.

    A quote that is never closed ends with the text; an escape at the very end is dropped.
    """
    words: list[Word] = []
    at = 0
    while at < len(text):
        if text[at] in SPACE:
            at += 1
            continue
        end = _end_of_word(text, at, escape)
        word = text[at:end]
        if end == len(text) and _escaped_end(word, escape):
            word = word[:-1]
        if word != "":
            words.append(Word(word, at))
        at = end
    return tuple(words)


def _end_of_word(text: str, at: int, escape: str) -> int:
    quote = ""
    while at < len(text):
        char = text[at]
        if char == escape and quote != "'":
            at += 1
        elif quote != "":
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in SPACE:
            return at
        at += 1
    return len(text)


def _escaped_end(word: str, escape: str) -> bool:
    """Whether the last character is an escape in force, with nothing left to escape."""
    quote = ""
    at = 0
    while at < len(word):
        char = word[at]
        if char == escape and quote != "'":
            if at + 1 == len(word):
                return True
            at += 1
        elif quote != "":
            if char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        at += 1
    return False


def name_value_pairs(of: Statement) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The pairs of ENV and LABEL, and whether they are in the old form, ``name rest of the line``."""
    words = quoted_words(of.rest, of.escape)
    if not words:
        raise of.error(f"{of.keyword} needs at least one name and value", hint=f"write {of.keyword} name=value")
    if "=" not in words[0].text:
        parts = blank_separated(of.rest)
        if len(parts) < 2:
            raise of.error(f"{of.keyword} needs a value for {of.rest}", hint=f"write {of.keyword} {of.rest}=value")
        return ((parts[0].text, of.rest[parts[1].offset :]),), True
    pairs: list[tuple[str, str]] = []
    for word in words:
        name, equals, value = word.text.partition("=")
        if equals == "":
            raise of.error(
                f"{of.keyword} has no = in {word.text}",
                word=word,
                hint="every pair is name=value; put a value with blanks in quotes",
            )
        pairs.append((name, value))
    return tuple(pairs), False
