"""Patterns inside ``${name#pattern}`` and its kin: ``*``, ``?`` and literal characters. Pure.

Matched without regular expressions, in time proportional to pattern times value: a pattern of many stars makes a
backtracking matcher run for hours. Neither ``*`` nor ``?`` matches a newline, as in BuildKit.
"""

STAR = "*"
ANY = "?"
_LITERAL = "="
UNLIMITED = 1 << 62
"""Characters a replacement may make when nobody limits it."""


def tokens(pattern: str) -> tuple[str, ...]:
    r"""``STAR``, ``ANY`` or ``"=" + character``, one for each element of the pattern.

    A backslash makes ``*``, ``?`` and itself literal; before ``}`` and ``/`` it is dropped. ValueError for any other.
    """
    found: list[str] = []
    characters = iter(pattern)
    for char in characters:
        if char in (STAR, ANY):
            found.append(char)
        elif char != "\\":
            found.append(_LITERAL + char)
        else:
            following = next(characters, "")
            if following == "" or following not in "*?\\}/":
                raise ValueError(f"\\{following} is not an escape")
            found.append(_LITERAL + following)
    return tuple(found)


def match_prefix(pattern: tuple[str, ...], value: str, *, longest: bool) -> int | None:
    """Where the shortest or longest prefix of ``value`` that matches ends; None when there is none."""
    found: int | None = None
    states = _closure({0}, pattern)
    for at in range(len(value) + 1):
        if len(pattern) in states:
            found = at
            if not longest:
                return found
        if at == len(value) or not states:
            break
        states = _closure(_step(states, pattern, value[at]), pattern)
    return found


def replace(
    pattern: tuple[str, ...], value: str, replacement: str, *, every: bool, limit: int = UNLIMITED
) -> str | None:
    """``value`` with the leftmost longest match replaced, or every such match from left to right.

    An empty match right after another match does not count. None when more than ``limit`` characters would be put in.
    """
    out: list[str] = []
    done = 0
    put_in = 0
    start = 0
    while start <= len(value):
        match = _search(pattern, value, start)
        if match is None:
            break
        out.append(value[done : match[0]])
        if match[1] > done or match[0] == 0:
            put_in += len(replacement)
            if put_in > limit:
                return None
            out.append(replacement)
        done = match[1]
        if not every:
            break
        start = max(start + 1, match[1])
    out.append(value[done:])
    return "".join(out)


def _search(pattern: tuple[str, ...], value: str, start: int) -> tuple[int, int] | None:
    """The leftmost match from ``start`` on, the longest of those. States remember where their match began."""
    end = len(pattern)
    best: tuple[int, int] | None = None
    states: dict[int, int] = {}
    for at in range(start, len(value) + 1):
        if best is None:
            states.setdefault(0, at)
        states = _closure_from(states, pattern)
        if end in states and (best is None or states[end] <= best[0]):
            best = (states[end], at)
        if best is not None:
            states = {state: begin for state, begin in states.items() if begin <= best[0]}
        if at == len(value) or (best is not None and not states):
            break
        states = _step_from(states, pattern, value[at])
    return best


def _closure(states: set[int], pattern: tuple[str, ...]) -> set[int]:
    """States reachable without a character: a star may match nothing."""
    for state in tuple(states):
        after = state
        while after < len(pattern) and pattern[after] == STAR:
            after += 1
            states.add(after)
    return states


def _step(states: set[int], pattern: tuple[str, ...], char: str) -> set[int]:
    following: set[int] = set()
    for state in states:
        if state == len(pattern):
            continue
        token = pattern[state]
        if token == STAR:
            if char != "\n":
                following.add(state)
        elif token == _LITERAL + char or (token == ANY and char != "\n"):
            following.add(state + 1)
    return following


def _closure_from(states: dict[int, int], pattern: tuple[str, ...]) -> dict[int, int]:
    for state, begin in tuple(states.items()):
        after = state
        while after < len(pattern) and pattern[after] == STAR:
            after += 1
            states[after] = min(begin, states.get(after, begin))
    return states


def _step_from(states: dict[int, int], pattern: tuple[str, ...], char: str) -> dict[int, int]:
    following: dict[int, int] = {}
    for state, begin in states.items():
        if state == len(pattern):
            continue
        token = pattern[state]
        if token == STAR:
            if char != "\n":
                following[state] = min(begin, following.get(state, begin))
        elif token == _LITERAL + char or (token == ANY and char != "\n"):
            following[state + 1] = min(begin, following.get(state + 1, begin))
    return following
