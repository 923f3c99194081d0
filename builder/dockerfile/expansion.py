"""The engine below ``words``: one pass over a text, by recursive descent. Pure."""

from collections.abc import Callable

from builder.dockerfile import globs
from builder.dockerfile.blanks import SPACE
from layers.tuples import NamedTuple

Lookup = Callable[[str], str | None]

_SPECIAL_NAMES = "@*#?-$!0"
_MAX_DEPTH = 64
_END = ""

MAX_SUBSTITUTED = 1 << 20
"""Characters that variables may bring into one text. ``ENV A=$A$A``, thirty times, would fill any memory; the kernel
passes no variable longer than 128 KiB to a program."""


_CLOSE_QUOTE = "close the quote, or write a backslash before it (the file's escape character)"
_CLOSE_BRACE = "write ${name}; a blank inside of it needs quotes, and a $ that is only text a backslash"
_MODIFIERS = "there are :- - :+ + :? ? # ## % %% / and //; anything else is the shell's business, in a RUN"
_PATTERN = "only * and ? are special, and a backslash makes a character literal"


class WordError(ValueError):
    """A word that cannot be expanded. ``position`` is where in the word, in characters; ``hint`` is what to do."""

    def __init__(self, message: str, position: int, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint


class Mode(NamedTuple):
    """How much of the syntax is processed.

    ``quotes``: quotes are special at all. ``keep_quotes`` and ``keep_escapes``: they stay in the result.
    ``keep_unset``: a reference to an unset name stays as it is written.
    """

    quotes: bool = True
    keep_quotes: bool = False
    keep_escapes: bool = False
    keep_unset: bool = False


class Words:
    """Collects characters into words. Quoted and escaped characters never separate."""

    __slots__ = ("buffer", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.buffer: list[str] = []

    def add(self, text: str) -> None:
        """Unquoted text: blanks separate words."""
        for char in text:
            if char in SPACE:
                self.end_word()
            else:
                self.buffer.append(char)

    def add_raw(self, text: str) -> None:
        self.buffer.append(text)

    def end_word(self) -> None:
        word = "".join(self.buffer)
        self.buffer.clear()
        if word:
            self.words.append(word)

    def finish(self) -> list[str]:
        self.end_word()
        return self.words


class Expander:
    """One pass over one text, by recursive descent. ``at`` is the place of the next character."""

    def __init__(self, text: str, lookup: Lookup, escape: str, mode: Mode) -> None:
        self.text = text
        self.lookup = lookup
        self.escape = escape
        self.mode = mode
        self.at = 0
        self.depth = 0
        self.substituted = 0
        self.words = Words()

    def run(self) -> str:
        return self._until(_END, self.mode.keep_escapes, self.words)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _next(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        return char

    def _until(self, stop: str, keep_escapes: bool, words: Words | None) -> str:
        """Everything up to the unquoted character ``stop``, which is consumed."""
        start = self.at
        out: list[str] = []
        while (char := self._peek()) != "":
            if char == stop:
                self.at += 1
                return "".join(out)
            special = self._special(char, keep_escapes)
            if special is not None:
                out.append(special)
                if words is not None:
                    (words.add if char == "$" else words.add_raw)(special)
                continue
            self.at += 1
            if char != self.escape:
                out.append(char)
                if words is not None:
                    words.add(char)
                continue
            # The character after an escape is literal; an escape at the end is nothing.
            escaped = (char if keep_escapes else "") + self._next()
            out.append(escaped)
            if words is not None:
                words.add_raw(escaped)
        if stop != _END:
            raise WordError(f"nothing closes it: a {stop} is missing", start, f"write the {stop}")
        return "".join(out)

    def _special(self, char: str, keep_escapes: bool) -> str | None:
        if char == "$":
            return self._dollar()
        if char == "<":
            return self._less()
        if self.mode.quotes:
            if char == "'":
                return self._single()
            if char == '"':
                return self._double(keep_escapes)
        return None

    def _less(self) -> str:
        """``<`` or ``<<`` with the blanks after it: a heredoc's name may stand apart from its mark."""
        start = self.at
        self.at += 1
        if self._peek() != "<":
            return "<"
        self.at += 1
        while self._peek() in ("\t", "\r", " "):
            self.at += 1
        return self.text[start : self.at]

    def _single(self) -> str:
        start = self.at
        end = self.text.find("'", start + 1)
        if end < 0:
            raise WordError("a single quote is not closed", start, _CLOSE_QUOTE)
        self.at = end + 1
        return self.text[start : end + 1] if self.mode.keep_quotes else self.text[start + 1 : end]

    def _double(self, keep_escapes: bool) -> str:
        start = self.at
        self.at += 1
        quote = '"' if self.mode.keep_quotes else ""
        out = [quote]
        while (char := self._peek()) != '"':
            if char == "":
                raise WordError("a double quote is not closed", start, _CLOSE_QUOTE)
            if char == "$":
                out.append(self._dollar())
                continue
            self.at += 1
            if char != self.escape:
                out.append(char)
                continue
            following = self._peek()
            if keep_escapes:
                out.append(char)
            if following != "" and (following in '"$' or following == self.escape):
                out.append(self._next())
            elif following != "":
                out.append(char)
        self.at += 1
        out.append(quote)
        return "".join(out)

    def _name(self) -> str:
        """A name, the digits of a positional parameter, or one special character; "" when none of them comes."""
        start = self.at
        first = self._peek()
        if first == "":
            return ""
        if first.isdecimal():
            while self._peek().isdecimal():
                self.at += 1
        elif first in _SPECIAL_NAMES:
            self.at += 1
        else:
            while (char := self._peek()).isalpha() or char.isdecimal() or char == "_":
                self.at += 1
        return self.text[start : self.at]

    def _dollar(self) -> str:
        start = self.at
        result = self._substitution(start)
        self.substituted += len(result)
        if self.substituted > MAX_SUBSTITUTED:
            raise _too_long(start)
        return result

    def _substitution(self, start: int) -> str:
        self.at += 1
        if self._peek() != "{":
            name = self._name()
            if name == "":
                return "$"
            value = self.lookup(name)
            if value is None:
                return f"${name}" if self.mode.keep_unset else ""
            return value
        self.at += 1
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise WordError(
                f"substitutions are nested more than {_MAX_DEPTH} deep",
                start,
                "give the inner ones an ARG of their own",
            )
        result = self._braces(start)
        self.depth -= 1
        return result

    def _braces(self, start: int) -> str:
        """The rest of ``${...}`` after the brace."""
        first = self._peek()
        if first == "":
            raise WordError("a substitution is not closed: a } is missing", start, _CLOSE_BRACE)
        if first in "{}:":
            raise WordError(
                "bad substitution: ${ must be followed by a name", start, "write ${name}, or \\${ for the text"
            )
        name = self._name()
        char = self._next()
        match char:
            case "}":
                value = self.lookup(name)
                if value is None:
                    return f"${{{name}}}" if self.mode.keep_unset else ""
                return value
            case "/":
                return self._replace(name, start)
            case "#" | "%":
                return self._trim(name, char, start)
            case ":" if self._peek() in ("-", "+", "?"):
                return self._default(name, ":" + self._next(), start)
            case "-" | "+" | "?":
                return self._default(name, char, start)
            case "" | " " | "\t" | "\n" | "\r":
                raise WordError("a substitution is not closed: a } is missing", start, _CLOSE_BRACE)
            case _:
                mark = char + self._peek() if char == ":" else char
                mark = name if name in _SPECIAL_NAMES else mark
                raise WordError(f"the modifier {mark} is not supported in a substitution", start, _MODIFIERS)

    def _operand(self, stop: str, keep_escapes: bool, start: int) -> str:
        try:
            return self._until(stop, keep_escapes, None)
        except WordError:
            if self.at < len(self.text):
                raise
            hint = _CLOSE_BRACE if stop == "}" else "write ${name/pattern/replacement}"
            raise WordError(f"a substitution is not closed: a {stop} is missing", start, hint) from None

    def _default(self, name: str, mark: str, start: int) -> str:
        operand = self._operand("}", False, start)
        value = self.lookup(name)
        if value is None and self.mode.keep_unset:
            return f"${{{name}{mark}{operand}}}"
        given = value is not None and not (value == "" and mark[0] == ":")
        if mark[-1] == "+":
            return operand if given else ""
        if given:
            return value or ""
        if mark[-1] == "-":
            return operand
        stock = "must be set" if value is None else "must not be empty"
        raise WordError(
            f"{name}: {operand or stock}", start, f"set it: --build-arg {name}=VALUE, with an ARG {name} above"
        )

    def _trim(self, name: str, mark: str, start: int) -> str:
        pattern = self._operand("}", True, start)
        value = self.lookup(name)
        if value is None and self.mode.keep_unset:
            return f"${{{name}{mark}{pattern}}}"
        longest = pattern.startswith(mark)
        tokens = self._pattern(pattern[1:] if longest else pattern, start)
        if value is None:
            return ""
        if mark == "#":
            end = globs.match_prefix(tokens, value, longest=longest)
            return value if end is None else value[end:]
        end = globs.match_prefix(tokens[::-1], value[::-1], longest=longest)
        return value if end is None else value[: len(value) - end]

    def _replace(self, name: str, start: int) -> str:
        every = self._peek() == "/"
        if every:
            self.at += 1
        pattern = self._operand("/", True, start)
        replacement = self._operand("}", True, start)
        value = self.lookup(name)
        if value is None and self.mode.keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        tokens = self._pattern(pattern, start)
        result = globs.replace(tokens, value or "", replacement, every=every, limit=MAX_SUBSTITUTED)
        if result is None:
            raise _too_long(start)
        return result

    def _pattern(self, pattern: str, start: int) -> tuple[str, ...]:
        try:
            return globs.tokens(pattern)
        except ValueError as error:
            raise WordError(f"the pattern {pattern} is malformed: {error}", start, _PATTERN) from None


def _too_long(start: int) -> WordError:
    return WordError(
        f"its variables expand to more than {MAX_SUBSTITUTED} characters", start, "a value that long belongs in a file"
    )
