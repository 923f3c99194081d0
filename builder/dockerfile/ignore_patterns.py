r"""One pattern of an ignore file. Pure.

``*`` and ``?`` match anything but a slash, ``[a-z]`` and ``[^a-z]`` one character of a set, a backslash makes the next
character literal; ``**`` matches any number of directories. Malformed sets are errors, as in Go's ``filepath.Match``.
What that understands but Go's regular expressions do not, such as ``[z-a]``, is one when a path is first matched: as in
moby's patternmatcher, which makes the expression then.
"""

import posixpath
import re

_STAR = "[^/]*"
_ANY = "[^/]"
_SPECIAL = frozenset("*?[]\\")
_ESCAPES = {
    "b": r"(?a:\b)",
    "B": r"(?a:\B)",
    "d": "[0-9]",
    "D": "[^0-9]",
    "s": "[\t\n\f\r ]",
    "S": "[^\t\n\f\r ]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    **dict(zip("afnrtv", "\a\f\n\r\t\v", strict=True)),
}
"""What becomes of a backslash and a letter: moby's patternmatcher leaves it to Go's regular expressions."""


class PatternError(ValueError):
    """A pattern that is malformed."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


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
            return Pattern(pattern, expression=_expression(pattern))
        except PatternError as error:
            return Unmatchable(pattern, error)
    if not pattern.startswith("**"):
        return Pattern(pattern, prefix=literal)
    return Pattern(pattern, suffix=literal, exact=literal[1:] if literal.startswith("/") else None)


def _check(pattern: str) -> None:
    """Raises PatternError for what Go's ``filepath.Match`` refuses."""
    at = 0
    while at < len(pattern):
        if pattern[at] == "[":
            at = _end_of_set(pattern, at + 1)
        elif pattern[at] == "\\":
            at += 2
            if at > len(pattern):
                raise PatternError(
                    f"the pattern {pattern} ends in a backslash", "a backslash makes a character literal"
                )
        else:
            at += 1


def _end_of_set(pattern: str, at: int) -> int:
    """Where the set whose bracket opens before ``at`` is over."""
    start = at = at + pattern.startswith("^", at)
    while at == start or not pattern.startswith("]", at):
        at = _end_of_member(pattern, at)
        if pattern.startswith("-", at):
            at = _end_of_member(pattern, at + 1)
    return at + 1


def _end_of_member(pattern: str, at: int) -> int:
    if pattern.startswith("\\", at):
        at += 1
    elif pattern.startswith(("-", "]"), at):
        raise PatternError(f"the set in the pattern {pattern} is malformed", f"write \\{pattern[at]} for the character")
    if at >= len(pattern):
        raise PatternError(f"the set in the pattern {pattern} is not closed", "write \\[ for the character itself")
    return at + 1


def _expression(pattern: str) -> str:
    """The regular expression of a checked pattern, for a match of the whole path. Raises PatternError."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            part, at = _stars(pattern, at)
            # Two in a row match what one matches, and take far longer to say no.
            if not (out and out[-1] == part):
                out.append(part)
        elif char == "?":
            out.append(_ANY)
        elif char == "[":
            part, at = _set(pattern, at)
            out.append(part)
        elif char == "\\":
            out.append(_escaped(pattern, pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(_committed(out))


def _escaped(pattern: str, char: str) -> str:
    if not (char.isascii() and char.isalnum()):
        return re.escape(char)
    if char not in _ESCAPES:
        raise PatternError(
            f"the pattern {pattern} has \\{char}, which means nothing", f"write {char} without the backslash"
        )
    return _ESCAPES[char]


def _committed(parts: list[str]) -> list[str]:
    """The parts with every stretch from a star to the next one made atomic.

    What stands between two stars may as well match at the first place it can; trying the others makes a pattern of
    many stars take hours on a long name. Only inside one component: a set may match a slash.
    """
    out: list[str] = []
    start: int | None = None
    for part in parts:
        if part == _STAR:
            if start is not None:
                out[start:] = [f"(?>{_STAR}?{''.join(out[start + 1 :])})"]
            start = len(out)
        elif part[0] in "([." or part == "/":
            start = None if part != _ANY else start
        out.append(part)
    return out


def _stars(pattern: str, at: int) -> tuple[str, int]:
    """What the star before ``at`` matches, together with a second one and the slash after that."""
    if not pattern.startswith("*", at):
        return _STAR, at
    at += 1
    if pattern.startswith("/", at):
        at += 1
    return (".*" if at == len(pattern) else "(?:.*/)?"), at


def _set(pattern: str, at: int) -> tuple[str, int]:
    """The set whose bracket opens before ``at``. It may match a slash."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not (ranges and pattern.startswith("]", at)):
        low, at = _set_member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _set_member(pattern, at + 1)
        if high < low:
            raise PatternError(f"the range {low}-{high} in the pattern {pattern} is empty", f"write {high}-{low}")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return f"[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _set_member(pattern: str, at: int) -> tuple[str, int]:
    at += pattern.startswith("\\", at)
    return pattern[at], at + 1
