import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.buildrecords import ImageTable, StepRecord, StepTable, StoredImage
from layers.digest import BlobDigest, CacheKey, DiffId, Digest, LayerId, Rootfs
from layers.errors import StoreBusy, StoreError
from layers.filedigests import COARSE_TICK_NS, TICK_NS, FileDigests, StatKey
from layers.records import BATCH, BlobRecord, LayerRecord, LayerRecords, Packing, layers_of, parse_rootfs
from layers.schema import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(str(tmp_path / "store.db"))
    made.create()
    made.create()
    yield made
    made.close()


@pytest.fixture
def layers(database: Database) -> LayerRecords:
    return LayerRecords(database)


def diff(text: str) -> DiffId:
    return DiffId(Digest.of(text.encode()))


def key(text: str) -> CacheKey:
    return CacheKey(Digest.of(text.encode()))


def blob(text: str, kind: str = "none", level: int = 0, writer: str = "none", size: int = 5) -> BlobRecord:
    return BlobRecord(kind, level, writer, BlobDigest(Digest.of(text.encode())), size)


def test_layers(layers: LayerRecords) -> None:
    base = layers.add((), imported=diff("base"))
    top = layers.add((base,), snapshot="boot")
    assert layers.get(base) == LayerRecord(base, "", diff("base"), False, False, False)
    assert layers.get(top) == (found := LayerRecord(top, str(base), None, False, True, False))
    assert found.below == (base,)
    assert layers.get(LayerId(99)) is None
    assert layers.imported(diff("base"), ()) == base
    assert layers.imported(diff("base"), (base,)) is None
    assert layers.existing([base, top, LayerId(99)]) == {base, top}
    assert layers.places() == {base: (), top: (base,)}
    assert layers.chain((base, top, LayerId(99))) == (str(diff("base")), None, None)
    layers.set_verified(base)
    layers.set_indexed(base, "boot")
    assert layers.get(base) == LayerRecord(base, "", diff("base"), True, False, True)


def test_ids_are_not_used_again(layers: LayerRecords) -> None:
    first = layers.add(())
    layers.delete((first,))
    assert layers.add(()) > first


def test_one_imported_layer_per_place(layers: LayerRecords) -> None:
    layers.add((), imported=diff("x"))
    with pytest.raises(StoreError, match="UNIQUE"):
        layers.add((), imported=diff("x"))


def test_same_content_is_found_only_where_it_is_known_to_be_true(layers: LayerRecords) -> None:
    ours = layers.add(())
    layers.add_packing(ours, None, Packing(diff("a"), 10))
    layers.add_packing(ours, 5, Packing(diff("b"), 10))
    assert layers.same_content(diff("a"), ()) == ours
    assert layers.same_content(diff("a"), (ours,)) is None
    assert layers.same_content(diff("b"), ()) is None
    claimed = layers.add((ours,), imported=diff("c"))
    layers.add_packing(claimed, None, Packing(diff("c"), 10))
    assert layers.same_content(diff("c"), (ours,)) is None
    layers.set_verified(claimed)
    assert layers.same_content(diff("c"), (ours,)) == claimed


def test_packings_and_blobs(layers: LayerRecords) -> None:
    layer = layers.add(())
    assert layers.packing(layer, None) is None
    layers.add_packing(layer, None, Packing(diff("a"), 10))
    layers.add_packing(layer, 0, Packing(diff("b"), 20))
    assert layers.packing(layer, None) == (diff("a"), 10)
    assert layers.packing(layer, 0) == (diff("b"), 20)
    assert layers.packing(layer, 1) is None
    layers.add_blob(diff("a"), blob("z", "zstd", 3, "zstd 1", 4))
    layers.add_blob(diff("a"), blob("g", "gzip", 6, "", 3))
    layers.add_blob(diff("a"), blob("n", size=9))
    assert [one.kind for one in layers.blobs(diff("a"))] == ["none", "gzip", "zstd"]
    assert layers.blobs(diff("b")) == ()
    assert len(layers.blob_digests()) == 3
    layers.delete((layer,))
    layers.forget_blobs_of_nobody()
    assert layers.blob_digests() == set()


def test_unsynced_things_of_another_boot_are_forgotten(layers: LayerRecords) -> None:
    old = layers.add((), snapshot="old")
    synced = layers.add((), snapshot="old", indexed="old")
    new = layers.add((), snapshot="new")
    packed = layers.add((), snapshot="old")
    layers.add_packing(packed, None, Packing(diff("p"), 1))
    layers.add_blob(diff("p"), blob("p"))
    clamped = layers.add((), snapshot="old")
    layers.add_packing(clamped, 7, Packing(diff("p"), 1))
    layers.set_synced((synced,), "old")
    assert layers.unsynced("new") == (new,)
    assert set(layers.unsynced("old")) == {old, packed, clamped}
    layers.forget_unsynced("new")
    assert layers.with_snapshot() == {synced, new}
    assert layers.without_bytes() == {old, clamped}
    layers.set_synced((new,), "new")
    assert layers.unsynced("new") == ()


def test_more_values_than_fit_in_one_query(layers: LayerRecords, database: Database) -> None:
    with database.transaction():
        made = {layers.add(()) for _ in range(2 * BATCH + 3)}
    assert layers.existing(made) == made
    layers.delete(made)
    assert layers.places() == {}


@pytest.mark.parametrize(
    ("rootfs", "read"),
    [
        ((), 0),
        (("",), 0),
        (("1 2 3", "1", "1 2"), 1),
        (("1", "10", "1 1"), 2),
        (("1 2 3", "1 2 30", "1 2", "4 5", "4"), 3),
        (("7", "7"), 1),
    ],
)
def test_layers_of_root_file_systems(rootfs: tuple[str, ...], read: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def parse(text: str) -> Rootfs:
        if text.strip():
            seen.append(text)
        return parse_rootfs(text)

    monkeypatch.setattr("layers.records.parse_rootfs", parse)
    assert layers_of(rootfs) == {LayerId(int(word)) for text in rootfs for word in text.split()}
    assert len(seen) == read


def test_steps(database: Database) -> None:
    table = StepTable(database)
    record = StepRecord(key("effective"), "1 2", LayerId(2), 12.5)
    assert record.rootfs == (LayerId(1), LayerId(2))
    empty = StepRecord(key("nothing"), "", None, 1.0)
    table.put((key("recipe"), key("effective")), record, 100.0)
    table.put((key("nothing"), key("nothing")), empty, 50.0)
    wanted = [key("recipe"), key("unknown"), key("nothing"), key("effective")]
    assert table.find(wanted) == {
        key("recipe"): (record, 100.0),
        key("effective"): (record, 100.0),
        key("nothing"): (empty, 50.0),
    }
    assert table.find([]) == {}
    table.touch([key("nothing")], 60.0)
    assert {use.used for use in table.uses()} == {60.0, 100.0}
    table.delete([key("recipe"), key("effective")])
    assert [use.key for use in table.uses()] == [key("nothing")]


def test_images(database: Database) -> None:
    table = ImageTable(database)
    first = StoredImage(Digest.of(b"1"), b"1", (LayerId(1), LayerId(2)), (None, 0), ("a", "b"), 10.0)
    second = StoredImage(Digest.of(b"2"), b"2", (), (), ("a",), 20.0)
    table.put(first)
    assert table.get(first.id) == first
    table.put(second)
    assert table.named("a") == second
    assert table.get(first.id) == first._replace(names=("b",))
    assert [image.id for image in table.all()] == [second.id, first.id]
    assert table.by_prefix(first.id.hex[:12]) == table.get(first.id)
    assert table.by_prefix("0" * 20) is None
    with pytest.raises(StoreError, match="several"):
        table.by_prefix("")
    assert table.untag("b")
    assert not table.untag("b")
    table.delete((second.id,))
    assert table.named("a") is None


SCANNED = 1_700_000_000_000_000_000


def stat(ino: int, changed_ns: int, size: int = 5) -> StatKey:
    return (7, ino, size, changed_ns, changed_ns)


def test_file_digests(database: Database) -> None:
    files = FileDigests(database)
    known = {stat(1, SCANNED - 10**9 - 1): b"1" * 32, stat((1 << 64) - 1, 17): b"2" * 32, stat(3, -5): b"3" * 32}
    far = (7, 4, 5, (1 << 63) + 5, 1)
    files.put_many(known, SCANNED)
    files.put_many({far: b"4" * 32}, 1 << 64)
    assert files.get_many([*known, far]) == {**known, far: b"4" * 32}
    assert files.get_many([stat(1, 6), stat(1, SCANNED - 10**9 - 1, size=6), (8, *next(iter(known))[1:])]) == {}
    files.put_many({stat(1, 6): b"5" * 32}, SCANNED)
    assert files.get_many(known.keys() | {stat(1, 6)}).keys() == {stat(1, 6), stat((1 << 64) - 1, 17), stat(3, -5)}
    files.clear()
    assert files.get_many(known) == {}


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "remembered"),
    [
        (SCANNED - TICK_NS - 1, SCANNED - TICK_NS - 1, True),
        (SCANNED - TICK_NS, 1, False),
        (1, SCANNED - TICK_NS, False),
        (1, SCANNED + 10**12, False),
        (SCANNED - 10**9, SCANNED - 10**9, False),
        (SCANNED - COARSE_TICK_NS - 10**9, SCANNED - COARSE_TICK_NS - 10**9, True),
    ],
    ids=["older", "mtime in the tick", "ctime in the tick", "future", "whole seconds", "whole seconds, older"],
)
def test_files_changed_in_the_tick_of_the_scan_are_not_remembered(
    database: Database, mtime_ns: int, ctime_ns: int, remembered: bool
) -> None:
    files = FileDigests(database)
    one = (1, 2, 3, mtime_ns, ctime_ns)
    files.put_many({one: bytes(32)}, SCANNED)
    files.remember((2, *one[1:]), bytes(32), SCANNED)
    files.flush()
    assert bool(files.get_many([one])) is bool(files.get_many([(2, *one[1:])])) is remembered


def test_remembered_digests_are_known_before_they_are_written(database: Database, tmp_path: Path) -> None:
    files, other = FileDigests(database), FileDigests(database)
    files.remember(stat(1, 6), bytes(32), SCANNED)
    assert files.get_many([stat(1, 6)]) == {stat(1, 6): bytes(32)}
    assert other.get_many([stat(1, 6)]) == {}
    for ino in range(2, BATCH + 1):
        files.remember(stat(ino, 6), bytes(32), SCANNED)
    assert len(other.get_many([stat(ino, 6) for ino in range(1, BATCH + 1)])) == BATCH


def test_a_failed_transaction_leaves_nothing(database: Database, layers: LayerRecords) -> None:
    with pytest.raises(RuntimeError), database.transaction():
        layers.add(())
        raise RuntimeError
    assert layers.places() == {}


def test_every_thread_has_its_connection(database: Database, layers: LayerRecords) -> None:
    seen: list[sqlite3.Connection] = []

    def work() -> None:
        for _ in range(20):
            with database.transaction():
                layers.add(())
        seen.append(database.connection())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layers.places()) == 80
    assert len(set(map(id, seen))) == 4


def test_waiting_too_long_says_so(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("layers.schema.BUSY_SECONDS", 0.01)
    other = Database(str(tmp_path / "store.db"))
    with database.transaction(), pytest.raises(StoreBusy, match="another process"), other.transaction():
        pass
    other.close()


def test_not_a_database(tmp_path: Path) -> None:
    (tmp_path / "file.db").write_bytes(b"something else, and long enough to be looked at" * 50)
    database = Database(str(tmp_path / "file.db"))
    with pytest.raises(StoreError, match=r"file\.db"):
        database.version()
    database.close()


def test_a_forked_process_is_refused(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    child = os.getpid() + 1
    monkeypatch.setattr("os.getpid", lambda: child)
    with pytest.raises(RuntimeError, match="forked"):
        database.connection()
