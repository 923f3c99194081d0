"""A context's listings as they are packed: the same layer and the same index as entry by entry, whatever happens."""

import os
import random
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.plan.context import open_context
from builder.plan.contextmemory import NOTHING_KNOWN
from builder.plan.graph import CopyOp
from builder.plan.select import select
from builder.solve import pouring
from builder.solve.copy import copy_items
from builder.solve.unchanged import changed
from layers import stretches
from layers.beside import Beside
from layers.entry import Entry, Kind
from layers.errors import PybuildError, SourceChanged
from layers.index import Index
from layers.indexing import Indexer
from layers.listed import Item, Stretch, expanded
from layers.tarwrite import write_tar
from layers.view import Stack
from tests.support.beside import kill_at, watch_starts
from tests.support.trees import MemoryTree, write_tree

NEVER = 1 << 60
NOW_NS = 10**18


class Made(NamedTuple):
    """A layer's tar, and what its index says."""

    tar: bytes
    records: list[tuple[Entry, bytes | None]]


def items(
    root: Path, to: str = "/o/p", chown: str | None = None, chmod: str | None = None, *, settled: bool = False
) -> list[Item]:
    """``settled``: as if the context were looked at an hour from now."""
    op = CopyOp(("/",), to, chown, chmod, False)
    late = 3600 * 10**9 if settled else 0
    context = open_context(str(root), None, NOTHING_KNOWN, clock_ns=lambda: time.time_ns() + late)
    selection = select(op, context, None)
    selection.digest()
    below = Stack(())
    return list(changed(copy_items(op, selection, below, NOW_NS), below))


def pack(found: Iterable[Item], index: Path, *, listed: bool = True) -> Made:
    parts: list[bytes] = []
    with Indexer(str(index), MemoryTree) as indexer:
        write_tar(
            found if listed else expanded(found),
            lambda data: parts.append(bytes(data)),
            seen=indexer.add,
            records=indexer.add_records,
        )
        indexer.finish()
    return Made(b"".join(parts), list(Index(str(index))))


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Item]], Made]:
    """What processes make, which must be what is made without them."""
    monkeypatch.setattr(stretches, "MANY", 1)

    def compared(found: list[Item]) -> Made:
        expected = pack(found, tmp_path / "expected", listed=False)
        made = pack(found, tmp_path / "made")
        assert made == expected
        return made

    return compared


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return watch_starts(monkeypatch)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def tree(root: Path, number: int = 200, seed: int = 1) -> Path:
    rng = random.Random(seed)
    for at in range(number):
        size = rng.choice([0, 1, 511, 512, 513, 4096, rng.randrange(20_000)])
        name = f"d{at % 7}/{'e' * (at % 3 * 60 + 1)}{at % 5}/n{at}" if at % 2 else f"d{at % 7}/m{at}"
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.randbytes(size))
        os.utime(path, ns=(at, at * 10**9 + 7))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """All that a context may have."""
    root = tree(tmp_path / "root")
    write_tree(root, {"large/l": b"x" * (stretches.CONTENT + 5), "large/m": b"y" * 200_000, "etc/passwd": b"a:x:1:1\n"})
    (root / "empty/below").mkdir(parents=True)
    (root / "d1/link").symlink_to("../" * 40 + "x" * 90)
    (root / "d1/\udcff\udc80").write_bytes(b"no text")
    (root / "d2/own").write_bytes(b"attributes")
    os.setxattr(root / "d2/own", "user.note", b"n")
    os.mkfifo(root / "d2/fifo")
    (root / "d2").chmod(0o2750)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "d2/socket"))
    (root / "twice").mkdir()
    (root / "twice/a").write_bytes(b"one file")
    (root / "d3/z").hardlink_to(root / "twice/a")
    (root / "twice/b").hardlink_to(root / "twice/a")
    return root


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("chown", [None, "7:8", "3000000:1"])
def test_the_same_layer(
    root: Path, both: Callable[[list[Item]], Made], started: list[str], chown: str | None, settled: bool
) -> None:
    found = items(root, chown=chown, settled=settled)
    assert {item.settled for item in found if isinstance(item, Stretch)} == {settled}
    assert sum(isinstance(item, Stretch) for item in found) > 5
    both(found)
    assert started == ["layers.stretchworker"] * stretches.WORKERS


def test_the_bytes_of_accounts_are_in_the_index(root: Path, both: Callable[[list[Item]], Made]) -> None:
    made = both(items(root, "/new/"))
    assert b"a:x:1:1" in made.tar
    shutil.rmtree(root / "d2")
    op = CopyOp(("/etc",), "/etc", None, None, False)
    context = open_context(str(root), None, NOTHING_KNOWN)
    found = list(copy_items(op, select(op, context, None), Stack(()), NOW_NS))
    assert any(isinstance(item, Stretch) for item in found)
    assert "a:x:1:1" in str(both(found).records)


@given(st.lists(st.integers(0, 6000), max_size=80), st.tuples(st.integers(1, 12), st.integers(1000, 9000)))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_anywhere(
    tmp_path: Path,
    both: Callable[[list[Item]], Made],
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    most: tuple[int, int],
) -> None:
    names, content = most
    for module in (pouring, stretches):
        monkeypatch.setattr(module, "NAMES", names)
        monkeypatch.setattr(module, "CONTENT", content)
    root = tmp_path / "cut"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir()
    for at, size in enumerate(sizes):
        path = root / f"{at % 3}" / f"{at % 2}" / f"{at}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([at]) * size)
    found = items(root)
    assert all(item.size <= names for item in found if isinstance(item, Stretch))
    both(found)


def test_modes_and_what_is_there_go_entry_by_entry(root: Path) -> None:
    assert not any(isinstance(item, Stretch) for item in items(root, chmod="u+x"))
    op = CopyOp(("/",), "/", None, None, False)
    context = open_context(str(root), None, NOTHING_KNOWN)
    below = MemoryTree({"d1/link": b"another"})
    found = list(changed(copy_items(op, select(op, context, None), below, NOW_NS), below))
    assert not any(isinstance(item, Stretch) and item.path == b"d1" for item in found)


@pytest.mark.parametrize("how", ["gone", "shorter", "longer", "link", "directory", "content", "in place", "folder"])
@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("name", ["d0/m0", "d6/m188"])
def test_a_file_that_changed(root: Path, monkeypatch: pytest.MonkeyPatch, how: str, settled: bool, name: str) -> None:
    monkeypatch.setattr(stretches, "MANY", 1)
    path = root / name
    path.write_bytes(b"before")
    found = items(root, settled=settled)
    match how:
        case "in place":
            before = path.stat()
            path.write_bytes(b"beforE")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        case _:
            path.unlink()
    match how:
        case "shorter":
            path.write_bytes(b"befor")
        case "longer":
            path.write_bytes(b"before that")
        case "link":
            path.symlink_to("m")
        case "directory":
            path.mkdir()
        case "content":
            path.write_bytes(b"beforE")
        case "folder":
            shutil.rmtree(path.parent)
        case _:
            pass
    errors = []
    for listed in (False, True):
        with pytest.raises(SourceChanged) as caught:
            pack(found, root.parent / "index", listed=listed)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_process_that_died_is_not_missed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    monkeypatch.setattr(stretches, "MANY", 1)
    monkeypatch.setattr(stretches, "NAMES", 20)
    monkeypatch.setattr(pouring, "NAMES", 20)
    found = items(root)
    expected = pack(found, tmp_path / "expected", listed=False)
    asked = kill_at(monkeypatch, answers)
    assert pack(found, tmp_path / "made") == expected
    assert len(asked) > answers


@pytest.mark.parametrize("call", ["os.memfd_create", "os.ftruncate", "mmap.mmap"])
def test_no_memory_to_share(
    call: str,
    root: Path,
    both: Callable[[list[Item]], Made],
    monkeypatch: pytest.MonkeyPatch,
    started: list[str],
) -> None:
    found = items(root)

    def refused(*_: object) -> int:
        raise OSError("no")

    with monkeypatch.context() as without:
        without.setattr(call, refused)
        before = open_descriptors()
        with Indexer(str(root.parent / "index"), MemoryTree) as indexer:
            parts: list[bytes] = []
            write_tar(found, lambda data: parts.append(bytes(data)), seen=indexer.add, records=indexer.add_records)
        assert open_descriptors() == before
    assert started == []
    assert both(found).tar == b"".join(parts)


def test_names_that_no_layer_can_hold(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "MANY", 1)
    (root / "d5/.wh.x").write_bytes(b"")
    closed: list[str] = []
    close = Beside.close

    def counted(self: Beside) -> None:
        close(self)
        closed.append(self._module)

    monkeypatch.setattr(Beside, "close", counted)
    with pytest.raises(PybuildError, match=r"d5/\.wh\.x"):
        pack(items(root), tmp_path / "index")
    assert closed.count("layers.stretchworker") == stretches.WORKERS


def test_few_need_no_process(root: Path, tmp_path: Path, started: list[str]) -> None:
    found = items(root)
    assert pack(found, tmp_path / "a") == pack(found, tmp_path / "b", listed=False)
    assert started == []


def test_records_after_names_out_of_order(root: Path, tmp_path: Path, both: Callable[[list[Item]], Made]) -> None:
    """An index that has begun to sort goes on with what processes give it."""
    found = items(root)

    def disordered() -> Iterator[Item]:
        first = next(entry for entry in expanded(found) if entry.kind is Kind.FILE)
        yield first._replace(path=b"z/z")
        yield first._replace(path=b"a/a")
        yield from found

    made = both(list(disordered()))
    assert [entry.path for entry, _ in made.records if entry.path[:1] in b"az"] == [b"a", b"a/a", b"z", b"z/z"]
