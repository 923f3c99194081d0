"""One pass from entries to a blob: its digests, its errors, its threads."""

import hashlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.compress import NONE, Compression, default, open_reader
from layers.digest import Digest
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import SourceChanged
from layers.pack import pack
from layers.tarfmt import write_tar


def many(count: int = 200, size: int = 30_000) -> list[Entry]:
    return [
        Entry(b"%04d" % number, Kind.FILE, 0o644, size=size, source=BytesSource(bytes([number % 256]) * size))
        for number in range(count)
    ]


@pytest.mark.parametrize("compression", [NONE, default("gzip"), default("zstd")], ids=str)
@pytest.mark.parametrize("entries", [[], many(3, 10), many()], ids=["empty", "small", "large"])
def test_digests_and_sizes(compression: Compression, entries: list[Entry]) -> None:
    tar, blob = io.BytesIO(), io.BytesIO()
    write_tar(entries, tar.write, clamp=5)
    packed = pack(entries, blob.write, compression, clamp=5)
    assert packed.diff_id == Digest.of(tar.getvalue())
    assert packed.tar_size == len(tar.getvalue())
    assert packed.blob == Digest.of(blob.getvalue())
    assert packed.blob_size == len(blob.getvalue())
    read = open_reader(io.BytesIO(blob.getvalue()).read)
    assert b"".join(iter(lambda: read(1 << 20), b"")) == tar.getvalue()


def test_seen_is_called_in_order_with_digests() -> None:
    seen: list[tuple[bytes, bytes | None]] = []
    pack(many(3), lambda _: None, NONE, seen=lambda entry, digest: seen.append((entry.path, digest)))
    assert seen == [(b"%04d" % number, hashlib.sha256(bytes([number]) * 30_000).digest()) for number in range(3)]


@pytest.mark.parametrize("compression", [NONE, default("gzip"), default("zstd")], ids=str)
def test_errors_end_everything(compression: Compression, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    gone = Entry(b"zz", Kind.FILE, size=3, source=FileSource(os.fsencode(tmp_path / "gone")))
    with pytest.raises(SourceChanged):
        pack([*many(), gone], lambda _: None, compression)

    def broken() -> Iterator[Entry]:
        yield from many()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(broken(), lambda _: None, compression)

    def full(_: bytes | memoryview) -> None:
        raise OSError("no space")

    for entries in (many(), many(1, 10)):
        with pytest.raises(OSError, match="no space"):
            pack(entries, full, compression)
    assert set(threading.enumerate()) <= before


def test_a_slow_sink_holds_the_reader_back() -> None:
    """Queues are bounded: while the sink takes nothing, reading stops."""
    read = 0
    waited: list[int] = []

    def counted() -> Iterator[Entry]:
        nonlocal read
        for entry in many(60, 1 << 20):
            read += 1
            yield entry

    def slow(_: bytes | memoryview) -> None:
        if not waited:
            before = -1
            while read != before:  # until the reader stands still
                before = read
                pause.wait(0.1)
            waited.append(read)

    pause = threading.Event()
    pack(counted(), slow, NONE)
    assert read == 60
    assert waited[0] < 30
