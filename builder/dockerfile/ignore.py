"""``.dockerignore``: which files of a context a build does not see. Pure.

Later patterns win over earlier ones; a pattern that matches a directory covers what is below it; ``!`` takes back.
Paths are relative to the context's root, slash-separated. The language of a pattern is in ``ignore_patterns``.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from builder.dockerfile.blanks import SPACE
from builder.dockerfile.ignore_patterns import Pattern, PatternError, clean, compile_pattern
from builder.errors import ParseError, Span

_MAX_LINE = 65_536


class Rule(NamedTuple):
    """``source``: the line as written, blanks trimmed. ``takes_back``: it began with ``!``."""

    source: str
    pattern: Pattern
    takes_back: bool


class Matcher:
    """Decides for paths, in any order; what is found out about a directory is kept for what is below it.

    Not for the context's root, which is never ignored.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self._any = _AnyOf(rule.pattern for rule in rules)
        self._directories: dict[str, int] = {"": 0}
        self._verdicts: dict[int, bool] = {0: False}

    def ignored(self, path: bytes | str) -> bool:
        """Whether the file or directory at ``path`` is ignored."""
        text = _text(path)
        if text == "":
            return False
        mask = self._directory(text.rpartition("/")[0])
        if self._any.matches(text):
            return self._evaluate(text, mask)[1]
        return self._verdict(mask)

    def may_descend(self, path: bytes | str) -> bool:
        """Whether anything below the ignored directory ``path`` may not be ignored. True if in doubt."""
        text = _text(path)
        if not self.ignored(text):
            return True
        parts = text.split("/")
        return any(rule.takes_back and rule.pattern.may_match_below(parts) for rule in self.rules)

    def decided_by(self, path: bytes | str) -> str | None:
        """The line that decides about ``path``, ``!`` included; None when no line matches it."""
        text = _text(path)
        if text == "":
            return None
        mask, _ = self._evaluate(text, self._directory(text.rpartition("/")[0]))
        decisive: str | None = None
        ignored = False
        for number, rule in enumerate(self.rules):
            if mask >> number & 1 and rule.takes_back == ignored:
                ignored = not ignored
                decisive = rule.source
        return decisive

    def _directory(self, path: str) -> int:
        """The rules that cover the directory, as bits."""
        mask = self._directories.get(path)
        if mask is None:
            mask = self._directory(path.rpartition("/")[0])
            if self._any.matches(path):
                mask, _ = self._evaluate(path, mask)
            self._directories[path] = mask
        return mask

    def _evaluate(self, path: str, above: int) -> tuple[int, bool]:
        """The rules that cover ``path`` and the verdict, given the rules that cover the directory it is in.

        A rule that would change nothing is not tried, and so does not cover what is below: as in BuildKit.
        """
        mask = 0
        ignored = False
        for number, rule in enumerate(self.rules):
            if above >> number & 1 or (rule.takes_back == ignored and rule.pattern.matches(path)):
                mask |= 1 << number
                ignored = not rule.takes_back
        return mask, ignored

    def _verdict(self, mask: int) -> bool:
        verdict = self._verdicts.get(mask)
        if verdict is None:
            # The last rule that covers the directory decides.
            verdict = self._verdicts[mask] = not self.rules[mask.bit_length() - 1].takes_back
        return verdict


class _AnyOf:
    """A quick test whether any pattern at all matches: most paths of a context match none."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        every = tuple(patterns)
        self.exact = frozenset(each.exact for each in every if each.exact is not None)
        self.prefixes = tuple(each.prefix for each in every if each.prefix is not None)
        self.suffixes = tuple(each.suffix for each in every if each.suffix is not None)
        self.expression = "|".join(f"(?:{each.expression})" for each in every if each.expression is not None)
        self._compiled: re.Pattern[str] | None = None

    def matches(self, path: str) -> bool:
        if path in self.exact or path.startswith(self.prefixes) or path.endswith(self.suffixes):
            return True
        if self.expression == "":
            return False
        if self._compiled is None:
            self._compiled = re.compile(self.expression)
        return self._compiled.fullmatch(path) is not None


def parse_ignore(text: bytes, path: str) -> Matcher:
    """The rules of an ignore file. ``path`` is for messages. Raises ParseError with the line of a malformed pattern."""
    rules: list[Rule] = []
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if raw.startswith(b"#"):
            continue
        line = raw.decode(errors="surrogateescape").strip(SPACE)
        if line == "":
            continue
        try:
            if len(raw) >= _MAX_LINE:
                raise PatternError(f"the line has {len(raw)} bytes, the limit is {_MAX_LINE - 1}")
            rules.append(_rule(line))
        except PatternError as error:
            raise ParseError(f"{path}: {error.message}", span=Span(path, number, number), hint=error.hint) from None
    return Matcher(tuple(rules))


def match_patterns(patterns: Iterable[str]) -> Matcher:
    """The same from patterns that stand elsewhere (``--exclude``). Raises PatternError."""
    stripped = (pattern.strip(SPACE) for pattern in patterns)
    return Matcher(tuple(_rule(pattern) for pattern in stripped if pattern != ""))


def _rule(line: str) -> Rule:
    takes_back = line.startswith("!")
    pattern = clean(line[1:].strip(SPACE) if takes_back else line).strip(SPACE)
    if takes_back and pattern in ("", "/"):
        raise PatternError("a ! needs a pattern after it", "write !path, to keep what an earlier line ignores")
    return Rule(line, compile_pattern(pattern), takes_back)


def _text(path: bytes | str) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else path
