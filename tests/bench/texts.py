"""Text that compresses as real text does, by the megabyte. Pure: a generator decides."""

import itertools
import random

WORDS = (
    *("static", "const", "struct", "return", "buffer", "length", "if", "else", "while", "for", "size_t", "NULL"),
    *("request", "response", "handler", "context", "session", "cache", "key", "value", "error", "index", "queue"),
)
_GLUE = (" = ", "(", ");\n", ".", ", ", " => {\n  ", "\n}\n", ": ", ";\n    ", " && ", "[", "]", " !== ", "'", "\n")
_KEYWORDS = (
    "const ",
    "return ",
    "function ",
    "if (",
    "export ",
    "import ",
    "this.",
    "await ",
    "new ",
    "module.exports",
)
_SYLLABLES = ("get", "set", "Node", "Value", "is", "Type", "on", "Event", "parse", "Path", "with", "Option", "State")
_NAMES = 3000
_RECENT = 400
_VLQ = ("AAAA", "SAAS", "CAAC", "GAAG", "IAAI", "MAAM", "EAAE", "OAAO", "KAAK", "QAAQ", "UAAU", "aAAa", "YAAY", "gBAAg")


def prose(rng: random.Random, size: int) -> bytes:
    """Words of few kinds: small texts only, it is slow."""
    words: list[str] = []
    length = 0
    while length < size:
        word = rng.choice(WORDS) if rng.random() < 0.9 else f"v{rng.randrange(1000)}"
        words.append(word + ("\n" if rng.random() < 0.15 else " "))
        length += len(words[-1])
    return "".join(words).encode()[:size]


def code(rng: random.Random, size: int) -> bytes:
    """Statements of names, keywords and signs; some names are common and most are rare, and phrases recur nearby."""
    names = ["".join(rng.choices(_SYLLABLES, k=rng.randrange(1, 4))) + _suffix(rng) for _ in range(_NAMES)]
    weights = [1 / (rank + 3) for rank in range(_NAMES)]
    return _repeating(rng, size, [*_KEYWORDS, *names], [0.08] * len(_KEYWORDS) + weights, fresh=0.36)


def mappings(rng: random.Random, size: int) -> bytes:
    """As in source maps: short groups of base 64."""
    letters = "ABCDEGHIKLMOQSUWYacegik"
    single = [*_VLQ, *("".join(rng.choices(letters, k=4)) for _ in range(_NAMES))]
    groups = [*single, *(f"{rng.choice(_VLQ)},{rng.choice(single)}" for _ in range(_NAMES))]
    weights = [1 / (rank + 2) for rank in range(len(groups))]
    return _repeating(rng, size, groups, weights, fresh=0.4, glue=(",", ",", ",", ";"))


def _suffix(rng: random.Random) -> str:
    return "" if rng.random() < 0.7 else str(rng.randrange(100))


def _repeating(
    rng: random.Random,
    size: int,
    tokens: list[str],
    weights: list[float],
    *,
    fresh: float,
    glue: tuple[str, ...] = _GLUE,
) -> bytes:
    """Phrases of four tokens; a share of them is ``fresh``, the others were among the last few hundred."""
    totals = list(itertools.accumulate(weights))
    recent: list[str] = []
    phrases: list[str] = []
    length = 0
    while length < size:
        if len(recent) < _RECENT or rng.random() < fresh:
            words, signs = rng.choices(tokens, cum_weights=totals, k=4), rng.choices(glue, k=4)
            phrase = "".join(itertools.chain.from_iterable(zip(words, signs, strict=True)))
            if len(recent) < _RECENT:
                recent.append(phrase)
            else:
                recent[int(rng.random() * _RECENT)] = phrase
        else:
            phrase = recent[int(rng.random() * _RECENT)]
        phrases.append(phrase)
        length += len(phrase)
    return "".join(phrases).encode()[:size]
