"""How steps are done: owners looked up wherever the names are, errors with their place in the Dockerfile."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.errors import BuildError, PlanError, Span, StepFailed
from builder.plan.graph import CopyOp, Node, NodeId, Op, RunOp, WorkdirOp
from builder.plan.select import Selection, select
from builder.solve.steps import StepInput, execute
from layers.digest import Rootfs
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import SourceChanged
from tests.fakes.runner import Script
from tests.support.plans import PLATFORM
from tests.support.trees import Content, MemoryTree, directory, link
from tests.unit.solve.conftest import Builds

SPAN = Span("Dockerfile", 2, 2)
COPY = CopyOp(("f",), "/f", "app:staff", None, False)
NAMES: Mapping[str, bytes] = {"passwd": b"app:x:7:8::/:/bin/sh\n", "group": b"staff:x:9:\n"}


def step(op: Op) -> Node:
    return Node(NodeId(5), op, (NodeId(1),), "STEP", "", 2, 2, SPAN)


def take(op: CopyOp, content: Mapping[str, Content]) -> Selection:
    return select(op, MemoryTree(content), None)


def ours(path: str, data: bytes | None = None, text: str | None = None) -> Entry:
    """What any user may unpack."""
    owner = os.getuid(), os.getgid()
    if text is not None:
        return Entry(path.encode(), Kind.SYMLINK, 0o777, *owner, link=text.encode())
    if data is None:
        return Entry(path.encode(), Kind.DIRECTORY, 0o755, *owner)
    return Entry(path.encode(), Kind.FILE, 0o644, *owner, size=len(data), source=BytesSource(data))


PLAIN = (ours("etc"), *(ours(f"etc/{name}", data) for name, data in sorted(NAMES.items())))
LINKED = (
    ours("etc"),
    ours("etc/group", NAMES["group"]),
    ours("etc/passwd", text="/usr/passwd"),
    ours("usr"),
    ours("usr/passwd", NAMES["passwd"]),
)
LINKED_DIRECTORY = (
    ours("etc", text="usr"),
    ours("usr"),
    *(ours(f"usr/{name}", data) for name, data in sorted(NAMES.items())),
)
EMPTY = (ours("etc"), ours("etc/group", b""), ours("etc/passwd", b""))


@pytest.mark.parametrize("below", [PLAIN, LINKED, LINKED_DIRECTORY])
@pytest.mark.parametrize("unpacked", [False, True])
def test_owners_are_the_same_whether_layers_are_unpacked_or_not(
    builds: Builds, below: tuple[Entry, ...], unpacked: bool
) -> None:
    rootfs: Rootfs = (builds.store.add_layer(below, ()),)
    if unpacked:
        builds.store.workspace(rootfs).discard()
    layers = [
        execute(step(COPY), StepInput(rootfs, take(COPY, {"f": b"data"})), builds.context()),
        execute(step(WorkdirOp("/f", "app:staff", None)), StepInput(rootfs, None), builds.context()),
    ]
    found = [builds.store.tree((*rootfs, layer)).lookup(b"f") for layer in layers]
    assert [entry and (entry.uid, entry.gid) for entry in found] == [(7, 9)] * 2


@pytest.mark.parametrize(("below", "owner"), [(PLAIN, "app"), (EMPTY, "app"), (LINKED, "7:9"), ((), "7")])
def test_nothing_is_unpacked_for_owners_that_indexes_know(
    builds: Builds, below: tuple[Entry, ...], owner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootfs: Rootfs = (builds.store.add_layer(below, ()),)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr("layers.materialise.Materialiser.snapshot", refuse)
    op = COPY._replace(chown=owner)
    execute(step(op), StepInput(rootfs, take(op, {"f": b"data"})), builds.context())


def fail(builds: Builds, op: Op, selection: Selection | None, below: Rootfs = ()) -> BuildError:
    with pytest.raises(BuildError) as caught:
        execute(step(op), StepInput(below, selection), builds.context())
    assert caught.value.span == SPAN
    return caught.value


def test_what_does_not_fit_names_the_line(builds: Builds) -> None:
    rootfs = (builds.store.add_layer((ours("f"),), ()),)
    op = COPY._replace(chown=None, dest="/")
    error = fail(builds, op, take(op, {"f": b""}), rootfs)
    assert (error.code, error.message) == ("cannot-place", "cannot copy a file over the directory /f")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SourceChanged(b"/context/f"), "/context/f changed while it was being read"),
        (OSError(28, "No space left on device", "/store/tmp/blob-1"), "No space left on device: /store/tmp/blob-1"),
        (OSError(5, "Input/output error", b"/f\xff"), "Input/output error: /f\\xff"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_errors_of_the_host_name_the_line(
    builds: Builds, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(builds.store, "add_layer", fall)
    op = COPY._replace(chown=None)
    failed = fail(builds, op, take(op, {"f": b""}))
    assert isinstance(failed, StepFailed)
    assert failed.message == message


def test_a_source_that_is_not_what_was_selected(builds: Builds, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"new")
    entry = Entry(b"f", Kind.FILE, 0o644, size=3, source=FileSource(os.fsencode(path), bytes(32)))
    op = COPY._replace(chown=None)
    error = fail(builds, op, take(op, {"f": entry}))
    assert error.message == f"{path} changed while it was being read"


def test_a_command_that_breaks_the_host_is_a_failed_step(builds: Builds) -> None:
    def fall() -> None:
        raise OSError(12, "Cannot allocate memory")

    builds.runner.scripts["make"] = Script(meanwhile=fall)
    op = RunOp(("sh", "-c", "make"), (), "/", "", "host", "h", (), (), PLATFORM)
    assert fail(builds, op, None).message == "Cannot allocate memory"


def test_circles_of_links(builds: Builds) -> None:
    rootfs = (builds.store.add_layer((ours("a", text="b"), ours("b", text="a")), ()),)
    op = COPY._replace(chown=None, dest="/a/f")
    error = fail(builds, op, take(op, {"f": b""}), rootfs)
    assert error.hint == "its links lead in a circle"
    with pytest.raises(PlanError) as caught:
        take(op._replace(sources=("a",)), {"a": link("b"), "b": link("a"), "d": directory()})
    assert caught.value.hint == "its links lead in a circle"


def test_a_name_that_is_too_long_is_no_circle(builds: Builds) -> None:
    rootfs = (builds.store.add_layer((ours("a"),), ()),)
    builds.store.workspace(rootfs).discard()
    tree = builds.store.tree(rootfs, contents=True)
    with pytest.raises(PlanError, match="File name too long") as caught:
        select(COPY._replace(sources=("n" * 300,)), tree, SPAN)
    assert caught.value.hint is None
