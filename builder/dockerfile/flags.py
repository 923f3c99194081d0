"""Flags of instructions: ``--name=value`` words between an instruction's name and its arguments. Pure."""

from collections.abc import Iterable, Mapping
from enum import Enum

from builder.dockerfile.blanks import BLANKS, SPACE
from layers.tuples import NamedTuple


class FlagWord(NamedTuple):
    """``word`` with quotes and escapes removed; ``offset`` and ``width`` say where it stands in the value."""

    word: str
    offset: int
    width: int


class SplitFlags(NamedTuple):
    flags: tuple[FlagWord, ...]
    rest: str


class Kind(Enum):
    BOOL = "bool"
    STRING = "string"
    STRINGS = "strings"


_COPY = {
    "chown": Kind.STRING,
    "chmod": Kind.STRING,
    "link": Kind.BOOL,
    "exclude": Kind.STRINGS,
}

FLAGS: Mapping[str, Mapping[str, Kind]] = {
    "FROM": {"platform": Kind.STRING},
    "RUN": {"mount": Kind.STRINGS, "network": Kind.STRING, "security": Kind.STRING, "device": Kind.STRINGS},
    "COPY": {**_COPY, "from": Kind.STRING, "parents": Kind.BOOL},
    "ADD": {**_COPY, "checksum": Kind.STRING, "keep-git-dir": Kind.BOOL, "unpack": Kind.BOOL},
    "HEALTHCHECK": {
        "interval": Kind.STRING,
        "timeout": Kind.STRING,
        "start-period": Kind.STRING,
        "start-interval": Kind.STRING,
        "retries": Kind.STRING,
    },
}
"""Every flag of every instruction; an instruction that is not here has none."""


class FlagError(ValueError):
    """A flag that cannot be taken; ``flag`` is the word with its place."""

    def __init__(self, message: str, flag: FlagWord, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.flag = flag
        self.hint = hint


class Flags:
    """The flags given to one instruction, looked up by name and kind. An empty string counts as not given."""

    __slots__ = ("_values", "_words")

    def __init__(self, values: Mapping[str, tuple[str, ...]], words: Mapping[str, FlagWord]) -> None:
        self._values = values
        self._words = words

    def text(self, name: str) -> str | None:
        values = self._values.get(name)
        return (values[-1] or None) if values else None

    def texts(self, name: str) -> tuple[str, ...]:
        return self._values.get(name, ())

    def switch(self, name: str) -> bool | None:
        values = self._values.get(name)
        return values[-1] == "true" if values else None

    def word(self, name: str) -> FlagWord:
        """Where the last flag of this name stands."""
        return self._words[name]


def split_flags(value: str, escape: str) -> SplitFlags:
    """Take the leading ``--`` words off. A bare ``--`` ends them; quotes and escapes may stand anywhere in one."""
    flags: list[FlagWord] = []
    at = 0
    while True:
        while value[at : at + 1] != "" and value[at] in BLANKS:
            at += 1
        if not value.startswith("--", at):
            break
        word, end = _read_word(value, at, escape)
        if word == "--":
            at = end
            break
        flags.append(FlagWord(word, at, end - at))
        at = end
    return SplitFlags(tuple(flags), value[at:].strip(SPACE))


def _read_word(value: str, at: int, escape: str) -> tuple[str, int]:
    """The word that starts at ``at``, and where it ends. A quote that is never closed ends with the text."""
    out: list[str] = []
    quote = ""
    while at < len(value):
        char = value[at]
        at += 1
        if char == escape:
            out.append(value[at : at + 1])
            at += 1
        elif quote != "":
            if char == quote:
                quote = ""
            else:
                out.append(char)
        elif char in "'\"":
            quote = char
        elif char in BLANKS:
            return "".join(out), at - 1
        else:
            out.append(char)
    return "".join(out), len(value)


def parse_flags(keyword: str, words: Iterable[FlagWord]) -> Flags:
    """The flags of the instruction ``keyword``. Raises FlagError for an unknown, repeated or malformed one."""
    known = FLAGS.get(keyword, {})
    values: dict[str, tuple[str, ...]] = {}
    places: dict[str, FlagWord] = {}
    for flag in words:
        head, equals, value = flag.word.partition("=")
        name = head[2:]
        kind = known.get(name)
        if kind is None:
            raise FlagError(f"{keyword} has no flag {head}", flag, _hint(keyword, name, known))
        if name in values and kind is not Kind.STRINGS:
            raise FlagError(f"the flag {head} stands twice", flag, "keep one of the two")
        if kind is Kind.BOOL:
            value = _bool(flag, head, value if equals else "true")
        elif equals == "":
            raise FlagError(f"the flag {head} needs a value", flag, f"write {head}=VALUE, without a blank")
        values[name] = (*values.get(name, ()), value)
        places[name] = flag
    return Flags(values, places)


def _bool(flag: FlagWord, head: str, value: str) -> str:
    lowered = value.lower()
    if lowered not in ("true", "false"):
        problem = f"the flag {head} is true or false, not {value}" if value else f"the flag {head} has an empty value"
        raise FlagError(problem, flag, f"write {head}, {head}=true or {head}=false")
    return lowered


def _hint(keyword: str, name: str, known: Mapping[str, Kind]) -> str:
    near = name.lower() if name.lower() in known else nearest(name, known)
    if near is not None:
        return f"did you mean --{near}?"
    if not known:
        return f"{keyword} has no flags; an argument that begins with -- can follow a bare --"
    others = " and ".join(other for other, flags in FLAGS.items() if name in flags)
    return (f"it is for {others}; " if others else "") + f"{keyword} has " + ", ".join(f"--{each}" for each in known)


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that is at most two edits away, the first of the nearest; None when there is none."""
    best, least = None, 3
    for candidate in candidates:
        if abs(len(candidate) - len(word)) < least:
            distance = _distance(word, candidate)
            if 0 < distance < least:
                best, least = candidate, distance
    return best


def _distance(left: str, right: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(right) + 1))
    for number, char in enumerate(left, 1):
        diagonal, row[0] = row[0], number
        for at, other in enumerate(right, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (char != other))
    return row[-1]
