"""Sizes as the registry has them."""

import gzip
import random
import zlib
from pathlib import Path

import pytest

from tests.bench.registry import zlib_size


@pytest.mark.parametrize("members", [1, 3])
def test_zlib_size_is_of_the_stream_in_all_members(tmp_path: Path, members: int) -> None:
    text = bytes(random.Random(1).choices(b"abcdefgh", k=3_000_000))
    piece = len(text) // members
    blob = tmp_path / "blob"
    blob.write_bytes(b"".join(gzip.compress(text[at : at + piece], 1) for at in range(0, len(text), piece)))
    expected = zlib.compressobj(6, zlib.DEFLATED, 31)
    assert zlib_size(blob) == len(expected.compress(text)) + len(expected.flush())


def test_zlib_size_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(ValueError, match="blob"):
        zlib_size(tmp_path / "blob")
