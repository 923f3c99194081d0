"""A walk that is read ahead in another process comes to the same, and is remembered the same."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.dockerfile.ignore import parse_ignore
from builder.plan import ahead, contexthelper
from builder.plan.ahead import Ahead
from builder.plan.context import open_context
from builder.plan.contexthelper import ContextHelper, Listed
from builder.plan.contextmemory import NOTHING_KNOWN, Memories, Memory
from builder.plan.hashing import SMALL, unchecked
from builder.plan.hostfiles import HostFiles
from builder.plan.listing import Listing
from layers.beside import Beside
from layers.errors import SourceChanged
from layers.store import Store
from tests.support.trees import write_tree

IGNORES = b"**/*.log\nd3/**\n!d3/e1/kept\nd5\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small trees are worth a process."""
    monkeypatch.setattr(ahead, "FEW", 1)
    monkeypatch.setattr(ahead, "OWN", 1)
    monkeypatch.setattr(ahead, "SHARE", 3)
    monkeypatch.setattr(contexthelper, "NAMES", 20)
    monkeypatch.setattr("builder.plan.context.BATCH", 7)


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each share given away, whether it was thorough."""
    given: list[bool] = []
    walk = ContextHelper.walk

    def counted(self: ContextHelper, directories: list[bytes], *, thorough: bool) -> object:
        given.append(thorough)
        return walk(self, directories, thorough=thorough)

    monkeypatch.setattr(ContextHelper, "walk", counted)
    return given


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {f"d{a}/e{b}/f{c}": b"%d" % c for a in range(12) for b in range(3) for c in range(4)}
    more = {"d2/large": b"l" * (SMALL + 1), "d9/e2/a.log": b"", "d3/e1/kept": b"kept", "top": b"t"}
    root = write_tree(tmp_path / "root", {**files, **more})
    (root / "d7/link").symlink_to("e1")
    (root / "d8/e0/g").mkdir()
    os.link(root / "d6/e0/f0", root / "d6/other")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "d4/socket"))
    os.setxattr(root / "d1/e1/f1", "user.x", b"1")
    for path in (*root.rglob("*"), root):
        os.utime(path, (1, 1), follow_symlinks=False)
    return root


@pytest.mark.parametrize("ignores", [None, IGNORES], ids=["all", "ignored"])
@pytest.mark.usefixtures("small")
def test_the_same_as_without(
    root: Path, ignores: bytes | None, tmp_path: Path, shares: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = parse_ignore(ignores, ".dockerignore") if ignores is not None else None
    late = 1 << 62  # nothing is too young to be remembered
    described = []
    for number in range(3):
        with Store.open(str(tmp_path / "store")) as store:
            context = open_context(
                str(root), matcher, Memories(store.file_digests, store.directories), clock_ns=lambda: late
            )
            described.append(list(context.describe(b"")))
            assert context.children(b"d1/e1") != []
            assert len(shares) >= 3, "shares were given away"
            assert any(shares) == (number == 0), "files are hashed ahead in a context that is not known"
            shares.clear()
    monkeypatch.setattr(ahead, "FEW", 1 << 60)
    described.append(list(open_context(str(root), matcher, NOTHING_KNOWN).describe(b"")))
    assert shares == []
    assert described[1:] == described[:-1]


@pytest.mark.usefixtures("small")
def test_what_was_read_ahead_is_remembered(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = 1 << 62
    with Store.open(str(tmp_path / "store")) as store:
        memories = Memories(store.file_digests, store.directories)
        first = list(open_context(str(root), None, memories, clock_ns=lambda: late).describe(b""))

        def none(*_: object) -> list[bytes]:
            raise AssertionError("a file was read again")

        monkeypatch.setattr("builder.plan.context.hash_files", none)
        monkeypatch.setattr("builder.plan.contexthelper.hash_files", none)
        monkeypatch.setattr(ahead, "FEW", 1 << 60)
        context = open_context(str(root), None, memories, clock_ns=lambda: late)
        assert list(context.describe(b"")) == first
        entry = context.lookup(b"d7/link")
        assert entry is not None
        assert entry.link == b"e1"


@pytest.mark.usefixtures("small")
def test_a_process_that_died_is_not_missed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(open_context(str(root), None, NOTHING_KNOWN).describe(b""))
    answers = 0
    receive = Beside.receive

    def killed(self: Beside) -> bytes:
        nonlocal answers
        answers += 1
        if answers == 2:
            assert self._process is not None
            self._process.kill()
            self._process.wait()
        return receive(self)

    monkeypatch.setattr(Beside, "receive", killed)
    assert list(open_context(str(root), None, NOTHING_KNOWN).describe(b"")) == expected
    assert answers >= 2


def test_a_process_that_cannot_be_started_is_not_missed(
    root: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(open_context(str(root), None, NOTHING_KNOWN).describe(b""))
    monkeypatch.setattr("sys.executable", "/does/not/exist")
    assert list(open_context(str(root), None, NOTHING_KNOWN).describe(b"")) == expected


def test_what_cannot_be_read_is_left_to_the_build(root: Path) -> None:
    with ContextHelper(os.fsencode(root), None, unchecked) as helper:
        share = helper.walk([b"gone", b"d0", b"top", b"d1"], thorough=True)
        assert share is not None
        found = dict(share.result())
        assert sorted(found) == sorted(
            f"{top}{below}".encode() for top in ("d0", "d1") for below in ("", "/e0", "/e1", "/e2")
        )
        assert found[b"d0/e1"].rows is not None
        assert list(share.result()) == [], "it is for the first who asks"


def test_a_file_that_was_looked_at_before_is_what_it_was(root: Path) -> None:
    """Also when its directory is read ahead later, and something has happened to it."""
    context = open_context(str(root), None, NOTHING_KNOWN)
    before = context.lookup(b"d0/e0/f0")
    (root / "d0/e0/f0").write_bytes(b"changed")
    files = HostFiles(os.fsencode(root), None, context._memory, owners=False)
    context._files.adopt([(b"d0/e0", files.read(b"d0/e0"))])
    assert context.lookup(b"d0/e0/f0") == before
    with pytest.raises(SourceChanged):
        list(context.describe(b"d0"))


class Slow(Listed):
    """A share that is there the second time one looks, and has nothing in it."""

    def __init__(self) -> None:
        self.looks = 0

    def ready(self) -> bool:
        self.looks += 1
        return self.looks > 1

    def result(self) -> Iterator[tuple[bytes, Listing]]:
        return iter(())


def test_what_is_wrong_is_told_in_the_order_of_the_walk(root: Path) -> None:
    """Not when it is read too early."""
    files = HostFiles(os.fsencode(root), None, Memory(NOTHING_KNOWN, 0), owners=False)
    assert files.listing(b"") is not None
    shutil.rmtree(root / "d1")
    walk = Ahead(files, None)
    share = Slow()
    walk._away[b"d0"] = share
    assert walk.listing(b"d0", [b"d1"]) is not None
    assert share.looks > 0
    with pytest.raises(SourceChanged):
        walk.listing(b"d1", [])


@given(
    st.dictionaries(
        st.lists(st.sampled_from("abcd"), min_size=2, max_size=5).map("/".join), st.binary(max_size=3), max_size=40
    ),
    st.lists(st.sampled_from(["a", "**/b", "!a/b", "*/c", "!**/d", "b/*"]), max_size=3),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@pytest.mark.usefixtures("small")
def test_any_tree(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    tree: dict[str, bytes],
    rules: list[str],
) -> None:
    root = tmp_path_factory.mktemp("any")
    for path, data in tree.items():
        file = root / path
        if not any(above.is_file() for above in file.parents) and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    matcher = parse_ignore("\n".join(rules).encode(), "i") if rules else None
    with_process = list(open_context(str(root), matcher, NOTHING_KNOWN).describe(b""))
    with monkeypatch.context() as alone:
        alone.setattr(ahead, "FEW", 1 << 60)
        assert list(open_context(str(root), matcher, NOTHING_KNOWN).describe(b"")) == with_process
