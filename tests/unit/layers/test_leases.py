import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from layers.digest import BlobDigest, Digest, LayerId
from layers.leases import Gate, Lease, held, remove_tree, sweep


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "leases").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path


def take(root: Path) -> Lease:
    return Lease(str(root / "leases"), str(root / "tmp"))


def sweep_all(root: Path) -> int:
    return sweep(str(root / "leases"), str(root / "tmp"))


def test_what_a_lease_holds(root: Path) -> None:
    digest = BlobDigest(Digest.of(b"x"))
    lease, other = take(root), take(root)
    lease.hold_layers((LayerId(1), LayerId(2), LayerId(1)))
    lease.hold_blob(digest)
    other.hold_layers((LayerId(2), LayerId(7)))
    assert held(str(root / "leases")) == (frozenset({1, 2, 7}), frozenset({digest}))
    assert (root / "leases" / lease.name).read_text() == f"layer 1\nlayer 2\nblob {digest}\n"
    lease.release()
    assert held(str(root / "leases")) == (frozenset({2, 7}), frozenset())
    other.release()
    assert names(root / "leases") == names(root / "tmp") == []


def test_release_removes_what_is_unfinished_and_may_be_repeated(root: Path) -> None:
    lease = take(root)
    Path(lease.temporary("blob")).write_bytes(b"half")
    Path(lease.temporary("workspace"), "upper", "a").mkdir(parents=True)
    lease.release()
    lease.release()
    assert names(root / "tmp") == []


def test_half_a_line_is_never_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = take(root)
    lease.hold_layers((LayerId(1),))
    write = os.write
    room = [9]

    def full(descriptor: int, data: bytes) -> int:
        size = min(len(data), room[0])
        room[0] -= size
        if not size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:size])

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(os, "write", full)
        lease.hold_layers((LayerId(2), LayerId(333)))
    assert held(str(root / "leases")).layers == {1}
    lease.hold_layers((LayerId(2),))
    assert held(str(root / "leases")).layers == {1, 2}
    lease.release()


def test_a_short_write_is_continued(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = take(root)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        lease.hold_layers((LayerId(12), LayerId(333)))
    assert held(str(root / "leases")).layers == {12, 333}
    lease.release()


def test_a_released_lease_holds_nothing_more(root: Path) -> None:
    lease = take(root)
    lease.release()
    with pytest.raises(OSError, match="Bad file descriptor"):
        lease.hold_layers((LayerId(1),))


def test_temporary_paths_differ(root: Path) -> None:
    lease = take(root)
    assert lease.temporary("a") != lease.temporary("a")
    lease.release()


def test_living_leases_are_not_swept(root: Path) -> None:
    lease = take(root)
    Path(lease.temporary("blob")).write_bytes(b"half")
    assert sweep_all(root) == 0
    assert names(root / "tmp") == [lease.name]
    lease.release()


DIE = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from layers.leases import Lease
lease = Lease(sys.argv[1] + "/leases", sys.argv[1] + "/tmp")
open(lease.temporary("blob"), "wb").write(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leases_of_killed_processes_are_swept(root: Path) -> None:
    here = str(Path(__file__).resolve().parents[3])
    subprocess.run([sys.executable, "-c", DIE, str(root), here], check=False)
    assert len(names(root / "leases")) == len(names(root / "tmp")) == 1
    assert sweep_all(root) == 1
    assert names(root / "leases") == names(root / "tmp") == []


def test_a_lock_that_outlives_its_process_a_little_is_waited_for(root: Path) -> None:
    """A child between fork and exec holds the lock of a parent that was killed."""
    (root / "leases" / f"{2**22 + 1}-0").write_text("")
    with (root / "leases" / f"{2**22 + 1}-0").open() as child:
        fcntl.flock(child, fcntl.LOCK_EX)
        timer = threading.Timer(0.03, lambda: fcntl.flock(child, fcntl.LOCK_UN))
        timer.start()
        assert sweep_all(root) == 1
        timer.join()


def test_directories_without_a_lease_are_swept(root: Path) -> None:
    (root / "tmp" / "1-dead" / "deep").mkdir(parents=True)
    assert sweep_all(root) == 1
    assert names(root / "tmp") == []


def test_many_opening_and_sweeping_at_once(root: Path) -> None:
    """Nobody takes a lease that is being made for a stale one."""
    faults: list[str] = []

    def work() -> None:
        for _ in range(40):
            lease = take(root)
            path = Path(lease.temporary("x"))
            path.write_bytes(b"mine")
            sweep_all(root)
            if not path.exists() or lease.name not in names(root / "leases"):
                faults.append(lease.name)
            lease.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert names(root / "leases") == names(root / "tmp") == []


def test_the_gate_lets_lookers_in_together_and_a_deleter_alone(root: Path) -> None:
    gate = Gate(str(root / "gate"))
    entered = threading.Event()

    def delete() -> None:
        with gate.exclusive():
            entered.set()

    with gate.shared(), gate.shared():
        thread = threading.Thread(target=delete)
        thread.start()
        assert not entered.wait(0.05)
    assert entered.wait(10)
    thread.join()


def test_remove_tree(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"stays")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "a" / "data").write_bytes(bytes(20000))
    os.link(tree / "a" / "data", tree / "other name")
    (tree / "to outside").symlink_to(outside)
    (tree / "a" / "b" / "dangling").symlink_to("/nowhere")
    os.mkfifo(tree / "fifo")
    assert remove_tree(str(tree)) >= 20000
    assert not tree.exists()
    assert (outside / "file").read_bytes() == b"stays"
    assert remove_tree(str(tree)) == 0


def test_remove_tree_takes_a_link_for_itself(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to("kept")
    remove_tree(str(tmp_path / "link"))
    assert names(tmp_path) == ["kept"]


def test_remove_tree_goes_deeper_than_paths_and_descriptors_do(tmp_path: Path) -> None:
    top = tmp_path / "deep"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(str(top))
    assert not top.exists()
