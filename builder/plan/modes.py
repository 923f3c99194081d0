"""Words of ``--chmod``: octal, or symbolic as BSD's chmod(1) has them (``u=rwX,go=rX``). Pure.

Differences to GNU's chmod that BuildKit has too: no umask; ``X`` looks at the mode before the change; a permission
copied (``g=u``) leaves set-id bits alone.
"""

import re

from layers.tuples import NamedTuple

MAX_MODE = 0o7777
_OCTAL = r"[0-7]+\Z"
_SET_ID = {"u": 0o4000, "g": 0o2000}
_CLASS = {"u": 0o700, "g": 0o070, "o": 0o007}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_ALL = 0o6777
_STICKY = 0o1000
_EXECUTE = 0o111


class BadMode(ValueError):
    """A word that is no mode."""


class _Change(NamedTuple):
    """``kind``: ``+ -`` (bits), ``X`` (bits, where something may be executed), ``u g o`` (copy from that class)."""

    kind: str
    bits: int
    operator: str = ""


class Mode(NamedTuple):
    """``octal`` is the mode itself, None for a symbolic word, whose ``changes`` are done to each file's own mode."""

    octal: int | None
    changes: tuple[_Change, ...] = ()

    def apply(self, mode: int, *, directory: bool) -> int:
        if self.octal is not None:
            return self.octal
        before = mode
        for kind, bits, operator in self.changes:
            if kind == "+":
                mode |= bits
            elif kind == "-":
                mode &= ~bits
            elif kind == "X":
                if directory or before & _EXECUTE:
                    mode |= bits
            else:
                mode = _copied(mode, kind, bits, operator)
        return mode

    @property
    def for_parents(self) -> int:
        """Mode of directories made on the way: mkdir takes the permission bits only, and nothing symbolic."""
        return 0o755 if self.octal is None else self.octal & 0o777


def parse_mode(word: str) -> Mode:
    """Raises BadMode, with the reason."""
    if re.match(_OCTAL, word):
        if len(word.lstrip("0")) > 4 or int(word, 8) > MAX_MODE:
            raise BadMode("it should be octal string and between 0 and 07777")
        return Mode(int(word, 8))
    if word[:1].isdigit():
        raise BadMode("it should be octal string and between 0 and 07777")
    changes: list[_Change] = []
    for clause in word.split(","):
        changes += _clause(clause)
    return Mode(None, tuple(changes))


def _copied(mode: int, source: str, classes: int, operator: str) -> int:
    value = mode >> _SHIFT[source] & 7
    for name, bits in _CLASS.items():
        if not classes & bits:
            continue
        if operator in "-=":
            mode &= ~((value if operator == "-" else 7) << _SHIFT[name])
        if operator in "+=":
            mode |= value << _SHIFT[name]
    return mode


def _clause(text: str) -> list[_Change]:
    at = 0
    who = 0
    while text[at : at + 1] in {*"augo"}:
        who |= _ALL if text[at] == "a" else _CLASS[text[at]] | _SET_ID.get(text[at], 0)
        at += 1
    changes: list[_Change] = []
    if at == len(text):
        raise BadMode("an operator (+, - or =) is missing")
    while at < len(text):
        operator = text[at]
        if operator not in "+-=":
            raise BadMode(f"{operator!r} is no operator (+, - or =) and no permission (rwxXstugo)")
        end = at + 1
        while end < len(text) and text[end] in "rwxXstugo":
            end += 1
        changes += _action(who, operator, text[at + 1 : end])
        at = end
    return changes


class _Pending:
    """Permissions of one action read so far and not yet turned into changes."""

    def __init__(self, who: int, operator: str) -> None:
        self.who = who
        self.operator = operator
        self.bits = 0
        self.execute = 0
        self.cleared = False
        self.changes: list[_Change] = []

    def _limit(self, bits: int) -> int:
        return bits & self.who if self.who else bits

    def flush(self, *, last: bool) -> None:
        if self.bits or (last and self.operator == "=" and not self.cleared):
            if self.operator == "=":
                self.changes.append(_Change("-", self.who or _ALL))
                self.cleared = True
            self.changes.append(_Change("-" if self.operator == "-" else "+", self._limit(self.bits)))
            self.bits = 0
        if self.execute and last:
            self.changes.append(_Change("X", self._limit(self.execute)))

    def copy(self, source: str) -> None:
        self.flush(last=False)
        self.cleared = self.cleared or self.operator == "="
        if self.execute:
            self.changes.append(_Change("X", self._limit(self.execute)))
            self.execute = 0
        self.changes.append(_Change(source, self.who & 0o777 if self.who else 0o777, self.operator))


def _action(who: int, operator: str, permissions: str) -> list[_Change]:
    pending = _Pending(who, operator)
    # Of "others" alone there are no set-id and sticky bits.
    special = not who or bool(who & ~0o007)
    for letter in permissions:
        if letter in "ugo":
            pending.copy(letter)
        elif letter == "X" and operator != "-":
            pending.execute = _EXECUTE
        elif letter == "s":
            pending.bits |= 0o6000 if special else 0
        elif letter == "t":
            if special:
                pending.who |= _STICKY
                pending.bits |= _STICKY
        else:
            pending.bits |= _BITS[letter.lower()]
    pending.flush(last=True)
    return pending.changes
