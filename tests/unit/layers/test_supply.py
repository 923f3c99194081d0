"""Layers whose blobs are elsewhere: when they are fetched, how often, and what happens when they cannot be."""

import gzip
import io
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from layers import media
from layers.blobs import Progress
from layers.compress import Compression
from layers.digest import BlobDigest, DiffId, Digest, LayerId, Rootfs
from layers.entry import BytesSource, Entry, Kind
from layers.errors import IntegrityError, NotInStore, PybuildError, StoreError
from layers.gc import RECENT_SECONDS
from layers.image import Descriptor
from layers.keptindexes import KEPT_SECONDS
from layers.pullrecords import Origin
from layers.store import Store
from tests.support.images import make_tar
from tests.unit.layers.conftest import Clock

Open = Callable[[], Store]
HOME = (Origin("registry.example", "team/base"),)
GZIP = Compression("gzip", 6)


class Elsewhere:
    """A fetcher that has some blobs. ``asked``: for what, in the order of the questions."""

    def __init__(self, store: Store, *layers: bytes) -> None:
        self.store = store
        self.has = {BlobDigest(Digest.of(blob)): blob for blob in map(zipped, layers)}
        self.asked: list[BlobDigest] = []
        self.wait: Callable[[BlobDigest], None] = lambda digest: None
        store.supply.connect(self)

    def __call__(
        self, digest: BlobDigest, size: int, origins: Sequence[Origin], progress: Progress, stop: threading.Event
    ) -> None:
        self.asked.append(digest)
        assert tuple(origins) == HOME
        self.wait(digest)
        if stop.is_set():
            raise StoreError("stopped")
        if digest not in self.has:
            raise PybuildError("nobody has it")
        data = self.has[digest]
        progress(len(data))
        self.store.blobs.put(io.BytesIO(data).read, digest, size=size)


def zipped(tar: bytes) -> bytes:
    return gzip.compress(tar, mtime=0)


def diff(tar: bytes) -> DiffId:
    return DiffId(Digest.of(tar))


def claim(tar: bytes) -> Descriptor:
    blob = zipped(tar)
    return Descriptor(media.DOCKER_LAYER_GZIP, BlobDigest(Digest.of(blob)), len(blob))


def expect(store: Store, *tars: bytes) -> Rootfs:
    rootfs: Rootfs = ()
    for tar in tars:
        rootfs += (store.import_layer(diff(tar), claim(tar), rootfs, HOME),)
    return rootfs


LOW, HIGH = make_tar({"etc": None, "etc/low": b"low"}), make_tar({"etc/high": b"high" * 1000})


def test_a_layer_that_is_elsewhere_is_healthy(store: Store) -> None:
    rootfs = expect(store, LOW, HIGH)
    assert store.check() == []
    assert list(store.blobs) == []
    store.put_image(b"{}", rootfs, (None, None), ("a:1",))
    assert store.prune(all=True).layers == 0
    assert [store.diff_id(layer, None) for layer in rootfs] == [diff(LOW), diff(HIGH)]
    # What its blob is follows from what the image said.
    assert store.blob(rootfs[0], None, GZIP) == claim(LOW).__class__(
        media.OCI_LAYER_GZIP, claim(LOW).digest, claim(LOW).size
    )


def test_a_layer_without_an_origin_is_not(store: Store) -> None:
    expect(store, LOW)
    store._context.database.write("DELETE FROM origins")
    assert store.check() == ["layer 1 has no bytes, and no known origin"]


def test_what_came_after_somebody_looked_is_not_fetched_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    there = Elsewhere(store, LOW)
    expect(store, LOW)
    blob = claim(LOW)
    has = store.blobs.has
    late = iter([False])

    def looked(digest: BlobDigest) -> bool:
        if next(late, None) is False:
            store.supply.fetch([blob])  # another thread's
            return False
        return has(digest)

    monkeypatch.setattr(store.supply._blobs, "has", looked)
    assert store.supply.begin(blob.digest, blob.size) is None
    assert there.asked == [blob.digest]


def test_without_anybody_to_fetch(store: Store) -> None:
    rootfs = expect(store, LOW)
    with pytest.raises(NotInStore, match="nobody to fetch"):
        store.tree(rootfs)


@pytest.mark.parametrize("contents", [False, True])
def test_looking_fetches_and_says_so(store: Store, contents: bool) -> None:
    there = Elsewhere(store, LOW, HIGH)
    rootfs = expect(store, LOW, HIGH)
    told: list[tuple[BlobDigest, int, int]] = []
    tree = store.tree(rootfs, contents=contents, listener=lambda *what: told.append(what))
    assert [entry.path for entry in tree.children(b"etc")] == [b"etc/high", b"etc/low"]
    assert sorted(there.asked) == sorted([claim(LOW).digest, claim(HIGH).digest])
    for blob in (claim(LOW), claim(HIGH)):
        assert [done for digest, done, _ in told if digest == blob.digest][-1] == blob.size
    assert store.check() == []


def test_each_index_is_known_from_then_on(store: Store) -> None:
    """Whether the layer was indexed or unpacked; the blob is not asked for again."""
    there = Elsewhere(store, LOW, HIGH)
    rootfs = expect(store, LOW, HIGH)
    store.tree(rootfs[:1])
    store.tree(rootfs[:1] + rootfs[1:], contents=True)
    for digest in list(store.blobs):
        store.blobs.delete(digest)
    there.asked.clear()
    store.tree(rootfs)
    entry = Entry(b"etc/more", Kind.FILE, size=1, source=BytesSource(b"x"))
    store.add_layer([Entry(b"etc", Kind.DIRECTORY), entry], rootfs)
    assert there.asked == []


def test_a_workspace_needs_its_own_layers_only(store: Store) -> None:
    there = Elsewhere(store, LOW, HIGH)
    low, _ = expect(store, LOW, HIGH)
    store.workspace((low,)).discard()
    assert there.asked == [claim(LOW).digest]


def test_who_opens_a_blob_gets_it(store: Store) -> None:
    there = Elsewhere(store, LOW)
    rootfs = expect(store, LOW)
    blob = store.blob(rootfs[0], None, GZIP)
    assert there.asked == []
    with store.blobs.open(blob.digest, blob.size) as reader:
        reader.drain()
    with store.layer_tar(rootfs[0], None) as stream:
        stream.drain()
    assert there.asked == [blob.digest]
    assert store.check() == []
    store.put_image(b"{}", rootfs, (None,), ("a:1",))
    store.prune(all=True)
    assert store.blobs.has(blob.digest)


def test_many_wait_for_one_transfer(store: Store) -> None:
    there = Elsewhere(store, LOW)
    there.wait = lambda _: time.sleep(0.2)
    rootfs = expect(store, LOW)
    blob = claim(LOW)
    with ThreadPoolExecutor(6) as pool:
        works: list[Callable[[], object]] = [
            lambda: store.tree(rootfs),
            lambda: store.tree(rootfs, contents=True),
            lambda: store.supply.fetch([blob]),
            lambda: store.blobs.open(blob.digest, blob.size).drain(),
        ]
        for done in [pool.submit(work) for work in works]:
            done.result()
    assert there.asked == [blob.digest]


def test_several_come_at_once_while_the_first_is_unpacked(store: Store) -> None:
    """The lowest layer is unpacked while the one above it is on its way."""
    there = Elsewhere(store, LOW, HIGH)
    low, high = rootfs = expect(store, LOW, HIGH)
    begun = threading.Barrier(2, timeout=20)

    def wait(digest: BlobDigest) -> None:
        begun.wait()
        if digest == claim(HIGH).digest:
            deadline = time.monotonic() + 20
            while not Path(store.root, "snapshots", str(low)).exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert Path(store.root, "snapshots", str(low)).exists()

    there.wait = wait
    store.tree(rootfs, contents=True)
    assert Path(store.root, "snapshots", str(high)).exists()


def test_what_cannot_be_fetched_is_told_and_can_be_tried_again(store: Store) -> None:
    there = Elsewhere(store)
    rootfs = expect(store, LOW)
    for _ in range(2):
        with pytest.raises(PybuildError, match="nobody has it"):
            store.tree(rootfs)
    there.has[claim(LOW).digest] = zipped(LOW)
    store.tree(rootfs)
    assert store.check() == []


def test_a_layer_that_is_not_what_its_image_says(store: Store) -> None:
    lie = make_tar({"lie": b""})
    Elsewhere(store, lie)
    layer = store.import_layer(diff(LOW), claim(lie), (), HOME)
    for contents in (False, True):
        with pytest.raises(IntegrityError, match="its image says"):
            store.tree((layer,), contents=contents)
    assert not any(Path(store.root, "snapshots").iterdir())
    assert not any(Path(store.root, "indexes").iterdir())


# Two images that say different things of one layer


def rivals(store: Store, *tars: bytes) -> LayerId:
    """Each says that it is LOW."""
    for tar in tars:
        layer = store.import_layer(diff(LOW), claim(tar), (), HOME)
    return layer


LIE = make_tar({"lie": b"of somebody"})


@pytest.mark.parametrize("order", [(LOW, LIE), (LIE, LOW)])
def test_of_rivals_the_true_one_is_found(store: Store, order: tuple[bytes, bytes]) -> None:
    there = Elsewhere(store, LOW, LIE)
    layer = rivals(store, *order)
    assert store.blob(layer, None, GZIP).digest == claim(LOW).digest
    assert [entry.path for entry in store.tree((layer,)).children(b"")] == [b"etc"]
    asked = len(there.asked)
    assert store.blob(layer, None, GZIP).digest == claim(LOW).digest
    assert len(there.asked) == asked


def test_a_fetched_lie_gives_way_to_a_true_claim(store: Store) -> None:
    Elsewhere(store, LOW, LIE)
    layer = rivals(store, LIE)
    store.supply.fetch([claim(LIE)])
    rivals(store, LOW)
    assert store.blob(layer, None, GZIP).digest == claim(LOW).digest
    assert [entry.path for entry in store.tree((layer,)).children(b"")] == [b"etc"]


def test_a_true_blob_does_not_give_way_to_a_lie(store: Store) -> None:
    there = Elsewhere(store, LOW, LIE)
    layer = rivals(store, LOW)
    store.supply.fetch([claim(LOW)])
    rivals(store, LIE)
    assert store.blob(layer, None, GZIP).digest == claim(LOW).digest
    assert there.asked == [claim(LOW).digest]


# The end


def test_closing_ends_transfers(open_store: Open) -> None:
    store = open_store()
    there = Elsewhere(store, LOW)
    rootfs = expect(store, LOW)

    def wait(_: BlobDigest) -> None:
        store.supply.stop.wait(20)

    there.wait = wait
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.tree, rootfs)
        while not there.asked:
            time.sleep(0.01)
        store.close()
        with pytest.raises(PybuildError):
            waiting.result()
    with open_store() as store:
        assert store.check() == []


def test_nothing_is_begun_once_it_is_stopped(store: Store) -> None:
    there = Elsewhere(store, LOW)
    rootfs = expect(store, LOW)
    store.supply.stop.set()
    with pytest.raises(StoreError):
        store.tree(rootfs)
    assert there.asked == []


# Indexes that outlive their layers


def test_a_pruned_image_is_known_when_it_comes_back(open_store: Open, clock: Clock) -> None:
    with open_store() as store:
        Elsewhere(store, LOW, HIGH)
        rootfs = expect(store, LOW, HIGH)
        store.tree(rootfs)
        made = store.add_layer([Entry(b"etc", Kind.DIRECTORY)], rootfs)
    with open_store() as store:
        assert store.prune().layers == 3
        assert store.check() == []
    with open_store() as store:
        there = Elsewhere(store)
        again = expect(store, LOW, HIGH)
        assert again[1] > made
        assert [entry.path for entry in store.tree(again).children(b"etc")] == [b"etc/high", b"etc/low"]
        assert there.asked == []
        # On other layers it may come to something else.
        with pytest.raises(PybuildError, match="nobody has it"):
            store.tree((store.import_layer(diff(HIGH), claim(HIGH), (), HOME),))
        assert store.check() == []


@pytest.mark.parametrize("way", ["all", "late"])
def test_kept_indexes_do_not_stay_for_ever(open_store: Open, clock: Clock, way: str) -> None:
    with open_store() as store:
        Elsewhere(store, LOW)
        store.tree(expect(store, LOW))
    with open_store() as store:
        store.prune()
        assert len(list(Path(store.root, "indexes").iterdir())) == 1
        clock.now += KEPT_SECONDS + RECENT_SECONDS if way == "late" else 0
        store.prune(all=way == "all")
        assert list(Path(store.root, "indexes").iterdir()) == []
