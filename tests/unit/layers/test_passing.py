"""Files that memory need not keep."""

import errno
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layers.passing import Passing

PAGE = os.sysconf("SC_PAGE_SIZE")
DONTCACHE = 0x80
write_at = os.pwritev


class Kernel:
    """Writes as the kernel does, at most ``most`` bytes at once, and refuses flags with ``refusal``."""

    def __init__(self, most: int = 1 << 30, refusal: Exception | None = None) -> None:
        self.most = most
        self.refusal = refusal
        self.calls: list[tuple[int, int, int]] = []

    def __call__(self, descriptor: int, parts: Sequence[memoryview], offset: int, flags: int = 0) -> int:
        if flags and self.refusal is not None:
            raise self.refusal
        data = b"".join(parts)[: self.most]
        self.calls.append((offset, len(data), flags))
        return write_at(descriptor, [data], offset)


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    opened = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    yield opened
    os.close(opened)


def fill(descriptor: int, data: bytes, cuts: Sequence[int]) -> None:
    os.ftruncate(descriptor, 0)
    file = Passing(descriptor)
    places = [0, *sorted(cuts), len(data)]
    for start, end in itertools.pairwise(places):
        piece = bytearray(data[start:end])
        file.write(memoryview(piece))
        piece[:] = bytes(len(piece))  # a caller may use its memory again
    file.end()


def content(descriptor: int) -> bytes:
    return os.pread(descriptor, 1 << 24, 0)


SIZES = st.integers(0, 5 * PAGE + 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=SIZES, cuts=st.lists(SIZES, max_size=8), most=st.sampled_from([100, PAGE, PAGE + 1, 1 << 30]))
def test_any_cuts_give_the_same_file(descriptor: int, size: int, cuts: list[int], most: int) -> None:
    data = os.urandom(size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", Kernel(most))
        fill(descriptor, data, [min(cut, size) for cut in cuts])
    assert content(descriptor) == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=SIZES, cuts=st.lists(SIZES, max_size=8))
def test_only_whole_pages_are_written_before_the_end(descriptor: int, size: int, cuts: list[int]) -> None:
    kernel = Kernel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pwritev", kernel)
        fill(descriptor, os.urandom(size), [min(cut, size) for cut in cuts])
    assert all(offset % PAGE == 0 and flags == DONTCACHE for offset, _, flags in kernel.calls)
    assert all(length % PAGE == 0 for _, length, _ in kernel.calls[:-1])


def test_the_kernel_of_this_machine(descriptor: int) -> None:
    data = os.urandom(3 * PAGE + 5)
    fill(descriptor, data, [1, PAGE, 2 * PAGE + 1])
    assert content(descriptor) == data


@pytest.mark.parametrize(
    "refusal", [OSError(errno.EOPNOTSUPP, "no"), OSError(errno.EINVAL, "no"), NotImplementedError("pwritev2")], ids=str
)
def test_without_the_flag_it_is_written_all_the_same(
    descriptor: int, refusal: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(refusal=refusal)
    monkeypatch.setattr(os, "pwritev", kernel)
    data = os.urandom(3 * PAGE + 5)
    fill(descriptor, data, [PAGE + 1])
    assert content(descriptor) == data
    assert {flags for _, _, flags in kernel.calls} == {0}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_what_goes_wrong_is_told(descriptor: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwritev", Kernel(refusal=OSError(number, "no")))
    with pytest.raises(OSError, match="no") as caught:
        fill(descriptor, bytes(PAGE), [])
    assert caught.value.errno == number
