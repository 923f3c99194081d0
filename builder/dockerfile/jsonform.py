"""The list form of arguments: ``["a", "b"]``. Pure."""

import json
from typing import NoReturn

from builder.dockerfile.blanks import SPACE


class NotStringsError(ValueError):
    """Valid JSON, but a member of the list is no string."""


def json_words(value: str) -> tuple[str, ...] | None:
    """The words of a JSON list; None for anything that is not valid JSON: then the text is meant as it stands.

    Raises NotStringsError.
    """
    text = value.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        # JSON knows neither NaN nor Infinity; numbers need no value, only to be noticed.
        words = json.loads(text.strip("\t\n\r "), parse_constant=_refuse, parse_int=_number, parse_float=_number)
    except RecursionError:
        raise NotStringsError from None
    except ValueError:
        return None
    if not all(isinstance(word, str) for word in words):
        raise NotStringsError
    return tuple(word if word.isascii() else _scalars(word) for word in words)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _number(digits: str) -> None:
    return None


def _scalars(word: str) -> str:
    """Lone surrogates, which an escape can spell and UTF-8 cannot, replaced."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in word)
