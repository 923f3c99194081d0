"""A build context that changes while it is built from: what a key names is what its layer holds, or there is none.

Changes happen at exact moments: between listing and hashing, or after the key is known and before the first byte is
packed (the event of that moment makes them). One test also lets a thread rewrite a file all the time.
"""

import hashlib
import io
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest

from builder.api import BuildResult, build, plan
from builder.errors import StepFailed
from builder.events import Event, Phase, StepCached
from builder.plan.context import open_context
from builder.plan.contextmemory import Memories
from builder.plan.graph import CopyOp
from builder.plan.select import Selection, select
from builder.request import BuildRequest, OutputSpec
from builder.solve.copy import copy_entries
from layers.compress import NONE
from layers.directories import DirectoryKey
from layers.errors import PybuildError, SourceChanged
from layers.filedigests import TICK_NS
from layers.image import Platform
from layers.pack import pack
from layers.store import Store
from tests.support.builds import write_tree
from tests.support.trees import MemoryTree, NoDigests

OLD = 1_600_000_000
LARGE = 3 << 20
COPY = CopyOp(("tree",), "/tree", None, None, False)
Change = Callable[[Path], object]


def make_context(root: Path) -> Path:
    content: dict[str, str | bytes] = {
        "tree/file": "text",
        "tree/large": bytes(LARGE),
        "tree/sub/inner": "inner",
        "other/inner": "OTHER",
    }
    write_tree(root, content)
    (root / "tree/link").symlink_to("file")
    make_old(root)
    return root


def make_old(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


def rewrite(name: str, text: bytes) -> Change:
    """Other bytes in the same file, with the time it had."""

    def change(context: Path) -> None:
        with (context / name).open("r+b") as file:
            file.write(text)
        os.utime(context / name, (OLD, OLD))

    return change


def replace(name: str, make: Callable[[Path], object]) -> Change:
    def change(context: Path) -> None:
        path = context / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return change


def link_to_equal_bytes(path: Path) -> None:
    path.with_name("elsewhere").write_text("text")
    path.symlink_to("elsewhere")


def swap_equal(context: Path) -> None:
    """Another file of the same bytes takes the name, as editors save."""
    (context / "tree/new").write_text("text")
    (context / "tree/new").rename(context / "tree/file")


FATAL: dict[str, Change] = {
    "rewrite": rewrite("tree/file", b"TEXT"),
    "shorten-large": lambda context: os.truncate(context / "tree/large", LARGE - 1),
    "rewrite-start-of-large": rewrite("tree/large", b"x"),
    "truncate-to-nothing": lambda context: os.truncate(context / "tree/file", 0),
    "grow": lambda context: (context / "tree/file").write_text("text and more"),
    "grow-large": lambda context: os.truncate(context / "tree/large", LARGE + 1),
    "remove-file": lambda context: (context / "tree/file").unlink(),
    "remove-directory": lambda context: shutil.rmtree(context / "tree/sub"),
    "link-for-file": replace("tree/file", lambda path: path.symlink_to("../other/inner")),
    "link-to-equal-bytes-for-file": replace("tree/file", link_to_equal_bytes),
    "fifo-for-file": replace("tree/file", os.mkfifo),
    "directory-for-file": replace("tree/file", Path.mkdir),
    "file-for-directory": replace("tree/sub", Path.touch),
    "link-for-directory": replace("tree/sub", lambda path: path.symlink_to("../other")),
    "directory-with-others": replace("tree/sub", lambda path: write_tree(path, {"inner": "OTHER"})),
}
"""What leaves the bytes of a key nowhere to be found."""

HARMLESS: dict[str, Change] = {
    "add-file": lambda context: (context / "tree/new").write_text("new"),
    "add-directory": lambda context: (context / "tree/sub/new").mkdir(),
    "chmod-file": lambda context: (context / "tree/file").chmod(0o600),
    "chmod-directory": lambda context: (context / "tree/sub").chmod(0o700),
    "touch": lambda context: os.utime(context / "tree/file"),
    "relink": replace("tree/link", lambda path: path.symlink_to("other")),
    "file-for-link": replace("tree/link", Path.touch),
    "xattr": lambda context: os.setxattr(context / "tree/file", "user.mark", b"1"),
    "other-file-with-equal-bytes": swap_equal,
}
"""What comes too late to be in the layer: it is as the key says."""

CHANGES = {**FATAL, **HARMLESS}


def selected(context: Path) -> Selection:
    return select(COPY, open_context(str(context), None, Memories(NoDigests())), None)


def packed(selection: Selection, *, clamp: int | None = None) -> str:
    """Digest of the layer's tar; none of its times is of now."""
    entries = copy_entries(COPY, selection, MemoryTree(), OLD * 10**9)
    return str(pack(entries, lambda _: None, NONE, clamp=clamp).diff_id)


@pytest.mark.parametrize("name", CHANGES)
def test_changed_between_key_and_pack(name: str, tmp_path: Path) -> None:
    context = make_context(tmp_path / "context")
    expected = packed(selected(context))
    selection = selected(context)
    selection.digest()
    CHANGES[name](context)
    if name in FATAL:
        with pytest.raises(SourceChanged, match="changed while it was being read"):
            packed(selection)
    else:
        assert packed(selection) == expected


@pytest.mark.parametrize("name", CHANGES)
def test_changed_between_listing_and_key(name: str, tmp_path: Path) -> None:
    """The key is that of what is packed: of the context as it was or as it is, or neither. Times are in no key."""
    context = make_context(tmp_path / "context")
    before = selected(context)
    states = {before.digest(): packed(before, clamp=0)}
    selection = selected(context)
    for path in (b"tree", b"tree/sub", b"tree/sub/inner"):
        assert selection.tree.lookup(path) is not None
    selection.tree.children(b"tree")
    CHANGES[name](context)
    after = selected(context)
    states.setdefault(after.digest(), packed(after, clamp=0))
    try:
        key = selection.digest()
    except SourceChanged:
        return
    assert key in states
    assert packed(selection, clamp=0) == states[key]


class Lab(NamedTuple):
    """Builds in this process, in a store of the test's own."""

    context: Path
    store: Path
    output: Path

    def request(self, text: str) -> BuildRequest:
        return BuildRequest(
            context=str(self.context),
            dockerfile_path="Dockerfile",
            dockerfile_text=text.encode(),
            root=str(self.store),
            platform=Platform("linux", "amd64"),
            outputs=(OutputSpec("tar", str(self.output)),),
        )

    def build(self, text: str, hook: Callable[[Event], None] = lambda _: None) -> tuple[BuildResult, bool]:
        """The result, and whether any step was run."""
        events: list[Event] = []

        def emit(event: Event) -> None:
            events.append(event)
            hook(event)

        result = build(self.request(text), emit)
        return result, not any(isinstance(event, StepCached) for event in events)

    def files(self) -> dict[str, bytes | str]:
        """What is in the image: bytes of files, link texts, modes of directories."""
        found: dict[str, bytes | str] = {}
        with tarfile.open(self.output) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                found[member.name] = file.read() if file is not None else member.linkname or f"{member.mode:o}"
        return found

    def sound(self) -> None:
        with Store.open(str(self.store)) as store:
            assert store.check() == []

    def states(self, text: str) -> set[str]:
        _, states = plan(self.request(text))
        return {state.state for state in states.values()} - {"source"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(make_context(tmp_path / "context"), tmp_path / "store", tmp_path / "out.tar")


def when_packing(change: Callable[[], object]) -> Callable[[Event], None]:
    def hook(event: Event) -> None:
        if isinstance(event, Phase) and event.name == "pack" and event.start and event.step is not None:
            change()

    return hook


TEXT = "FROM scratch\nCOPY tree /tree\n"


@pytest.mark.needs_root
@pytest.mark.parametrize("name", FATAL)
def test_build_fails_and_records_nothing(name: str, lab: Lab) -> None:
    with pytest.raises(StepFailed, match="changed while it was being read") as caught:
        lab.build(TEXT, when_packing(lambda: CHANGES[name](lab.context)))
    assert caught.value.span is not None
    assert caught.value.span.first_line == 2
    assert caught.value.hint is not None
    assert not lab.output.exists()
    lab.sound()
    shutil.rmtree(lab.context)
    make_context(lab.context)
    assert lab.states(TEXT) == {"miss"}
    lab.build(TEXT)
    assert lab.files()["tree/file"] == b"text"
    lab.sound()


@pytest.mark.needs_root
@pytest.mark.parametrize("name", HARMLESS)
def test_build_gives_what_its_key_says(name: str, lab: Lab) -> None:
    lab.build(TEXT)
    expected = lab.files()
    shutil.rmtree(lab.store)
    lab.build(TEXT, when_packing(lambda: CHANGES[name](lab.context)))
    assert lab.files() == expected
    shutil.rmtree(lab.context)
    make_context(lab.context)
    assert lab.states(TEXT) == {"hit"}
    CHANGES[name](lab.context)
    unseen = {"touch", "other-file-with-equal-bytes"}
    assert lab.states(TEXT) == {"hit" if name in unseen else "miss"}
    lab.sound()


def write_archive(path: Path, text: bytes) -> None:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("inside")
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        path.rename(path.with_name("archive.moved"))
        make(path)

    return change


ARCHIVES: dict[str, Callable[[Path], object]] = {
    "other-archive": lambda path: write_archive(path, b"other"),
    "no-archive-any-more": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "truncated": lambda path: os.truncate(path, 700),
    "last-byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "removed": Path.unlink,
    "link": replaced_by(lambda path: path.symlink_to("archive.moved")),
    "fifo": replaced_by(os.mkfifo),
    "directory": replaced_by(Path.mkdir),
}


@pytest.mark.needs_root
@pytest.mark.parametrize("name", ARCHIVES)
def test_archive_of_add_changes_before_it_is_unpacked(name: str, lab: Lab) -> None:
    archive = lab.context / "archive"
    write_archive(archive, b"first")
    text = "FROM scratch\nADD archive /to/\n"
    with pytest.raises(PybuildError):
        lab.build(text, when_packing(lambda: ARCHIVES[name](archive)))
    lab.sound()
    shutil.rmtree(lab.context)
    write_archive(make_context(lab.context) / "archive", b"first")
    assert lab.states(text) == {"miss"}
    lab.build(text)
    assert lab.files()["to/inside"] == b"first"


@pytest.mark.needs_root
def test_file_becomes_an_archive_before_it_is_copied(lab: Lab) -> None:
    (lab.context / "archive").write_bytes(b"none")
    with pytest.raises(StepFailed, match="changed while it was being read"):
        lab.build(
            "FROM scratch\nADD archive /to/\n", when_packing(lambda: write_archive(lab.context / "archive", b"1"))
        )
    assert lab.states("FROM scratch\nADD archive /to/\n") == {"miss"}


@pytest.mark.needs_root
def test_rewritten_between_builds_with_equal_size_and_time(lab: Lab) -> None:
    """As fast as possible after each other: no digest is remembered for a file that could change unseen."""
    for number, text in zip(range(40), cycle((b"AAAA", b"BBBB", b"CCCC")), strict=False):
        rewrite("tree/file", text)(lab.context)
        _, executed = lab.build(TEXT)
        assert lab.files()["tree/file"] == text, number
        assert executed == (number < 3), number
    lab.sound()


@pytest.mark.needs_root
def test_rewritten_after_its_digest_was_remembered(lab: Lab) -> None:
    """A digest is remembered only once the file has been left alone for a while: it must be for this test."""
    for text in (b"AAAA", b"BBBB", b"AAAA", b"CCCC"):
        rewrite("tree/file", text)(lab.context)
        time.sleep(2 * TICK_NS / 1e9)
        for _ in range(2):
            lab.build(TEXT)
            assert lab.files()["tree/file"] == text
        status, folder = (lab.context / "tree/file").stat(), (lab.context / "tree").stat()
        with Store.open(str(lab.store)) as store:
            details = store.directories.details(DirectoryKey(folder.st_dev, folder.st_ino, b""))
        assert details is not None
        assert hashlib.sha256(text).digest() in details.digests
        assert (status.st_size, status.st_mtime) == (4, OLD)


@pytest.mark.needs_root
def test_replaced_between_builds_with_equal_size_and_time(lab: Lab) -> None:
    """A new file under the old name; its inode may be the old one's, used again."""
    for number, text in zip(range(40), cycle((b"AAAA", b"BBBB")), strict=False):
        (lab.context / "tree/file").unlink()
        (lab.context / "tree/file").write_bytes(text)
        os.utime(lab.context / "tree/file", (OLD, OLD))
        lab.build(TEXT)
        assert lab.files()["tree/file"] == text, number


@pytest.mark.needs_root
@pytest.mark.slow
def test_rewritten_all_the_time(lab: Lab) -> None:
    """A thread writes one of two contents over and over, in pieces, restoring the time. Every build fails or holds
    bytes that its key names; afterwards each content gives itself."""
    size, piece = 8 << 20, 1 << 16
    contents = [bytes([letter]) * size for letter in b"AB"]
    path = lab.context / "tree/large"
    path.write_bytes(contents[0])
    stop = threading.Event()

    def write() -> None:
        with path.open("r+b", buffering=0) as file:
            for content in cycle(contents):
                file.seek(0)
                for start in range(0, size, piece):
                    if stop.is_set():
                        return
                    file.write(content[start : start + piece])
                os.utime(path, (OLD, OLD))
                stop.wait(0.02)

    writer = threading.Thread(target=write)
    outcomes = {"built": 0, "failed": 0}
    writer.start()
    try:
        for _ in range(25):
            try:
                lab.build(TEXT)
                outcomes["built"] += 1
            except PybuildError as error:
                assert "changed while it was being read" in error.message
                outcomes["failed"] += 1
    finally:
        stop.set()
        writer.join()
    assert outcomes["failed"], "nothing was hit: the test is too slow or the file too small"
    lab.sound()
    for content in (*contents, contents[1][: size // 2] + contents[0][size // 2 :], contents[0]):
        path.write_bytes(content)
        os.utime(path, (OLD, OLD))
        lab.build(TEXT)
        found = lab.files()["tree/large"]
        assert isinstance(found, bytes)
        assert hashlib.sha256(found).digest() == hashlib.sha256(content).digest()
