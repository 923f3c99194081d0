"""Compression: deterministic bytes, all that is read, corrupt and truncated streams, bounded memory."""

import bz2
import gzip
import io
import lzma
import random
import threading
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from layers import threads
from layers.compress import NONE, Compression, default, detect, open_reader, open_writer, writer_id
from layers.errors import IntegrityError, PybuildError
from tests.bench.texts import prose

MIB = 1 << 20
_random = random.Random(20)
TEXT = b" ".join(_random.choices([b"layer", b"image", b"file", b"\0\0\0\0"], k=900_000))
MIXED = _random.randbytes(2 * MIB + 777) + bytes(3 * MIB) + TEXT
"""10 MiB: pieces that do not compress, that compress to nothing, and text."""


def compressed(data: bytes, compression: Compression, cut: Callable[[], int] = lambda: MIB) -> bytes:
    out = io.BytesIO()
    writer = open_writer(out.write, compression)
    at = 0
    while at < len(data):
        step = cut()
        writer.write(data[at : at + step])
        at += step
    writer.close()
    return out.getvalue()


def plain(stream: bytes, *, step: int = 5000, size: int = 70_000) -> bytes:
    source = io.BytesIO(stream)
    read = open_reader(lambda wanted: source.read(min(wanted, step)))
    parts = []
    while part := read(size):
        assert len(part) <= size
        parts.append(part)
    assert source.read() == b""
    return b"".join(parts)


WRITABLE = [
    NONE,
    default("gzip"),
    Compression("gzip", 0),
    Compression("gzip", 1),
    default("zstd"),
    Compression("zstd", 1),
]


@pytest.mark.parametrize("compression", WRITABLE, ids=str)
def test_round_trip_whatever_the_cuts(compression: Compression) -> None:
    cuts = random.Random(1)
    whole = compressed(MIXED, compression)
    assert plain(whole) == MIXED
    assert compressed(MIXED, compression, lambda: cuts.randint(1, 3 * MIB)) == whole
    assert compressed(MIXED, compression, lambda: len(MIXED)) == whole
    assert plain(compressed(b"", compression)) == b""


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bytes_do_not_depend_on_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = set()
    for count in (1, 2, 7):
        monkeypatch.setattr(threads, "processors", lambda count=count: count)
        monkeypatch.setattr("layers.compress.processors", lambda count=count: count)
        made.add(compressed(MIXED, default(kind)))
    assert len(made) == 1


def test_gzip_is_one_member_for_other_readers() -> None:
    stream = compressed(MIXED, default("gzip"))
    assert stream[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(stream) == MIXED
    single = zlib.decompressobj(31)
    assert single.decompress(stream) == MIXED
    assert single.eof
    assert single.unused_data == b""
    assert len(stream) < len(gzip.compress(MIXED, 6)) * 1.02


def test_what_does_not_compress_is_stored() -> None:
    noise = random.Random(2).randbytes(3 * MIB + 5)
    stream = compressed(noise, default("gzip"))
    assert len(stream) < len(noise) + 400
    assert gzip.decompress(stream) == noise


def test_zstd_is_one_frame_with_checksum() -> None:
    stream = compressed(MIXED, default("zstd"))
    assert zstandard.get_frame_parameters(stream).has_checksum
    single = zstandard.ZstdDecompressor().decompressobj()
    assert single.decompress(stream) == MIXED
    assert single.unused_data == b""


SKIPPABLE = b"\x53\x2a\x4d\x18\x04\0\0\0abcd"
OTHERS = {
    "gzip of two members": gzip.compress(TEXT[:5000]) + gzip.compress(TEXT[5000:]),
    "gzip with an empty member": gzip.compress(TEXT) + gzip.compress(b""),
    "gzip padded with zeros": gzip.compress(TEXT) + bytes(300_000),
    "bzip2 of two streams": bz2.compress(TEXT[:5000]) + bz2.compress(TEXT[5000:]),
    "xz of two streams": lzma.compress(TEXT[:5000]) + bytes(8) + lzma.compress(TEXT[5000:]),
    "zstd of two frames": zstandard.compress(TEXT[:5000]) + zstandard.compress(TEXT[5000:]),
    "zstd with skippable frames": SKIPPABLE + zstandard.compress(TEXT) + SKIPPABLE,
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("step", [1000, MIB])
def test_streams_of_others(name: str, step: int) -> None:
    assert detect(OTHERS[name][:6]) == name.partition(" ")[0]
    assert plain(OTHERS[name], step=step) == TEXT


@pytest.mark.parametrize("first", [b"", b"\x1f\x8b", b"BZh", b"BZhx", b"plain text", b"\x28\xb5\x2f"])
def test_what_is_not_compressed(first: bytes) -> None:
    assert detect(first) == "none"
    assert plain(first) == first


STREAMS = {
    "gzip": compressed(TEXT[:MIB], default("gzip")),
    "zstd": compressed(TEXT[:MIB], default("zstd")),
    "bzip2": bz2.compress(TEXT[:MIB]),
    "xz": lzma.compress(TEXT[:MIB]),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_truncated(kind: str) -> None:
    stream = STREAMS[kind]
    for length in (10, len(stream) // 2, len(stream) - 9, len(stream) - 1):
        with pytest.raises(IntegrityError, match=f"the {kind} stream is truncated"):
            plain(stream[:length])


@pytest.mark.parametrize("kind", STREAMS)
def test_corrupt(kind: str) -> None:
    stream = bytearray(STREAMS[kind])
    stream[len(stream) // 2 : len(stream) // 2 + 8] = b"corrupt!"
    with pytest.raises(IntegrityError, match=f"the {kind} stream is (corrupt|truncated)"):
        plain(bytes(stream))


@pytest.mark.parametrize("kind", STREAMS)
def test_garbage_behind(kind: str) -> None:
    with pytest.raises(IntegrityError, match=f"the {kind} stream is (corrupt|truncated)"):
        plain(STREAMS[kind] + b"something else, and more of it")


def test_errors_of_the_source_pass_through() -> None:
    source = io.BytesIO(bz2.compress(TEXT)[:20_000])

    def read(size: int) -> bytes:
        if data := source.read(min(size, 5000)):
            return data
        raise OSError("the disk is gone")

    reader = open_reader(read)
    with pytest.raises(OSError, match="the disk is gone"):
        while reader(MIB):
            pass


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_bombs_are_read_in_bounded_memory(kind: str) -> None:
    """256 MiB of zeros."""
    zeros = bytes(64 * MIB)
    part = ENCODERS[kind](zeros)
    del zeros
    read = open_reader(io.BytesIO(part * 4).read)
    tracemalloc.start()
    try:
        total = 0
        while data := read(MIB):
            total += len(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 256 * MIB
    assert peak < 140 * MIB


def test_xz_that_wants_gigabytes() -> None:
    encoder = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    small = encoder.compress(b"x" * 100) + encoder.flush()
    assert plain(small) == b"x" * 100
    # The dictionary's size is one byte of the block header (xz file format 5.3.1): 36 stands for 1 GiB.
    block = bytearray(small[12:24])
    block[block.index(b"\x21\x01") + 2] = 36
    block[-4:] = zlib.crc32(bytes(block[:-4])).to_bytes(4, "little")
    with pytest.raises(IntegrityError, match="corrupt"):
        plain(small[:12] + bytes(block) + small[24:])


def test_kinds_and_levels_are_checked() -> None:
    with pytest.raises(PybuildError, match="bzip2 is not a compression"):
        default("bzip2")
    for wrong in (Compression("gzip", 10), Compression("zstd", 0), Compression("none", 1)):
        with pytest.raises(PybuildError, match="no compression level"):
            open_writer(lambda _: None, wrong)


def test_writers_name_their_library() -> None:
    assert writer_id(NONE) == "none"
    assert writer_id(default("gzip")).startswith("zlib-ng 2.")
    assert writer_id(default("zstd")).startswith("zstd 1.")


def test_an_error_of_the_sink_ends_the_threads() -> None:
    before = set(threading.enumerate())
    calls = 0

    def fail(_: bytes | memoryview) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise OSError("no space")

    writer = open_writer(fail, default("gzip"))
    with pytest.raises(OSError, match="no space"):
        for _ in range(40):
            writer.write(TEXT[:MIB])
    writer.cancel()
    assert set(threading.enumerate()) <= before


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=8), st.sampled_from(WRITABLE))
def test_small_round_trips(parts: list[bytes], compression: Compression) -> None:
    data = b"".join(parts)
    stream = compressed(data, compression, lambda: 100)
    if compression != NONE:
        assert plain(stream, step=7, size=11) == data


WORTH = prose(random.Random(3), MIB // 4) * 4
"""A MiB of which level 6 makes a tenth less than level 5."""


def deflated(data: bytes, level: int) -> int:
    return len(compressed(data, Compression("gzip", level)))


def test_pieces_that_hardly_gain_are_made_faster_in_groups() -> None:
    """The sample of the first of four speaks for all four; a fifth asks again."""
    worth, not_worth = WORTH, random.Random(4).randbytes(MIB // 2).hex().encode()
    assert deflated(not_worth, 5) <= deflated(not_worth, 6) * 1.05
    assert deflated(not_worth * 4, 6) == deflated(not_worth * 4, 5)
    assert deflated(worth * 4, 6) < deflated(worth * 4, 5)
    mixed = not_worth + worth * 3
    assert deflated(mixed, 6) == deflated(mixed, 5)
    more = deflated(mixed + worth, 6) - deflated(mixed, 6)
    assert more < deflated(mixed + worth, 5) - deflated(mixed, 5)


def test_what_does_not_shrink_says_nothing_of_the_rest_of_its_group() -> None:
    noise = MIXED[:MIB]
    assert deflated(noise + WORTH, 6) < deflated(noise + WORTH, 5)
