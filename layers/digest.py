"""Digests, and the distinct names for what a digest identifies (OCI image-spec, descriptor.md, "Digests")."""

import hashlib
from typing import NewType, Self

from layers.tuples import NamedTuple

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_HEX = "0123456789abcdef"


class _Parts(NamedTuple):
    algorithm: str
    hex: str


class Digest(_Parts):
    """``algorithm:hex``. Raises ValueError for anything that is not a registered algorithm with its exact length."""

    __slots__ = ()

    def __new__(cls, algorithm: str, hex: str) -> Self:
        if _HEX_LENGTH.get(algorithm) != len(hex) or hex.strip(_HEX):
            raise ValueError(f"not a digest: {algorithm}:{hex[:140]}")
        return super().__new__(cls, algorithm, hex)

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
