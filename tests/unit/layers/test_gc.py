import time
from collections.abc import Callable
from pathlib import Path

import pytest

from layers.compress import NONE, Compression
from layers.digest import BlobDigest, CacheKey, Digest, LayerId, Rootfs
from layers.durability import start, sync
from layers.entry import BytesSource, Entry, Kind
from layers.errors import NotInStore, StoreError
from layers.gc import RECENT_SECONDS
from layers.schema import Database
from layers.store import Store
from layers.storecontext import boot_id
from tests.unit.layers.conftest import Clock

Open = Callable[[], Store]


def key(text: str) -> CacheKey:
    return CacheKey(Digest.of(text.encode()))


def add(store: Store, name: str, below: Rootfs = ()) -> LayerId:
    data = name.encode() * 3000
    return store.add_layer([Entry(name.encode(), Kind.FILE, size=len(data), source=BytesSource(data))], below)


def run(store: Store, name: str, below: Rootfs = ()) -> LayerId:
    """As a RUN does: a layer that is a snapshot only."""
    space = store.workspace(below)
    Path(space.upper, name).write_text(name)
    return space.commit()


def there(store: Store) -> set[int]:
    return set(store._context.layers.places())


def folders(store: Store, name: str) -> set[str]:
    return {path.name for path in Path(store.root, name).iterdir()} - {"empty"}


def test_prune_keeps_what_images_steps_and_their_layers_need(open_store: Open, clock: Clock) -> None:
    with open_store() as store:
        base = add(store, "base")
        top = run(store, "top", (base,))
        image = store.put_image(b"{}", (base, top), (None, None), ("name:1",))
        cached = run(store, "cached", (base,))
        store.record_step(key("cached"), key("cached"), (base, cached), cached, 1.0)
        lost = add(store, "lost", (base, top))
        store.diff_id(top, 5)
        store.blob(cached, None, Compression("gzip", 6))
    with open_store() as store:
        report = store.prune()
        assert (report.layers, report.blobs, report.steps, report.images) == (1, 1, 0, 0)
        assert report.bytes > 0
        assert there(store) == {base, top, cached}
        assert store.check() == []
        clock.now += RECENT_SECONDS + 1
        assert store.prune()[:4] == (1, 1, 1, 0)
        assert there(store) == {base, top}
        assert folders(store, "snapshots") == {str(base), str(top)}
        assert folders(store, "indexes") == {str(base)}
        assert store.image("name:1") == image
        assert store.check() == []
        store.remove_image(image.id)
    with open_store() as store:
        assert store.prune()[:4] == (2, 1, 0, 0)
        assert there(store) == set()
        assert folders(store, "snapshots") == folders(store, "indexes") == set()
        assert not any(store.blobs)
    assert lost not in {base, top, cached}


def test_prune_all_forgets_recent_steps_and_unnamed_images(open_store: Open) -> None:
    with open_store() as store:
        named, unnamed = add(store, "named"), add(store, "unnamed")
        step = add(store, "step")
        store.put_image(b"1", (named,), (None,), ("a:1",))
        store.put_image(b"2", (unnamed,), (None,), ())
        store.record_step(key("k"), key("k"), (step,), step, 1.0)
    with open_store() as store:
        assert store.prune()[:4] == (0, 0, 0, 0)
        assert store.prune(all=True)[:4] == (2, 2, 1, 1)
        assert there(store) == {named}
        assert store.find_steps([key("k")]) == {}


def test_steps_that_are_used_stay_recent(open_store: Open, clock: Clock) -> None:
    with open_store() as store:
        layer = add(store, "x")
        store.record_step(key("k"), key("k"), (layer,), layer, 1.0)
    clock.now += RECENT_SECONDS - 10
    with open_store() as store:
        assert store.find_steps([key("k")])
    clock.now += 100
    with open_store() as store:
        assert store.prune().steps == 0
        clock.now += RECENT_SECONDS
        assert store.prune().steps == 1


def test_what_another_open_store_uses_stays(open_store: Open) -> None:
    """Found, made, imported or looked at: whatever a build has touched survives a prune beside it."""
    with open_store() as store:
        found, looked, image = add(store, "found"), add(store, "looked"), add(store, "image")
        store.record_step(key("k"), key("k"), (found,), found, 1.0)
        store.put_image(b"{}", (image,), (None,), ())
        unused = add(store, "unused")
    with open_store() as build, open_store() as pruner:
        assert build.find_steps([key("k")])
        assert build.image(Digest.of(b"{}").hex)
        build.tree((looked,))
        made = run(build, "made", (found,))
        blob = build.blobs.put_bytes(b"on its way")
        half = build.workspace((found, made))
        Path(half.upper, "half").write_text("half")
        report = pruner.prune(all=True)
        assert (report.layers, report.steps) == (1, 0)
        assert there(pruner) == {found, looked, image, made}
        assert build.blobs.has(blob)
        assert unused not in there(build)
        last = half.commit()
        build.record_step(key("l"), key("l"), (found, made, last), last, 2.0)
        assert build.find_steps([key("l")])
        assert build.check() == []
    with open_store() as pruner:
        assert pruner.prune(all=True).layers == 5
        assert not any(pruner.blobs)


def test_a_pruned_layer_is_a_clear_error_for_who_did_not_hold_it(open_store: Open) -> None:
    with open_store() as store:
        layer = add(store, "x")
    with open_store() as other, open_store() as pruner:
        pruner.prune(all=True)
        with pytest.raises(NotInStore, match=f"layer {layer}"):
            other.workspace((layer,))


def test_prune_forgets_blob_records_with_their_layers(open_store: Open) -> None:
    with open_store() as store:
        add(store, "x")
    with open_store() as store:
        store.prune(all=True)
        assert store._context.layers.blob_digests() == set()
        layer = add(store, "x")
        assert store.blob(layer, None, NONE).size == store.blobs.size(store.blob(layer, None, NONE).digest)


def test_check_finds_every_fault(store: Store) -> None:
    base, top = add(store, "base"), run(store, "top")
    lost = add(store, "lost")
    store.put_image(b"{}", (base, lost), (None, None), ())
    Path(store.root, "indexes", str(base)).unlink()
    Path(store.root, "snapshots", str(top), "top").unlink()
    Path(store.root, "snapshots", str(top)).rmdir()
    digest = store.blob(base, None, NONE).digest
    store.blobs.delete(digest)
    Path(store.root, "tmp", "1-dead").mkdir()
    store._context.layers.delete((lost,))
    assert sorted(store.check()) == sorted(
        [
            f"image {Digest.of(b'{}')} stands on layer {lost}, which is not there",
            f"layer {base} has lost its index",
            f"layer {top} has lost its snapshot",
            f"blob {digest} is not there",
            "tmp/1-dead belongs to no process",
        ]
    )


# Reboots


def test_after_a_reboot_unsynced_snapshots_go_with_what_stands_on_them(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store() as store:
        base = add(store, "base")
        safe = run(store, "safe", (base,))
        store.record_step(key("safe"), key("safe"), (base, safe), safe, 1.0)
    sync(store.root)
    with open_store() as store:
        lost = run(store, "lost", (base,))
        above = add(store, "above", (base, lost))
        packed = run(store, "packed", (base,))
        store.blob(packed, None, Compression("zstd", 3))
        for name, layer in (("lost", lost), ("packed", packed)):
            store.record_step(key(name), key(name), (base, layer), layer, 1.0)
        store.put_image(b"{}", (base, lost, above), (None,) * 3, ("gone:1",))
        copied = add(store, "copied")
        store.tree((copied,), contents=True)
    monkeypatch.setattr("layers.store.boot_id", lambda: "another boot")
    with open_store() as store:
        assert there(store) == {base, safe, packed, copied}
        assert set(store.find_steps([key("safe"), key("lost"), key("packed")])) == {key("safe"), key("packed")}
        assert store.image("gone:1") is None
        assert folders(store, "snapshots") == {str(base), str(safe)}
        assert folders(store, "indexes") == {str(base)}
        assert store.check() == []
        assert len(store.tree((base, packed), contents=True).children(b"")) == 2
        assert len(store.tree((copied,)).children(b"")) == 1
        assert store.check() == []


def test_in_the_same_boot_nothing_is_dropped(open_store: Open) -> None:
    with open_store() as store:
        layer = run(store, "x")
    with open_store() as store:
        assert there(store) == {layer}


def test_the_durability_process(open_store: Open) -> None:
    with open_store() as store:
        layer = run(store, "x")
        assert store._context.layers.unsynced(boot_id()) == (layer,)
        start(store.root)
        deadline = time.monotonic() + 30
        while store._context.layers.unsynced(boot_id()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert store._context.layers.unsynced(boot_id()) == ()


def test_closing_starts_it_only_when_there_is_something_to_sync(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("layers.durability.start", started.append)
    with open_store() as store:
        pass
    assert started == []
    with open_store() as store:
        run(store, "x")
    assert started == [store.root]
    sync(store.root)
    with open_store():
        pass
    assert started == [store.root]


def test_a_sync_that_fails_marks_nothing(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str) -> None:
        raise OSError(5, "Input/output error", path)

    with open_store() as store:
        layer = run(store, "x")
        monkeypatch.setattr("layers.durability._syncfs", fail)
        with pytest.raises(OSError, match="Input"):
            sync(store.root)
        assert store._context.layers.unsynced(boot_id()) == (layer,)


def test_what_broke_off_goes_before_anything_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk nothing can be, until something has gone."""
    digest = BlobDigest(Digest.of(b"x"))
    with store.blobs.partial(digest, lambda: None) as partial:
        assert partial is not None
        partial.write(b"y")
    left = Path(store.root, "partial")
    assert len(list(left.iterdir())) == 1

    def full(_: Database) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(Database, "transaction", full)
    with pytest.raises(StoreError, match="full"):
        store.prune()
    assert list(left.iterdir()) == []
