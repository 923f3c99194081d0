"""Image references: ``[host[:port]/]repository[:tag][@digest]``, with Docker's defaults. Pure.

Errors are worded as those of the distribution project's reference package, which Docker and BuildKit show.
"""

import re
from typing import Self

from layers.digest import Digest
from layers.errors import PybuildError
from layers.names import DEFAULT_HOST, DEFAULT_TAG, GRAMMAR, OFFICIAL, split_host
from layers.tuples import NamedTuple

_MAX_REPOSITORY = 255

_IDENTIFIER = r"[a-f0-9]{64}\Z"


class InvalidReference(PybuildError):
    code = "invalid-reference"

    def __init__(self, text: str, problem: str) -> None:
        super().__init__(f'"{text}": {problem}', hint="image names look like host:5000/path/name:tag, in lower case")


class Reference(NamedTuple):
    """``str()`` gives the full name, ``familiar`` the one people write; ``parse`` takes both."""

    host: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``docker.io`` and ``library/`` are put in as Docker does; no tag is. Raises InvalidReference."""
        if re.match(_IDENTIFIER, text):
            raise InvalidReference(
                text, f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )
        host, rest = split_host(text)
        repository = rest.partition(":")[0]
        if repository.lower() != repository:
            raise InvalidReference(text, f"invalid reference format: repository name ({repository}) must be lowercase")
        found = re.match(GRAMMAR, f"{host}/{rest}")
        if found is None:
            raise InvalidReference(text, "invalid reference format")
        if len(found[2]) > _MAX_REPOSITORY:
            raise InvalidReference(text, f"repository name must not be more than {_MAX_REPOSITORY} characters")
        return cls(found[1], found[2], found[3], None if found[4] is None else _digest(text, found[4]))

    def tagged(self) -> Self:
        """With tag ``latest`` when there is neither a tag nor a digest."""
        return self if self.tag or self.digest else self._replace(tag=DEFAULT_TAG)

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.host}/{self.repository}"

    def __str__(self) -> str:
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """Without the defaults: ``debian:12`` for ``docker.io/library/debian:12``."""
        if self.host != DEFAULT_HOST:
            return str(self)
        short = self.repository.removeprefix(OFFICIAL)
        return (self.repository if "/" in short else short) + self._suffix()

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def _digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except ValueError as error:
        raise InvalidReference(text, "unsupported digest algorithm or invalid checksum digest length") from error
