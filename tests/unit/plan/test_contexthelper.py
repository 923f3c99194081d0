"""Hashing in a process beside: the same digests and errors, whatever becomes of the process."""

import hashlib
import io
import os
import signal
import time
from pathlib import Path

import pytest

from builder.errors import Cancelled
from builder.plan import ahead, contextworker
from builder.plan.ahead import Help
from builder.plan.context import open_context
from builder.plan.contexthelper import WAITING, ContextHelper
from builder.plan.contextmemory import NOTHING_KNOWN, Memories, Memory
from builder.plan.hashing import SMALL, Wanted, unchecked
from builder.plan.hostfiles import HostFiles
from layers.errors import SourceChanged
from layers.filedigests import stat_key
from layers.listed import UNKNOWN
from layers.store import Store
from tests.support.processes import descendants
from tests.support.trees import write_tree


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MANY", 3)


def listed(root: Path, *names: str) -> list[Wanted]:
    found = []
    for name in names:
        directory, _, last = name.rpartition("/")
        found.append(Wanted(directory.encode(), last.encode(), stat_key((root / name).stat())))
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    large = {"large": b"x" * (SMALL + 1), "full": b"y" * SMALL, "empty": b""}
    return write_tree(tmp_path / "root", {"a": b"1", "d/b": b"2", "d/e/c": b"3", **large})


def open_files(root: Path) -> HostFiles:
    return HostFiles(os.fsencode(root), None, Memory(NOTHING_KNOWN, 0), owners=False)


def helpers() -> list[int]:
    """Hashing processes below this one. What other tests left running (a store's syncing) is not meant."""
    return [process for process in descendants(os.getpid()) if b"contextworker" in command_of(process)]


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


NAMES = ("a", "large", "d/b", "d/e/c", "full", "empty")


def expected(root: Path) -> list[bytes]:
    return [hashlib.sha256((root / name).read_bytes()).digest() for name in NAMES]


def test_digests_in_order(root: Path) -> None:
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        for _ in range(3):
            assert helper.begin(listed(root, *NAMES)).result() == expected(root)
        assert helper.begin(listed(root, "a")).result() == expected(root)[:1]
        (process,) = helpers()
        assert os.getpgid(process) == process, "a terminal's interrupt does not reach it"
    assert not Path(f"/proc/{process}").exists()


def test_few_need_no_process(root: Path) -> None:
    """Until there is one: then it gets more than a few."""
    with Help(open_files(root), unchecked) as help:
        assert help.begin(listed(root, "a", "large")) is None
        assert helpers() == []
        first = help.begin(listed(root, *NAMES))
        assert first is not None
        assert first.result() == expected(root)
        assert help.begin(listed(root, *NAMES)) is None
        assert len(helpers()) == 1
    assert helpers() == []


def test_large_ones_are_hashed_here(root: Path) -> None:
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        assert helper.begin(listed(root, "large")).result() == expected(root)[1:2]
        assert helpers() == []


@pytest.mark.parametrize("how", ["content", "gone", "link", "larger"])
def test_a_file_that_changed_is_an_error(root: Path, how: str) -> None:
    wanted = listed(root, *NAMES)
    match how:
        case "content":
            (root / "d/b").write_bytes(b"9")
            os.utime(root / "d/b", ns=(1, 1))
        case "larger":
            (root / "d/b").write_bytes(b"9" * (SMALL + 9))
        case _:
            (root / "d/b").unlink()
            if how == "link":
                (root / "d/b").symlink_to("e/c")
    with ContextHelper(os.fsencode(root), None, unchecked) as helper, pytest.raises(SourceChanged):
        helper.begin(wanted).result()


@pytest.mark.parametrize("when", ["before", "during"])
def test_the_work_of_a_process_that_died_is_done_here(root: Path, when: str) -> None:
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        first = helper.begin(listed(root, *NAMES))
        (process,) = helpers()
        if when == "before":
            first.result()
        os.kill(process, signal.SIGKILL)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        if when == "before":
            first = helper.begin(listed(root, *NAMES))
        assert first.result() == expected(root)


def test_a_build_that_is_given_up_leaves_no_process(root: Path) -> None:
    given_up = False

    def check() -> None:
        if given_up:
            raise Cancelled("the build was cancelled")

    with ContextHelper(os.fsencode(root), None, check) as helper:
        pending = helper.begin(listed(root, *NAMES))
        given_up = True
        with pytest.raises(Cancelled):
            pending.result()
    assert helpers() == []


def test_a_context_of_many_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.plan.context.BATCH", 5)
    root = write_tree(tmp_path / "c", {f"d{n % 7}/f{n}": b"%d" % n for n in range(60)})
    with Store.open(str(tmp_path / "store")) as store:
        memories = Memories(store.file_digests, store.directories)
        with_process = list(open_context(str(root), None, memories).describe(b""))
    monkeypatch.setattr(ahead, "MANY", 1000)
    with Store.open(str(tmp_path / "other")) as store:
        memories = Memories(store.file_digests, store.directories)
        assert list(open_context(str(root), None, memories).describe(b"")) == with_process
    assert helpers() == []


def test_what_cannot_be_read_is_unknown(root: Path) -> None:
    device, inode, size, mtime_ns, ctime_ns = key = stat_key((root / "a").stat())
    longer, large = ((device, inode, other, mtime_ns, ctime_ns) for other in (size + 1, SMALL + 1))
    job = [(b"a", key), (b"none", key), (b"d", key), (b"a", longer), (b"large", large)]
    answer = io.BytesIO(contextworker.hashes(os.fsencode(root), job))
    assert [answer.read(32) for _ in range(6)] == [hashlib.sha256(b"1").digest(), *[UNKNOWN] * 4, b""]


def test_new_contexts_are_read_by_two(tmp_path: Path) -> None:
    """Each answers what it was asked, in whatever order that is wanted, and what one cannot do is left to the build."""
    root = write_tree(tmp_path / "c", {f"d{n}/f": b"%d" % n for n in range(4)})
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        stats = helper.walk([b"d0"], thorough=False)
        assert stats is not None
        assert [path for path, _ in stats.result()] == [b"d0"]
        assert len(helpers()) == 1
        given = [helper.walk([b"d%d" % n], thorough=True) for n in range(4)]
        assert len(helpers()) == 2
        for number in (3, 0, 2, 1):
            found = given[number]
            assert found is not None
            ((path, listing),) = found.result()
            assert (path, listing.digest(0)) == (b"d%d" % number, hashlib.sha256(b"%d" % number).digest())
        given = [helper.walk([b"d%d" % n], thorough=True) for n in range(4)]
        killed = helpers()[0]
        os.kill(killed, signal.SIGSTOP)
        os.kill(killed, signal.SIGKILL)
        os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
        answers = [len(list(found.result())) for found in given if found is not None]
        assert sum(answers) >= 2
        helper.walk([b"d0"], thorough=True)  # may be what shows that it is gone
        later = [helper.walk([b"d%d" % n], thorough=True) for n in range(3)]
        assert [len(list(found.result())) for found in later if found is not None] == [1] * 3, "the other does it all"
        left = helpers()
        os.kill(left[-1], signal.SIGKILL)
        os.waitid(os.P_PID, left[-1], os.WEXITED | os.WNOWAIT)
        last = helper.walk([b"d0"], thorough=True)
        assert last is None or list(last.result()) == []
        assert not helper.has_room(thorough=True)
    assert helpers() == []


def test_answers_about_what_comes_much_later_keep_nobody_from_work(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "c", {f"d{n}/f": b"%d" % n for n in range(WAITING + 1)})
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        given = [helper.walk([b"d%d" % n], thorough=False) for n in range(WAITING)]
        for _ in range(1000):
            if helper.has_room(thorough=False):
                break
            time.sleep(0.01)
        else:
            pytest.fail("what was answered counts as work")
        given.append(helper.walk([b"d%d" % WAITING], thorough=False))
        for number, found in reversed(list(enumerate(given))):
            assert found is not None
            assert [path for path, _ in found.result()] == [b"d%d" % number]
