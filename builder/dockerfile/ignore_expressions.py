r"""The regular expression of a pattern of an ignore file, with the quirks of the one that BuildKit makes. Pure.

moby's patternmatcher rewrites a pattern letter by letter to an expression for Go, in sets as well: ``[*]`` becomes
``[[^/]*]``, which matches no star. So this does the same first, and then says in Python's words what Go makes of it.
"""

import re

_STAR = "[^/]*"
_ANY = "[^/]"
_ALL = ".*"
_DIRECTORIES = "(.*/)?"
_REPEATED = frozenset({_STAR, _ALL, "(?:.*/)?"})
_ESCAPED = frozenset(".+()|{}$")
_LETTERS = dict(zip("afnrtv", "\a\f\n\r\t\v", strict=True))
_PLACES = {"A": r"\A", "b": r"(?a:\b)", "B": r"(?a:\B)", "z": r"\Z"}
_CLASSES = {"d": "09", "s": "\t\n\f\r  ", "w": "09AZ__az"}
"""Of what follows a backslash; the first and last character of each range."""
_NAMED = {
    "alnum": "09AZaz",
    "alpha": "AZaz",
    "ascii": "\0\x7f",
    "blank": "\t\t  ",
    "cntrl": "\0\x1f\x7f\x7f",
    "digit": "09",
    "graph": "!~",
    "lower": "az",
    "print": " ~",
    "punct": "!/:@[`{~",
    "space": "\t\r  ",
    "upper": "AZ",
    "word": "09AZ__az",
    "xdigit": "09AFaf",
}
"""Of ``[:name:]`` in a set, likewise."""


class PatternError(ValueError):
    """A pattern that is malformed."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def expression(pattern: str) -> str:
    """For a match of the whole path. Raises PatternError for what Go does not understand."""
    text = _rewritten(pattern)
    out: list[str] = []
    at = 0
    while at < len(text):
        part, at = _part(pattern, text, at)
        # Two in a row match what one matches, and take far longer to say no.
        if not (part in _REPEATED and out and out[-1] == part):
            out.append(part)
    return "".join(_committed(out))


def _rewritten(pattern: str) -> str:
    """As moby's patternmatcher does it, without regard to sets."""
    out = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            part, at = _stars(pattern, at)
            out.append(part)
        elif char == "\\":
            out.append(pattern[at - 1 : at + 1])
            at += 1
        else:
            out.append(_ANY if char == "?" else f"\\{char}" if char in _ESCAPED else char)
    return "".join(out)


def _stars(pattern: str, at: int) -> tuple[str, int]:
    """What the star before ``at`` matches, together with a second one and the slash after that."""
    if not pattern.startswith("*", at):
        return _STAR, at
    at += 1
    if pattern.startswith("/", at):
        at += 1
    return (_ALL if at == len(pattern) else _DIRECTORIES), at


def _part(pattern: str, text: str, at: int) -> tuple[str, int]:
    """What stands at ``at`` of the rewritten ``text``, for Python, and where it ends."""
    if text.startswith(_DIRECTORIES, at):
        return "(?:.*/)?", at + len(_DIRECTORIES)
    if text.startswith(_ALL, at):
        return _ALL, at + len(_ALL)
    match text[at]:
        case "[":
            return _repeated(text, *_set(pattern, text, at + 1))
        case "^":
            return "(?:^)", at + 1  # moby does not escape it, so it is the start of the path
        case "\\":
            return _escape(pattern, text[at + 1 : at + 2]), at + 2
        case char:
            return re.escape(char), at + 1


def _repeated(text: str, part: str, at: int) -> tuple[str, int]:
    """The set that ends before ``at`` and the star of which it is, or that has ended it.

    Possessive, since many of them would take hours to say no: other than in Go where what follows is in the set too, as
    the bracket is in that of ``[^*]``.
    """
    if not text.startswith("*", at):
        return part, at
    return (_STAR if part == _ANY else f"{part}*+"), at + 1


def _escape(pattern: str, letter: str) -> str:
    if letter == "":
        return r"\$(?s:.*)"  # a last backslash escapes the $ that moby ends the expression with
    if letter in _PLACES:
        return _PLACES[letter]
    found = _class(letter)
    return f"[{found}]" if found is not None else re.escape(_escaped(pattern, letter))


def _set(pattern: str, text: str, at: int) -> tuple[str, int]:
    """The set whose bracket opens before ``at``. It may match a slash."""
    negated = text.startswith("^", at)
    at += negated
    members: list[str] = []
    while not (members and text.startswith("]", at)):
        found, end = _class_of_set(pattern, text, at)
        if found is None:
            found, end = _range(pattern, text, at)
        members.append(found)
        at = end
    return f"[{'^' if negated else ''}{''.join(members)}]", at + 1


def _class_of_set(pattern: str, text: str, at: int) -> tuple[str | None, int]:
    if text.startswith("\\", at) and at + 1 < len(text):
        return _class(text[at + 1]), at + 2
    end = text.find(":]", at + 2) if text.startswith("[:", at) else -1
    if end < 0:
        return None, at
    name = text[at + 2 : end]
    if name.removeprefix("^") not in _NAMED:
        raise PatternError(f"the set in the pattern {pattern} has an unknown class", f"[:{name}:] is none")
    return _ranges(_NAMED[name.removeprefix("^")], negated=name.startswith("^")), end + 2


def _range(pattern: str, text: str, at: int) -> tuple[str, int]:
    low, at = _member(pattern, text, at)
    if not text.startswith("-", at) or text.startswith("-]", at):
        return re.escape(low), at
    high, at = _member(pattern, text, at + 1)
    if high < low:
        raise PatternError(f"the range {low}-{high} in the pattern {pattern} is empty", f"write {high}-{low}")
    return f"{re.escape(low)}-{re.escape(high)}", at


def _member(pattern: str, text: str, at: int) -> tuple[str, int]:
    if at + text.startswith("\\", at) >= len(text):
        raise PatternError(f"the set in the pattern {pattern} is not closed", "write \\[ for the character itself")
    if text[at] == "\\":
        return _escaped(pattern, text[at + 1]), at + 2
    return text[at], at + 1


def _class(letter: str) -> str | None:
    """What ``\\d`` and the like are in a set; upper case is everything else."""
    pairs = _CLASSES.get(letter.lower())
    return _ranges(pairs, negated=letter.isupper()) if pairs is not None else None


def _ranges(pairs: str, *, negated: bool) -> str:
    """Of ranges in order, what stands in a set of Python's."""
    if negated:
        bounds = [chr(ord(char) + (1 if at % 2 else -1)) if char != "\0" else "" for at, char in enumerate(pairs)]
        pairs = "".join(("\0", *bounds, chr(0x10FFFF))) if bounds[0] else "".join((*bounds[1:], chr(0x10FFFF)))
    both = zip(pairs[::2], pairs[1::2], strict=True)
    return "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in both if low <= high)


def _escaped(pattern: str, char: str) -> str:
    """The character that a backslash and ``char`` stand for."""
    if char.isascii() and not char.isalnum():
        return char
    if char not in _LETTERS:
        raise PatternError(
            f"the pattern {pattern} has \\{char}, which means nothing", f"write {char} without the backslash"
        )
    return _LETTERS[char]


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
