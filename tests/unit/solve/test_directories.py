"""Layers that are in no image: kept as directories, which pack to what would have been packed at once."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from builder.errors import PlanError
from builder.plan.graph import CopyOp
from builder.plan.select import select
from builder.solve.copy import copy_entries
from builder.solve.unchanged import changed
from layers.digest import Digest, LayerId, Rootfs
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import GivenUp, PybuildError, SourceChanged
from layers.listed import expanded
from layers.store import Store
from tests.fakes.runner import Script
from tests.support.planning import plan
from tests.support.trees import Content, MemoryTree, directory, file, link, same_as
from tests.unit.solve.conftest import OURS, Builds

STAGES = """
    FROM scratch AS s
    WORKDIR /w
    COPY f /w/
    RUN one
    FROM scratch
    COPY --from=s /made /
    """
NOW_NS = 5_500_000_000

NAMES = st.sampled_from(["a", "b", "c/d", "c/e", "c/f/g", "h/i", "h/j/k", "l"])
FILES = st.builds(
    lambda data, mode, ns: file(data, mode=mode)._replace(mtime_ns=ns),
    st.sampled_from([b"", b"x", b"y" * 5000]),
    st.sampled_from([0o644, 0o755, 0o4711, 0o600]),
    st.sampled_from([10**9, 10**9 + 7, 2 * 10**9]),
)
OTHERS = st.sampled_from([directory(), directory(mode=0o1777), link("a"), link("/c/d")])
TREES = st.dictionaries(NAMES, FILES | OTHERS, max_size=6)


def snapshots(store: Store) -> set[str]:
    return {path.name for path in Path(store.root, "snapshots").iterdir()}


def unfinished(store: Store) -> list[str]:
    return [path.name for top in Path(store.root, "tmp").iterdir() for path in top.iterdir()]


def copied(store: Store, content: Mapping[str, Content], below: Rootfs, *, kept: bool) -> LayerId:
    op = CopyOp(("/",), "/", OURS, None, False)
    dest = store.tree(below)
    entries = changed(copy_entries(op, select(op, MemoryTree(content), None), dest, NOW_NS), dest)
    made = store.add_directory(expanded(entries), below) if kept else store.add_layer(entries, below)
    assert made is not None
    return made


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(below=TREES, above=TREES, names=st.booleans())
@example(below={"a": file(b"x")}, above={"a": file(b"x"), "b": file(b"y")}, names=True)
@example(below={"c/d": file(b"x")}, above={"c/d": file(b"x")}, names=False)
def test_a_directory_packs_to_what_packing_at_once_gives(
    store: Store, below: dict[str, Entry], above: dict[str, Entry], names: bool
) -> None:
    content: dict[str, Content] = dict(above)
    regular = [name for name, entry in above.items() if entry.kind is Kind.FILE]
    if names and regular:
        content["z"] = same_as(regular[0])
    base: Rootfs = (copied(store, below, (), kept=False),)
    try:
        packed = copied(store, content, base, kept=False)
    except PybuildError as error:  # what does not fit fits neither way
        with pytest.raises(type(error)):
            copied(store, content, base, kept=True)
        return
    kept = copied(store, content, base, kept=True)
    assert kept != packed
    assert store.diff_id(kept, None) == store.diff_id(packed, None)
    assert store.diff_id(kept, 1) == store.diff_id(packed, 1)


def test_steps_of_other_stages_are_kept_as_directories(builds: Builds) -> None:
    builds.contexts["context"] = MemoryTree({"f": file(b"data", uid=os.getuid(), gid=os.getgid())})
    builds.runner.scripts["one"] = Script({"made": b"made"})
    made = plan(STAGES)
    results = builds.solve(made)
    by_title = {node.title: results[node.id].layer for node in made.nodes.values() if node.id in results}
    for title in ("WORKDIR /w", "COPY f /w/"):
        assert str(by_title[title]) in snapshots(builds.store)
    assert str(by_title["COPY --from=s /made /"]) not in snapshots(builds.store)
    assert len(list(builds.store.blobs)) == 1
    assert builds.store.check() == []
    assert unfinished(builds.store) == []


def test_times_are_those_of_an_archive(store: Store) -> None:
    layer = copied(store, {"f": file(b"x")._replace(mtime_ns=10**9 + 5)}, (), kept=True)
    found = store.tree((layer,)).lookup(b"f")
    assert found is not None
    assert found.mtime_ns == 10**9


def test_what_changes_meanwhile_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"now")
    source = FileSource(bytes(tmp_path / "source"), Digest.of(b"old").raw)
    entry = Entry(b"f", Kind.FILE, 0o644, os.getuid(), os.getgid(), size=3, source=source)
    with pytest.raises(SourceChanged):
        store.add_directory([entry], ())
    assert (unfinished(store), snapshots(store)) == ([], set())


@pytest.mark.parametrize("size", [10, 5 << 20])
def test_it_ends_when_the_build_is_given_up(store: Store, tmp_path: Path, size: int) -> None:
    (tmp_path / "source").write_bytes(bytes(size))
    asked = 0

    def given_up() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    store.supply.given_up = given_up
    entries = [
        Entry(
            name, Kind.FILE, 0o644, os.getuid(), os.getgid(), size=size, source=FileSource(bytes(tmp_path / "source"))
        )
        for name in (b"a", b"b", b"c")
    ]
    with pytest.raises(GivenUp):
        store.add_directory(entries, ())
    assert (unfinished(store), snapshots(store)) == ([], set())


LINK = Entry(b"l", Kind.SYMLINK, 0o777, os.getuid(), os.getgid(), link=b"f")
FILE = Entry(b"f", Kind.FILE, 0o644, os.getuid(), os.getgid(), size=1, source=BytesSource(b"x"))


@pytest.mark.parametrize(
    "entry",
    [
        LINK._replace(mode=0o755),
        FILE._replace(mtime_ns=-(10**9)),
        FILE._replace(mtime_ns=(1 << 31) * 10**9),
        FILE._replace(path=b".wh.f"),
        FILE._replace(xattrs=((b"user.a=b", b""),)),
    ],
)
def test_what_a_directory_would_not_keep_is_packed(store: Store, entry: Entry) -> None:
    assert store.add_directory([FILE._replace(path=b"a"), entry], ()) is None
    assert (unfinished(store), snapshots(store)) == ([], set())


def test_owners_that_links_cannot_have_are_packed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layers.owners.can_have", lambda uid, gid: False)
    assert store.add_directory([LINK], ()) is None
    assert store.add_directory([FILE], ()) is not None


def test_a_step_packs_what_its_directory_would_not_keep(builds: Builds) -> None:
    old = file(b"data", uid=os.getuid(), gid=os.getgid())._replace(mtime_ns=-5 * 10**9)
    builds.contexts["context"] = MemoryTree({"f": old})
    builds.runner.scripts["one"] = Script({"made": b"made"})
    made = plan(STAGES)
    results = builds.solve(made)
    (copied,) = (node.id for node in made.nodes.values() if node.title == "COPY f /w/")
    rootfs = results[copied].rootfs
    found = builds.store.tree(rootfs).lookup(b"w/f")
    assert found is not None
    assert found.mtime_ns == -5 * 10**9
    assert builds.store.supply.stored(builds.store.diff_id(rootfs[-1], None)) is not None


def test_a_name_that_no_layer_can_hold_is_refused_at_its_line(builds: Builds) -> None:
    builds.contexts["context"] = MemoryTree({"f/.wh.x": b""})
    with pytest.raises(PlanError, match=r"\.wh\.x cannot be stored") as caught:
        builds.solve(plan(STAGES))
    assert caught.value.span is not None
    assert caught.value.span.first_line == 4
