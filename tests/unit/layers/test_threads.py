"""What runs ahead of its reader gives the same bytes, the same error at the same place, and ends when it is closed."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.threads import ReadAhead


@given(st.binary(max_size=200), st.integers(1, 40), st.lists(st.integers(1, 60), min_size=1))
def test_gives_the_bytes_of_its_source(data: bytes, size: int, reads: list[int]) -> None:
    found = b""
    with ReadAhead(io.BytesIO(data).read, size=size, depth=2) as ahead:
        for number in range(len(data) + 1):
            piece = ahead.read(reads[number % len(reads)])
            assert len(piece) <= reads[number % len(reads)]
            if not piece:
                break
            found += piece
        assert ahead.read(1) == b""
    assert found == data


def test_an_error_comes_where_the_bytes_would_have() -> None:
    pieces = iter([b"one", b"two"])

    def read(size: int) -> bytes:
        piece = next(pieces, None)
        if piece is None:
            raise ValueError("broken")
        return piece

    with ReadAhead(read) as ahead:
        assert ahead.read(10) + ahead.read(10) == b"onetwo"
        with pytest.raises(ValueError, match="broken"):
            ahead.read(10)


def test_drain_meets_the_error_at_the_end() -> None:
    def read(size: int, pieces: list[bytes] = [b"x"] * 20) -> bytes:
        if not pieces:
            raise ValueError("digest")
        return pieces.pop()

    with ReadAhead(read, depth=2) as ahead:
        assert ahead.read(1) == b"x"
        with pytest.raises(ValueError, match="digest"):
            ahead.drain()


def test_closing_ends_a_thread_that_waits_for_room() -> None:
    before = set(threading.enumerate())
    with ReadAhead(lambda size: b"x" * size, size=1, depth=1) as ahead:
        assert ahead.read(1) == b"x"
        assert len(set(threading.enumerate()) - before) == 1
    assert set(threading.enumerate()) <= before
