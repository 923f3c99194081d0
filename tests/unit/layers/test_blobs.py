import hashlib
import io
import os
from pathlib import Path

import pytest

from layers.blobs import CHUNK, Blobs
from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError, NotInStore


class Holder:
    """What a lease does for blobs, in a list."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.held: list[BlobDigest] = []
        self.count = 0

    def temporary(self, kind: str) -> str:
        self.count += 1
        return str(self.directory / f"{kind}-{self.count}")

    def hold_blob(self, digest: BlobDigest) -> None:
        self.held.append(digest)


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    (tmp_path / "tmp").mkdir()
    return Holder(tmp_path / "tmp")


@pytest.fixture
def blobs(tmp_path: Path, holder: Holder) -> Blobs:
    (tmp_path / "blobs").mkdir()
    return Blobs(str(tmp_path / "blobs"), holder)


def digest_of(data: bytes) -> BlobDigest:
    return BlobDigest(Digest.of(data))


def read_all(blobs: Blobs, digest: BlobDigest, size: int | None = None, step: int = 7) -> bytes:
    with blobs.open(digest, size) as reader:
        return b"".join(iter(lambda: reader.read(step), b""))


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 9000], ids=["empty", "one byte", "several chunks"])
def test_put_and_read(blobs: Blobs, holder: Holder, data: bytes) -> None:
    moved: list[int] = []
    assert blobs.put(io.BytesIO(data).read, progress=moved.append) == (digest_of(data), len(data))
    assert sum(moved) == len(data)
    assert read_all(blobs, digest_of(data), len(data), CHUNK) == data
    assert blobs.size(digest_of(data)) == len(data)
    assert digest_of(data) in holder.held
    assert list(blobs) == [digest_of(data)]
    assert not any(holder.directory.iterdir())


def test_other_bytes_than_expected_are_not_stored(blobs: Blobs, holder: Holder) -> None:
    with pytest.raises(IntegrityError, match="have the digest"):
        blobs.put(io.BytesIO(b"evil").read, digest_of(b"good"))
    assert list(blobs) == []
    assert not any(holder.directory.iterdir())


@pytest.mark.parametrize("size", [3, 5])
def test_another_size_than_expected_is_not_stored(blobs: Blobs, size: int) -> None:
    with pytest.raises(IntegrityError, match=f"not {size}"):
        blobs.put(io.BytesIO(b"four").read, digest_of(b"four"), size=size)
    assert list(blobs) == []


def test_a_stream_longer_than_its_size_is_not_read_to_its_end(blobs: Blobs) -> None:
    class Endless:
        taken = 0

        def read(self, size: int) -> bytes:
            self.taken += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(IntegrityError):
        blobs.put(endless.read, digest_of(b""), size=10)
    assert endless.taken <= 2 * CHUNK


def test_sha512(blobs: Blobs) -> None:
    expected = BlobDigest(Digest("sha512", hashlib.sha512(b"long").hexdigest()))
    assert blobs.put(io.BytesIO(b"long").read, expected) == (expected, 4)
    assert read_all(blobs, expected) == b"long"
    assert list(blobs) == [expected]


@pytest.mark.parametrize("damage", [b"good bytEs", b"good byte", b"good bytes!", b""])
def test_a_damaged_blob_is_noticed_at_the_end(blobs: Blobs, tmp_path: Path, damage: bytes) -> None:
    digest = blobs.put_bytes(b"good bytes")
    (tmp_path / "blobs" / "sha256" / digest.hex).write_bytes(damage)
    with pytest.raises(IntegrityError, match="damaged"):
        read_all(blobs, digest)
    with pytest.raises(IntegrityError):
        read_all(blobs, digest, 10)


def test_a_size_that_is_not_the_blobs(blobs: Blobs) -> None:
    digest = blobs.put_bytes(b"ten bytes.")
    assert read_all(blobs, digest, 10) == b"ten bytes."
    with pytest.raises(IntegrityError, match="not 11"):
        read_all(blobs, digest, 11)


def test_storing_again_repairs(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put_bytes(b"good bytes")
    (tmp_path / "blobs" / "sha256" / digest.hex).write_bytes(b"bad")
    blobs.put_bytes(b"good bytes")
    assert read_all(blobs, digest) == b"good bytes"


def test_missing(blobs: Blobs, holder: Holder) -> None:
    nothing = digest_of(b"nothing")
    assert not blobs.has(nothing)
    assert holder.held == []
    with pytest.raises(NotInStore):
        blobs.open(nothing)
    with pytest.raises(NotInStore):
        blobs.size(nothing)
    assert blobs.delete(nothing) == 0


def test_has_holds(blobs: Blobs, holder: Holder) -> None:
    digest = blobs.put_bytes(b"data")
    holder.held.clear()
    assert blobs.has(digest)
    assert holder.held == [digest]


def test_delete(blobs: Blobs) -> None:
    digest = blobs.put_bytes(bytes(10000))
    assert blobs.delete(digest) >= 10000
    assert not blobs.has(digest)


def test_a_writer_that_does_not_commit_leaves_nothing(blobs: Blobs, holder: Holder) -> None:
    with pytest.raises(RuntimeError, match="interrupted"), blobs.writer() as writer:
        writer.write(b"half")
        raise RuntimeError("interrupted")
    assert not any(holder.directory.iterdir())
    assert list(blobs) == []


@pytest.mark.parametrize("read_soon", [True, False])
def test_a_writer_of_what_is_not_read_soon_writes_the_same(blobs: Blobs, holder: Holder, read_soon: bool) -> None:
    data = os.urandom(10_000)
    with blobs.writer(read_soon=read_soon) as writer:
        for start in range(0, len(data), 999):
            writer.write(data[start : start + 999])
        writer.commit(digest_of(data), len(data))
    assert read_all(blobs, digest_of(data), len(data), CHUNK) == data
    assert not any(holder.directory.iterdir())


def test_commit_knows_how_much_was_written(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(memoryview(b"abc"))
        with pytest.raises(IntegrityError, match="3 bytes were written, not 4"):
            writer.commit(digest_of(b"abc"), 4)
    assert list(blobs) == []


def test_the_disk_begins_with_a_large_blob_before_its_end(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    advise = os.posix_fadvise

    def counted(descriptor: int, start: int, length: int, advice: int) -> None:
        begun.append((start, length))
        advise(descriptor, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", counted)
    data = os.urandom(1 << 20) * 20
    with blobs.writer() as writer:
        for start in range(0, len(data), 1 << 20):
            writer.write(data[start : start + (1 << 20)])
        digest = BlobDigest(Digest.of(data))
        writer.commit(digest, len(data))
    assert begun == [(0, 8 << 20), (8 << 20, 8 << 20)]
    with blobs.open(digest) as reader:
        assert reader.read(len(data) + 1) == data
