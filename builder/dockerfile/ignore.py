"""``.dockerignore``: which files of a context a build does not see. Pure.

Later patterns win over earlier ones; a pattern that matches a directory covers what is below it; ``!`` takes back.
Paths are relative to the context's root, slash-separated. The language of a pattern is in ``ignore_patterns``.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator

from builder.dockerfile.blanks import SPACE
from builder.dockerfile.ignore_expressions import PatternError
from builder.dockerfile.ignore_patterns import Pattern, Unmatchable, clean, compile_pattern
from builder.errors import ParseError, Span
from layers.tuples import NamedTuple

_MAX_LINE = 65_536


class Rule(NamedTuple):
    """``source``: the line as written, blanks trimmed. ``takes_back``: it began with ``!``. ``path``, ``line``: where
    it stands, when it stands in a file."""

    source: str
    pattern: Pattern
    takes_back: bool
    path: str = ""
    line: int = 0

    def matches(self, path: str) -> bool:
        """Raises ParseError, with the line, for a pattern that no path can be matched with."""
        try:
            return self.pattern.matches(path)
        except PatternError as error:
            raise _located(error, self.path, self.line) from None


class Matcher:
    """Decides for paths, in any order; what is found out about a directory is kept for what is below it.

    Not for the context's root, which is never ignored. Raises ParseError when a rule whose pattern no path can be
    matched with is tried, which is where it would change something.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._any = _AnyOf(rule.pattern for rule in rules)
        self._directories: dict[str, int] = {"": 0}

    def ignored(self, path: bytes | str) -> bool:
        """Whether the file or directory at ``path`` is ignored."""
        text = _text(path)
        if text == "":
            return False
        return self._verdict(self._rules_for(text))

    def may_descend(self, path: bytes | str) -> bool:
        """Whether anything below the ignored directory ``path`` may not be ignored. True if in doubt."""
        text = _text(path)
        if not self.ignored(text):
            return True
        parts = text.split("/")
        return any(rule.takes_back and rule.pattern.may_match_below(parts) for rule in self.rules)

    def may_match_below(self, path: bytes | str) -> bool:
        """Whether anything below the directory ``path`` may be matched. True if in doubt."""
        text = _text(path)
        parts = text.split("/") if text else []
        return any(not rule.takes_back and rule.pattern.may_match_below(parts) for rule in self.rules)

    def decided_by(self, path: bytes | str) -> str | None:
        """The line that decides about ``path``, ``!`` included; None when no line matches it."""
        rule = self.rule(path)
        return rule.source if rule is not None else None

    def rule(self, path: bytes | str) -> Rule | None:
        """The rule that decides about ``path``."""
        text = _text(path)
        mask = self._rules_for(text) if text else 0
        return self.rules[mask.bit_length() - 1] if mask else None

    def _rules_for(self, path: str) -> int:
        """The rules that match ``path`` or a directory above it, as bits.

        A rule is only tried where it would change something: ``!d`` does not count for a ``d`` that is not ignored, and
        so takes nothing back below it that ``d/*`` ignores (moby's patternmatcher, MatchesUsingParentResults).
        """
        above = self._directory(path.rpartition("/")[0])
        if not self._any.matches(path):
            return above
        mask, ignored = 0, False
        for number, rule in enumerate(self.rules):
            if above >> number & 1 or (rule.takes_back == ignored and rule.matches(path)):
                mask |= 1 << number
                ignored = not rule.takes_back
        return mask

    def _directory(self, path: str) -> int:
        """Those above it first, however many there are."""
        todo = []
        while path not in self._directories:
            todo.append(path)
            path = path.rpartition("/")[0]
        for directory in reversed(todo):
            self._directories[directory] = self._rules_for(directory)
        return self._directories[todo[0] if todo else path]

    def _verdict(self, mask: int) -> bool:
        """The last rule decides."""
        return mask != 0 and not self.rules[mask.bit_length() - 1].takes_back


class _AnyOf:
    """A quick test whether any pattern at all may match: most paths of a context match none."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        every = tuple(patterns)
        self.fails = any(isinstance(each, Unmatchable) for each in every)
        """Then each rule is asked, for the error of the one that is tried first."""
        self.exact = frozenset(each.exact for each in every if each.exact is not None)
        self.prefixes = tuple(each.prefix for each in every if each.prefix is not None)
        self.suffixes = tuple(each.suffix for each in every if each.suffix is not None)
        self.expression = "|".join(f"(?:{each.expression})" for each in every if each.expression is not None)
        self._compiled: re.Pattern[str] | None = None

    def matches(self, path: str) -> bool:
        if self.fails or path in self.exact or path.startswith(self.prefixes) or path.endswith(self.suffixes):
            return True
        if self.expression == "":
            return False
        if self._compiled is None:
            self._compiled = re.compile(self.expression)
        return self._compiled.fullmatch(path) is not None


def parse_ignore(text: bytes, path: str) -> Matcher:
    """The rules of an ignore file. ``path`` is for messages. Raises ParseError with the line of a malformed pattern."""
    return parse_ignores(((path, text),))


def parse_ignores(files: Iterable[tuple[str, bytes]]) -> Matcher:
    """The rules of several files (each its path and text) as if they were one. Raises as ``parse_ignore``."""
    return Matcher(tuple(rule for path, text in files for rule in _rules(text, path)))


def _rules(text: bytes, path: str) -> Iterator[Rule]:
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if raw.startswith(b"#"):
            continue
        line = raw.decode(errors="surrogateescape").strip(SPACE)
        if line == "":
            continue
        try:
            if len(raw) >= _MAX_LINE:
                raise PatternError(f"the line has {len(raw)} bytes, the limit is {_MAX_LINE - 1}", "use wildcards")
            rule = _rule(line, path, number)
        except PatternError as error:
            raise _located(error, path, number) from None
        yield rule


def _located(error: PatternError, path: str, line: int) -> ParseError:
    return ParseError(f"{path}: {error.message}", span=Span(path, line, line), hint=error.hint)


def parse_patterns(patterns: Iterable[str]) -> Matcher:
    """The words of ``--exclude``, or paths that are to be matched. Unlike in a file, a leading slash stays, and so
    matches nothing. Raises PatternError, at once for a pattern that no path can be matched with, too."""
    rules = []
    for word in patterns:
        text = word.strip(SPACE)
        if text == "":
            continue
        cleaned = posixpath.normpath(text)
        if cleaned == "!":
            raise PatternError(
                "a ! needs a pattern after it", "write !path, to keep what an earlier pattern leaves out"
            )
        pattern = compile_pattern(cleaned.removeprefix("!"))
        if isinstance(pattern, Unmatchable):
            raise PatternError(pattern.message, pattern.hint)
        rules.append(Rule(text, pattern, cleaned.startswith("!")))
    return Matcher(tuple(rules))


def _rule(line: str, path: str, number: int) -> Rule:
    takes_back = line.startswith("!")
    pattern = clean(line[1:].strip(SPACE) if takes_back else line).strip(SPACE)
    if not takes_back and pattern.startswith("!"):  # of /!path and ./!path, as in BuildKit
        takes_back, pattern = True, pattern[1:]
    if takes_back and pattern in ("", "/"):
        raise PatternError("a ! needs a pattern after it", "write !path, to keep what an earlier line ignores")
    return Rule(line, compile_pattern(pattern), takes_back, path, number)


def _text(path: bytes | str) -> str:
    """The path as text; "" for the root, however it is spelled."""
    text = path.decode(errors="surrogateescape") if isinstance(path, bytes) else path
    return "" if text == "." else text
