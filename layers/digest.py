"""Digests, and the distinct names for what a digest identifies (OCI image-spec, descriptor.md, "Digests")."""

import hashlib
import re
from dataclasses import dataclass
from typing import NewType, Self

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm:hex``. Raises ValueError for anything that is not a registered algorithm with its exact length."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        if _HEX_LENGTH.get(self.algorithm) != len(self.hex) or not _HEX.match(self.hex):
            raise ValueError(f"not a digest: {self.algorithm}:{self.hex[:140]}")

    @classmethod
    def parse(cls, text: str) -> Self:
        algorithm, _, digits = text.partition(":")
        return cls(algorithm, digits)

    @classmethod
    def of(cls, data: bytes) -> Self:
        return cls("sha256", hashlib.sha256(data).hexdigest())

    @classmethod
    def from_raw(cls, raw: bytes) -> Self:
        """From the 32 bytes of a SHA-256."""
        return cls("sha256", raw.hex())

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


DiffId = NewType("DiffId", Digest)
"""Digest of a layer's uncompressed tar stream (OCI image-spec, config.md, "Layer DiffID")."""

BlobDigest = NewType("BlobDigest", Digest)
"""Digest of the bytes of a blob as stored or sent."""

CacheKey = NewType("CacheKey", Digest)
"""Identity of a build step; see builder.plan.keys."""

LayerId = NewType("LayerId", int)
"""Local number of a layer in one store. Never part of a key, never leaves the machine."""

Rootfs = tuple[LayerId, ...]
"""A root filesystem: its layers, lowest first. ``()`` is scratch."""
