"""Small files read by a process beside: the same stream, the same digests, the same errors, whatever becomes of it."""

import hashlib
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layers import tarbatches
from layers.beside import Beside
from layers.content import SMALL
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import PybuildError, SourceChanged
from layers.tarwrite import write_tar
from tests.support.beside import kill_at, watch_starts

NEVER = 1 << 60
Made = tuple[bytes, list[tuple[Entry, bytes | None]]]


def made(entries: Sequence[Entry], *, hashed: bool = True) -> Made:
    parts: list[bytes] = []
    seen: list[tuple[Entry, bytes | None]] = []
    size = write_tar(
        entries,
        lambda data: parts.append(bytes(data)),
        clamp=5,
        seen=(lambda entry, digest: seen.append((entry, digest))) if hashed else None,
    )
    data = b"".join(parts)
    assert len(data) == size
    return data, seen


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Entry]], Made]:
    """What is made without a process; with one from the first file on otherwise."""
    monkeypatch.setattr(tarbatches, "MANY", 1)

    def write(entries: Sequence[Entry]) -> Made:
        with monkeypatch.context() as without:
            without.setattr(tarbatches, "MANY", NEVER)
            return made(entries)

    return write


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watch_starts(monkeypatch)


def files(root: Path, number: int = 300, seed: int = 1) -> list[Entry]:
    """Directories, links and files of all sizes around the limits of blocks and batches, some with known digests."""
    rng = random.Random(seed)
    entries = []
    for at in range(number):
        directory = b"d%03d" % at
        entries.append(Entry(directory, Kind.DIRECTORY, 0o755, mtime_ns=at * 10**9))
        size = rng.choice([0, 1, 511, 512, 513, 4096, rng.randrange(20_000), SMALL - 1, SMALL])
        if at % 71 == 3:
            size = SMALL + 1 + rng.randrange(100_000)
        path = root / f"{at}"
        path.write_bytes(rng.randbytes(size))
        digest = hashlib.sha256(path.read_bytes()).digest() if at % 3 else None
        name = directory + b"/" + b"n" * (at % 5 * 60 + 1)
        entries.append(Entry(name, Kind.FILE, 0o644, size=size, source=FileSource(os.fsencode(path), digest)))
        if at % 11 == 0:
            entries.append(Entry(directory + b"/z", Kind.SYMLINK, 0o777, link=b"../x"))
        if at % 50 == 7:
            entries.append(Entry(directory + b"/zz", Kind.FILE, size=3, source=BytesSource(b"abc")))
            entries.append(Entry(directory + b"/zzz", Kind.HARDLINK, link=directory + b"/zz"))
    return entries


def test_the_same_stream(tmp_path: Path, alone: Callable[[Sequence[Entry]], Made], started: list[str]) -> None:
    entries = files(tmp_path)
    expected = alone(entries)
    assert started == []
    assert made(entries) == expected
    assert made(entries, hashed=False) == (expected[0], [])
    assert started == ["layers.readworker"] * 2


@given(st.lists(st.integers(0, 3000), max_size=60), st.integers(1, 5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sizes(
    tmp_path: Path,
    alone: Callable[[Sequence[Entry]], Made],
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    slots: int,
) -> None:
    monkeypatch.setattr(tarbatches, "SLOT", 4096 * slots + 2048)
    monkeypatch.setattr(tarbatches, "SMALL", 2048)
    entries = []
    for at, size in enumerate(sizes):
        path = tmp_path / f"{at}"
        path.write_bytes(bytes([at]) * size)
        entries.append(Entry(b"%03d" % at, Kind.FILE, size=size, source=FileSource(os.fsencode(path))))
    assert made(entries) == alone(entries)


@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "longer by a block", "link", "directory", "content"])
@pytest.mark.parametrize("place", [1, 150, 297])
def test_a_file_that_changed(
    tmp_path: Path, alone: Callable[[Sequence[Entry]], Made], how: str, place: int, started: list[str]
) -> None:
    entries = files(tmp_path)
    path = tmp_path / f"{place}"
    data = path.read_bytes() or b"-"
    path.unlink()
    match how:
        case "shorter":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"x")
        case "longer by a block":
            path.write_bytes(data + b"x" * 512)
        case "link":
            path.symlink_to("1")
        case "directory":
            path.mkdir()
        case "content":
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
            number = next(n for n, entry in enumerate(entries) if entry.source and entry.source[0] == os.fsencode(path))
            source = FileSource(os.fsencode(path), hashlib.sha256(data).digest())
            entries[number] = entries[number]._replace(source=source, size=len(data))
        case _:
            pass
    with pytest.raises(SourceChanged) as without:
        alone(entries)
    with pytest.raises(SourceChanged) as beside:
        made(entries)
    assert str(beside.value) == str(without.value)
    assert started != []


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_process_that_died_is_not_missed(
    tmp_path: Path, alone: Callable[[Sequence[Entry]], Made], monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    entries = files(tmp_path)
    expected = alone(entries)
    asked = kill_at(monkeypatch, answers)
    assert made(entries) == expected
    assert len(asked) > answers


@pytest.mark.parametrize("call", ["os.memfd_create", "os.ftruncate", "mmap.mmap"])
def test_no_memory_to_share(
    call: str,
    tmp_path: Path,
    alone: Callable[[Sequence[Entry]], Made],
    monkeypatch: pytest.MonkeyPatch,
    started: list[str],
) -> None:
    def refused(*_: object) -> int:
        raise OSError("no")

    monkeypatch.setattr(call, refused)
    entries = files(tmp_path, 20)
    assert made(entries) == alone(entries)
    assert started == []


def test_errors_end_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarbatches, "MANY", 1)
    closed: list[bool] = []
    close = Beside.close

    def counted(self: Beside) -> None:
        close(self)
        closed.append(True)

    monkeypatch.setattr(Beside, "close", counted)
    entries = [*files(tmp_path, 30), Entry(b"zz/.wh.x", Kind.FILE, source=BytesSource(b""))]
    with pytest.raises(PybuildError, match=r"\.wh\."):
        made(entries)
    assert closed == [True]


def test_few_need_no_process(tmp_path: Path, started: list[str]) -> None:
    made(files(tmp_path))
    assert started == []
