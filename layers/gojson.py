"""JSON exactly as Go's encoding/json writes it, and typed access to parsed documents. Pure.

Digests are of bytes, so equal documents must have equal bytes: BuildKit, containerd and the Docker engine all write
their configs and manifests with Go's encoder (HTML characters escaped, invalid UTF-8 replaced).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from layers.errors import InvalidImage

MAX_DOCUMENT = 8 << 20
"""Longest config, manifest or index read, in bytes; registries refuse manifests over 4 MiB."""

_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_SURROGATE = "[\ud800-\udfff]"
_SIGNS = (rb"\ud", rb"\uD", b"\xed")
"""What has none of them has no surrogate: as an escape, or as the three bytes that ``json.loads`` takes for one."""


def dumps(document: Any, *, indent: int | None = None) -> bytes:
    """As ``json.Marshal`` writes it, or ``json.MarshalIndent`` with ``indent`` spaces. Keys keep their order.

    Lone surrogates (bytes that were not UTF-8) become U+FFFD.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(document, ensure_ascii=False, separators=separators, indent=indent)
    text = text.translate(_ESCAPES)
    return (text if text.isascii() else re.sub(_SURROGATE, r"\\ufffd", text)).encode()


def loads(raw: bytes, what: str) -> dict[str, Any]:
    """The object in ``raw``. Raises InvalidImage, naming ``what``, for anything else.

    Lone surrogates, which an escape can spell and no program can be given, become U+FFFD, as Go reads them.
    """
    if len(raw) > MAX_DOCUMENT:
        raise InvalidImage(f"{what} is {len(raw)} bytes long, more than the {MAX_DOCUMENT} allowed")
    try:
        document = json.loads(raw)
        if any(sign in raw for sign in _SIGNS):
            document = _scalars(document)
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidImage(f"{what} is not a JSON object")
    return document


def _scalars(value: Any) -> Any:
    match value:
        case str():
            return re.sub(_SURROGATE, "\ufffd", value)
        case list():
            return [_scalars(item) for item in value]
        case dict():
            return {_scalars(key): _scalars(item) for key, item in value.items()}
        case _:
            return value


class Reader:
    """The fields of one object, checked for their types; JSON null counts as absent, as in Go.

    Every method raises InvalidImage that names the document and the key.
    """

    __slots__ = ("_document", "_what")

    def __init__(self, document: Mapping[str, Any], what: str) -> None:
        self._document = document
        self._what = what

    def _get(self, key: str, kind: type, name: str) -> Any:
        value = self._document.get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            raise self.error(f"{key!r} is not {name}")
        return value

    def error(self, problem: str) -> InvalidImage:
        return InvalidImage(f"{self._what}: {problem}")

    def text(self, key: str) -> str:
        value: str = self._get(key, str, "a string") or ""
        return value

    def integer(self, key: str) -> int:
        value: int = self._get(key, int, "a whole number") or 0
        return value

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, "true or false"))

    def child(self, key: str) -> "Reader | None":
        value = self._get(key, dict, "an object")
        return None if value is None else Reader(value, f"{self._what}: {key}")

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._get(key, list, "a list")
        if value is None:
            return None
        if not all(isinstance(item, str) for item in value):
            raise self.error(f"{key!r} is not a list of strings")
        return tuple(value)

    def children(self, key: str) -> "tuple[Reader, ...]":
        value: Sequence[Any] = self._get(key, list, "a list") or ()
        if not all(isinstance(item, dict) for item in value):
            raise self.error(f"{key!r} is not a list of objects")
        return tuple(Reader(item, f"{self._what}: {key}[{number}]") for number, item in enumerate(value))

    def pairs(self, key: str) -> tuple[tuple[str, str], ...]:
        """A map of strings, in the document's order."""
        value: Mapping[str, Any] = self._get(key, dict, "an object") or {}
        if not all(isinstance(item, str) for item in value.values()):
            raise self.error(f"{key!r} is not a map of strings")
        return tuple(value.items())

    def names(self, key: str) -> tuple[str, ...]:
        """The keys of a map whose values mean nothing."""
        value: Mapping[str, Any] = self._get(key, dict, "an object") or {}
        return tuple(value)

    def rest(self, known: frozenset[str]) -> dict[str, Any]:
        """What is in the object beside the ``known`` keys."""
        return {key: value for key, value in self._document.items() if key not in known}
