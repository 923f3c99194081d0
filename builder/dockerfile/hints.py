"""What may have been meant by a line that is no instruction of a Dockerfile, or not quite one. Pure."""

import re
from collections.abc import Iterable, Sequence

from builder.dockerfile.flags import nearest

_STAGE_NAME = "a name starts with a letter; letters, digits and single - _ . between them may follow"
_BEGINNINGS = (
    (r"//|/\*|--|;", "a comment starts with #"),
    (r"[<|=>]{7}", "it marks a conflict of a merge: decide for one side, and take the marks out"),
    (r"```", "it is a mark of Markdown: take it out"),
)
_HEREDOC = r"<<-?['\"]?\w"
_TAKE_HEREDOCS = {"RUN", "COPY", "ADD", "ONBUILD"}
_LONGEST = 40


def visible(word: str) -> str:
    """``word`` with what nobody sees in it spelt out."""
    return "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in word)


def unknown_instruction(word: str, text: str, above: str, known: Iterable[str]) -> str:
    """``text``: the whole line; ``above``: the instruction before it, ``""`` for none."""
    known = tuple(known)
    odd = next((char for char in word if not char.isprintable()), None)
    if odd is not None:
        return f"it has an invisible character in it, U+{ord(odd):04X}: write it again"
    near = nearest(word.upper(), known)
    if near is not None:
        return f"did you mean {near}?"
    return next((hint for begin, hint in _BEGINNINGS if re.match(begin, word)), None) or _not_one(
        word, text, above, known
    )


def _not_one(word: str, text: str, above: str, known: Sequence[str]) -> str:
    if re.search(_HEREDOC, above) and above.split(maxsplit=1)[0].upper() not in _TAKE_HEREDOCS:
        return "only RUN, COPY and ADD take heredocs: the instruction above ends with its line"
    if re.fullmatch(r"[a-z][a-z0-9_.+-]*", word):
        shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
        return f"for a command write RUN {shown}; if it continues the line above, that one has to end in a backslash"
    return f"a line that goes on ends in a backslash; there are {', '.join(known)}"


def from_words(words: Sequence[str]) -> str:
    """For a FROM that has neither one argument nor three."""
    if any(word.startswith("#") for word in words):
        return "a comment needs a line of its own"
    if len(words) == 2 and words[1].lower() != "as" and re.fullmatch(r"\w[\w.-]*", words[1]):
        return f"write FROM {words[0]} AS {words[1]}"
    return "write FROM image, or FROM image AS name"


def stage_name(name: str) -> str:
    return "variables are not expanded here" if "$" in name else _STAGE_NAME
