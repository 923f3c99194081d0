"""Blobs on their way: taken up after a break, written by one at a time."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from layers.blobs import Blobs
from layers.digest import BlobDigest, Digest
from tests.support.registries import make_blobs

DATA = bytes(range(256)) * 1000
DIGEST = BlobDigest(Digest.of(DATA))


class GaveUp(Exception):
    pass


def never() -> None:
    raise AssertionError("nobody is waited for")


def write(blobs: Blobs, data: bytes) -> None:
    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        partial.write(data)


def test_what_came_is_taken_up(tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)
    write(blobs, DATA[:1000])
    assert not blobs.has(DIGEST)
    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        assert partial.size == 1000
        assert partial.found != str(DIGEST)
        partial.write(DATA[1000:])
        assert partial.complete
        partial.commit()
    with blobs.open(DIGEST, len(DATA)) as reader:
        reader.drain()
    assert list((tmp_path / "partial").iterdir()) == []
    with blobs.partial(DIGEST, never) as again:
        assert again is None
    assert list((tmp_path / "partial").iterdir()) == []


def test_a_full_disk_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = make_blobs(tmp_path)
    with pytest.raises(OSError, match="No space"), blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        partial.write(DATA[:10])

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            partial.write(DATA[10:20])
    assert list((tmp_path / "partial").iterdir()) == []


def test_an_error_keeps_what_came(tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)
    with pytest.raises(GaveUp), blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        partial.write(DATA[:10])
        raise GaveUp
    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        assert partial.size == 10
        partial.restart()
    assert list((tmp_path / "partial").iterdir()) == []


def test_others_wait_for_who_writes(tmp_path: Path) -> None:
    """And find the blob when they are let in."""
    blobs = make_blobs(tmp_path)
    found: list[object] = []

    def second() -> None:
        with blobs.partial(DIGEST, lambda: None) as partial:
            found.append(partial)

    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.25)
        assert found == []
        partial.write(DATA)
        partial.commit()
    thread.join()
    assert found == [None]


def test_waiting_can_be_given_up(tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)

    def check() -> None:
        raise GaveUp

    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        with pytest.raises(GaveUp), blobs.partial(DIGEST, check):
            pass
        partial.write(DATA[:5])
    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        assert partial.size == 5


def test_sweeping_leaves_what_is_being_written(tmp_path: Path) -> None:
    blobs = make_blobs(tmp_path)
    assert blobs.sweep() == 0
    write(blobs, DATA)
    with blobs.partial(DIGEST, never) as partial:
        assert partial is not None
        assert blobs.sweep() == 0
        assert partial.size == len(DATA)
    assert blobs.sweep() >= len(DATA)
    assert list((tmp_path / "partial").iterdir()) == []
