r"""One pattern of an ignore file. Pure.

``*`` and ``?`` match anything but a slash, ``[a-z]`` and ``[^a-z]`` one character of a set, a backslash makes the next
character literal; ``**`` matches any number of directories. Malformed sets are errors, as in Go's ``filepath.Match``.
What that understands but Go's regular expressions do not, such as ``[z-a]``, is one when a path is first matched: as in
moby's patternmatcher, which makes the expression then (``ignore_expressions``).
"""

import posixpath
import re

from builder.dockerfile.ignore_expressions import PatternError, expression

_SPECIAL = frozenset("*?[]\\")


class Pattern:
    """``exact``, ``prefix`` and ``suffix`` are what a path is, begins or ends with; otherwise ``expression`` decides.

    Exactly one kind is set, but ``**/name`` is the suffix ``/name`` and, for the root's own entry, the exact ``name``.
    """

    __slots__ = ("_compiled", "exact", "expression", "parts", "prefix", "suffix")

    def __init__(
        self,
        pattern: str,
        *,
        exact: str | None = None,
        prefix: str | None = None,
        suffix: str | None = None,
        expression: str | None = None,
    ) -> None:
        self.parts = pattern.split("/")
        self.exact = exact
        self.prefix = prefix
        self.suffix = suffix
        self.expression = expression
        self._compiled: re.Pattern[str] | None = None

    def matches(self, path: str) -> bool:
        """Whether the pattern matches this very path; parents are the caller's business."""
        if self.expression is None:
            return (
                path == self.exact
                or (self.prefix is not None and path.startswith(self.prefix))
                or (self.suffix is not None and path.endswith(self.suffix))
            )
        if self._compiled is None:
            self._compiled = re.compile(self.expression)
        return self._compiled.fullmatch(path) is not None

    def may_match_below(self, directory: list[str]) -> bool:
        """Whether the pattern may match a path below the directory with these parts. True if in doubt."""
        for part, name in zip(self.parts, directory, strict=False):
            if "**" in part or "[" in part or "\\" in part:
                return True
            if "*" not in part and "?" not in part and part != name:
                return False
        return len(self.parts) > len(directory)


class Unmatchable(Pattern):
    """A pattern that Go's ``filepath.Match`` takes, but that no path can be matched with: ``[z-a]``."""

    __slots__ = ("hint", "message")

    def __init__(self, pattern: str, error: PatternError) -> None:
        super().__init__(pattern)
        self.message = error.message
        self.hint = error.hint

    def matches(self, path: str) -> bool:
        """Raises PatternError, whatever ``path`` is."""
        raise PatternError(self.message, self.hint)


def clean(pattern: str) -> str:
    """The shortest path that says the same, without a leading slash. "" stays empty."""
    if pattern == "":
        return ""
    cleaned = posixpath.normpath(pattern)
    if cleaned.startswith("//"):
        cleaned = cleaned[1:]
    return cleaned[1:] if len(cleaned) > 1 and cleaned[0] == "/" else cleaned


def compile_pattern(pattern: str) -> Pattern:
    """A cleaned pattern. Raises PatternError for what is malformed even if no path is ever matched."""
    if _SPECIAL.isdisjoint(pattern):
        return Pattern(pattern, exact=pattern)
    literal = pattern.removeprefix("**") if pattern.startswith("**") else pattern.removesuffix("**")
    if not _SPECIAL.isdisjoint(literal):
        _check(pattern)
        try:
            return Pattern(pattern, expression=expression(pattern))
        except PatternError as error:
            return Unmatchable(pattern, error)
    if not pattern.startswith("**"):
        return Pattern(pattern, prefix=literal)
    return Pattern(pattern, suffix=literal, exact=literal[1:] if literal.startswith("/") else None)


def _check(pattern: str) -> None:
    """Raises PatternError for what Go's ``filepath.Match`` refuses when it is asked about ".", as moby does.

    It looks no further than to the first star behind something that is no ".", and from there to the next star.
    """
    chunk, rest = _chunk(pattern)
    if _check_chunk(pattern, chunk):
        _check_chunk(pattern, _chunk(rest)[0])


def _chunk(pattern: str) -> tuple[str, str]:
    """What there is between the stars at the start and the next one that is in no set, and the rest."""
    pattern = pattern.lstrip("*")
    at = 0
    in_set = False
    while at < len(pattern) and (in_set or pattern[at] != "*"):
        if pattern[at] in "[]":
            in_set = pattern[at] == "["
        at += 2 if pattern[at] == "\\" else 1
    return pattern[:at], pattern[at:]


def _check_chunk(pattern: str, chunk: str) -> bool:
    """Whether it matches ".". Raises PatternError."""
    at = 0
    count = 0
    matches = True
    while at < len(chunk):
        count += 1
        if chunk[at] == "[":
            at, holds = _end_of_set(pattern, chunk, at + 1)
            matches = matches and holds
            continue
        at += chunk[at] == "\\"
        if at == len(chunk):
            raise PatternError(f"the pattern {pattern} ends in a backslash", "a backslash makes a character literal")
        matches = matches and (chunk[at] == "." or (chunk[at] == "?" and chunk[at - 1 : at] != "\\"))
        at += 1
    return matches and count == 1


def _end_of_set(pattern: str, chunk: str, at: int) -> tuple[int, bool]:
    """Where the set whose bracket opens before ``at`` is over, and whether "." is in it."""
    negated = chunk.startswith("^", at)
    start = at = at + negated
    holds = False
    while at == start or not chunk.startswith("]", at):
        low, at = _member(pattern, chunk, at)
        high, at = _member(pattern, chunk, at + 1) if chunk.startswith("-", at) else (low, at)
        holds = holds or low <= "." <= high
    return at + 1, holds != negated


def _member(pattern: str, chunk: str, at: int) -> tuple[str, int]:
    if chunk.startswith("\\", at):
        at += 1
    elif chunk.startswith(("-", "]"), at):
        raise PatternError(f"the set in the pattern {pattern} is malformed", f"write \\{chunk[at]} for the character")
    if at >= len(chunk):
        raise PatternError(f"the set in the pattern {pattern} is not closed", "write \\[ for the character itself")
    return chunk[at], at + 1
