"""The secrets of a build: read when a step asks for one, from where ``--secret`` said, and kept nowhere."""

from collections.abc import Iterable

from builder.grants import SecretSource
from layers.errors import PybuildError

MAX_SECRET = 500 << 10
"""Bytes; BuildKit's limit."""


class Secrets:
    """Thread-safe: holds nothing but names."""

    def __init__(self, sources: Iterable[SecretSource]) -> None:
        self._sources = {source.id: source for source in sources}

    def get(self, id: str) -> bytes | None:
        """The bytes of a secret; None when nobody gave it. Raises PybuildError for one that is too large, OSError."""
        source = self._sources.get(id)
        if source is None:
            return None
        if source.path is None:
            data = source.value or b""
        else:
            with open(source.path, "rb") as file:
                data = file.read(MAX_SECRET + 1)
        if len(data) > MAX_SECRET:
            raise PybuildError(
                f"secret {id}: larger than {MAX_SECRET >> 10} KiB",
                hint="a secret is a password, a token or a key; mount files with type=bind",
                code="secret",
            )
        return data

    def names(self) -> tuple[str, ...]:
        return tuple(self._sources)
