import gzip
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layers import media
from layers.compress import NONE, Compression, open_reader
from layers.digest import BlobDigest, CacheKey, DiffId, Digest, LayerId, Rootfs
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.errors import IntegrityError, NotInStore, SourceChanged, StoreError, UnsafeArchive
from layers.image import Descriptor
from layers.index import Index
from layers.records import LayerRecords
from layers.schema import Database
from layers.store import StepRecord, Store, StoredImage
from layers.tarfmt import write_tar
from layers.unpack import unpack
from tests.unit.layers.conftest import Clock

GZIP = Compression("gzip", 6)
REPOSITORY = str(Path(__file__).resolve().parents[3])


def key(text: str) -> CacheKey:
    return CacheKey(Digest.of(text.encode()))


def file(path: bytes, data: bytes = b"", mtime: int = 0) -> Entry:
    return Entry(path, Kind.FILE, 0o644, size=len(data), mtime_ns=mtime * 10**9, source=BytesSource(data))


def directory(path: bytes) -> Entry:
    return Entry(path, Kind.DIRECTORY, 0o755)


def add(store: Store, *entries: Entry, below: Rootfs = (), compression: Compression = NONE) -> LayerId:
    return store.add_layer(entries, below, compression=compression)


def unfinished(store: Store) -> list[Path]:
    return [path for top in Path(store.root, "tmp").iterdir() for path in top.iterdir()]


def tar_of(store: Store, layer: LayerId, clamp: int | None = None) -> bytes:
    with store.layer_tar(layer, clamp) as stream:
        return b"".join(iter(lambda: stream.read(1000), b""))


def make_tar(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()


def packed(*entries: Entry) -> bytes:
    """Their tar, without a store that remembers it."""
    buffer = io.BytesIO()
    write_tar(entries, buffer.write)
    return buffer.getvalue()


def put(store: Store, data: bytes, media_type: str = media.OCI_LAYER) -> Descriptor:
    digest, size = store.blobs.put(io.BytesIO(data).read)
    return Descriptor(media_type, digest, size)


def diff(data: bytes) -> DiffId:
    return DiffId(Digest.of(data))


# Layers


def test_a_layer_of_entries(store: Store) -> None:
    layer = add(store, directory(b"d"), file(b"d/f", b"data", mtime=9), file(b"e", b"", mtime=5))
    data = tar_of(store, layer)
    assert store.diff_id(layer, None) == diff(data)
    assert store.packing(layer, None) == (diff(data), len(data))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [(m.name, m.mtime) for m in archive] == [("d", 0), ("d/f", 9), ("e", 5)]
    assert [entry.path for entry in store.tree((layer,)).children(b"d")] == [b"d/f"]
    assert unfinished(store) == []
    assert store.check() == []


def test_the_same_content_in_the_same_place_is_the_same_layer(store: Store) -> None:
    first = add(store, file(b"f", b"x"))
    assert add(store, file(b"f", b"x"), compression=GZIP) == first
    assert add(store, file(b"f", b"x", mtime=1)) != first
    assert add(store, file(b"f", b"x"), below=(first,)) != first


def test_a_layer_that_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"now")
    changed = Entry(b"f", Kind.FILE, size=3, source=FileSource(bytes(tmp_path / "source"), Digest.of(b"old").raw))
    with pytest.raises(SourceChanged):
        add(store, file(b"a", bytes(3 << 20)), changed)
    assert unfinished(store) == []
    assert not any(store.blobs)
    assert store.prune(all=True).layers == 0


def test_progress_is_told_of_what_is_written(store: Store) -> None:
    moved: list[int] = []
    layer = store.add_layer([file(b"f", bytes(100_000))], ())
    descriptor = store.blob(layer, None, GZIP, progress=moved.append)
    assert sum(moved) == descriptor.size


@pytest.mark.parametrize("compression", [NONE, GZIP, Compression("zstd", 3)], ids=lambda one: one.kind)
def test_blobs(store: Store, compression: Compression) -> None:
    layer = add(store, file(b"f", b"data" * 5000, mtime=7))
    descriptor = store.blob(layer, None, compression)
    assert media.compression_of(descriptor.media_type) == compression.kind
    with store.blobs.open(descriptor.digest, descriptor.size) as reader:
        plain = open_reader(reader.read)
        assert b"".join(iter(lambda: plain(1 << 16), b"")) == tar_of(store, layer)
    assert store.blob(layer, None, compression) == descriptor
    assert len(store._context.layers.blobs(store.diff_id(layer, None))) == (1 if compression is NONE else 2)


def test_a_layer_stored_compressed_is_packed_once(store: Store) -> None:
    layer = add(store, file(b"f", b"data" * 5000), compression=GZIP)
    assert [blob.kind for blob in store._context.layers.blobs(store.diff_id(layer, None))] == ["gzip"]
    stored = list(store.blobs)
    assert store.blob(layer, None, GZIP).digest in stored
    assert list(store.blobs) == stored


def test_clamped_packings(store: Store) -> None:
    layer = add(store, file(b"new", mtime=100), file(b"old", mtime=10))
    assert store.diff_id(layer, 100) == store.diff_id(layer, None)
    clamped = store.diff_id(layer, 50)
    assert clamped != store.diff_id(layer, None)
    data = tar_of(store, layer, 50)
    assert diff(data) == clamped
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [m.mtime for m in archive] == [50, 10]
    gzipped = store.blob(layer, 50, GZIP)
    other = add(store, file(b"new", mtime=50), file(b"old", mtime=10))
    assert store.diff_id(other, None) == clamped
    assert store.blob(other, None, GZIP) == gzipped


def test_layers_in_one_directory_each(store: Store) -> None:
    base = add(store, directory(b"d"), file(b"d/f", b"low"))
    top = add(store, directory(b"d"), Entry(b"d/f", Kind.WHITEOUT), file(b"d/g", b"up"), below=(base,))
    for contents in (False, True):
        tree = store.tree((base, top), contents=contents)
        assert [entry.path for entry in tree.children(b"d")] == [b"d/g"]
    found = tree.lookup(b"d/g")
    assert found is not None and isinstance(found.source, FileSource)
    assert found.source.path == f"{store.root}/snapshots/{top}/d/g".encode()
    assert tree.sha256(found) == Digest.of(b"up").raw
    assert unfinished(store) == []
    assert store.check() == []


# Imported layers


@pytest.mark.parametrize("compressed", [False, True])
def test_import(store: Store, compressed: bool) -> None:
    data = make_tar("a", "d/b")
    blob = put(store, gzip.compress(data) if compressed else data, media.DOCKER_LAYER_GZIP if compressed else "")
    layer = store.import_layer(diff(data), blob, ())
    assert store.import_layer(diff(data), blob, ()) == layer
    assert store.diff_id(layer, None) == store.diff_id(layer, 5) == diff(data)
    for compression in (NONE, GZIP):
        used = store.blob(layer, 5, compression)
        assert (used.digest, used.size) == (blob.digest, blob.size)
        assert used.media_type == (media.OCI_LAYER_GZIP if compressed else media.OCI_LAYER)
    assert tar_of(store, layer) == data
    described = store.tree((layer,)).lookup(b"d/b")
    assert described is not None and described.source is None
    assert not any(Path(store.root, "snapshots").iterdir())
    readable = store.tree((layer,), contents=True)
    found = readable.lookup(b"d/b")
    assert found is not None and readable.sha256(found) == Digest.of(b"d/b").raw
    assert store.check() == []


def test_a_false_blob_does_not_take_the_place_of_a_true_one(store: Store) -> None:
    data = make_tar("a")
    true = put(store, gzip.compress(data), media.OCI_LAYER_GZIP)
    layer = store.import_layer(diff(data), true, ())
    for blob in (gzip.compress(make_tar("lie")), zstandard.compress(make_tar("lie"))):
        with pytest.raises(IntegrityError, match="its image says"):
            store.import_layer(diff(data), put(store, blob), (add(store),))
        assert store.blob(layer, None, GZIP).digest == true.digest
        assert tar_of(store, layer) == data


def test_a_true_blob_takes_the_place_of_a_false_one(store: Store) -> None:
    data = make_tar("a")
    store.import_layer(diff(data), put(store, zstandard.compress(make_tar("lie"))), ())
    true = put(store, gzip.compress(data), media.OCI_LAYER_GZIP)
    layer = store.import_layer(diff(data), true, ())
    assert store.blob(layer, None, GZIP).digest == true.digest
    assert tar_of(store, layer) == data


def test_a_foreign_blob_is_never_taken_for_one_of_ours(store: Store) -> None:
    data = packed(file(b"f", b"data"))
    store.import_layer(diff(data), put(store, gzip.compress(make_tar("lie"))), ())
    ours = store.blob(add(store, file(b"f", b"data")), None, Compression("gzip", 0))
    with store.blobs.open(ours.digest) as reader:
        read = open_reader(reader.read)
        assert b"".join(iter(lambda: read(1000), b"")) == data


def test_layers_of_other_images_are_compressed_anew_when_that_is_forced(store: Store) -> None:
    data = make_tar("a")
    foreign = put(store, gzip.compress(data), media.OCI_LAYER_GZIP)
    layer = store.import_layer(diff(data), foreign, ())
    zstd = Compression("zstd", 3)
    assert store.blob(layer, None, zstd).digest == foreign.digest
    made = store.blob(layer, None, zstd._replace(forced=True))
    assert made.media_type == media.oci_layer("zstd")
    with store.blobs.open(made.digest) as reader:
        read = open_reader(reader.read)
        assert b"".join(iter(lambda: read(1000), b"")) == data
    assert store.blob(layer, None, zstd._replace(forced=True)) == made, "once"
    assert store.blob(layer, None, GZIP._replace(forced=True)).digest == foreign.digest
    assert store.blob(layer, None, zstd).digest == foreign.digest


def test_importing_costs_the_same_on_many_layers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    one = Database.one

    def counted(self: Database, query: str, values: Sequence[object] = ()) -> object:
        asked.append(query)
        return one(self, query, values)

    monkeypatch.setattr(Database, "one", counted)
    rootfs: Rootfs = ()
    costs = []
    for number in range(12):
        before = len(asked)
        data = make_tar(f"f{number}")
        rootfs += (store.import_layer(diff(data), put(store, gzip.compress(data)), rootfs),)
        costs.append(len(asked) - before)
    assert len(set(costs)) == 1


@pytest.mark.parametrize("contents", [True, False])
def test_layers_that_are_known_are_not_asked_for_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, contents: bool
) -> None:
    """Every step of a long chain looks at all layers below it."""
    rootfs: Rootfs = ()
    for number in range(3):
        rootfs = (*rootfs, add(store, file(b"f%d" % number), below=rootfs))
    store.tree(rootfs, contents=contents)
    monkeypatch.setattr(LayerRecords, "get", None)
    assert store.tree(rootfs, contents=contents).lookup(b"f0") is not None


def test_a_layer_without_its_blob_cannot_be_imported(store: Store) -> None:
    with pytest.raises(NotInStore, match="blob"):
        store.import_layer(diff(b""), Descriptor(media.OCI_LAYER, BlobDigest(Digest.of(b"x")), 1), ())


def test_an_uncompressed_blob_with_another_digest_cannot_be_imported(store: Store) -> None:
    with pytest.raises(IntegrityError, match="not compressed"):
        store.import_layer(diff(b"other"), put(store, make_tar("a")), ())


@pytest.mark.parametrize("contents", [False, True])
def test_a_false_diff_id_is_found_out_when_the_layer_is_read(store: Store, contents: bool) -> None:
    layer = store.import_layer(diff(b"lie"), put(store, gzip.compress(make_tar("a"))), ())
    with pytest.raises(IntegrityError, match="its image says"):
        store.tree((layer,), contents=contents)
    with pytest.raises(IntegrityError, match="its image says"):
        tar_of(store, layer)
    assert unfinished(store) == []
    assert not any(Path(store.root, "snapshots").iterdir())
    assert not any(Path(store.root, "indexes").iterdir())


def test_our_layer_is_never_taken_for_an_unverified_one(store: Store) -> None:
    data = packed(file(b"f", b"truth"))
    other = add(store, file(b"g"))
    lie = store.import_layer(diff(data), put(store, gzip.compress(make_tar("lie"))), (other,))
    assert add(store, file(b"f", b"truth"), below=(other,)) != lie


NAMES = st.lists(st.sampled_from(("a", "b", "link", ".wh.a")), min_size=1, max_size=3).map("/".join)
KINDS = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
MEMBERS = st.lists(st.tuples(NAMES, st.sampled_from(KINDS)), max_size=6)


def any_tar(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, (name, kind) in enumerate(members):
            member = tarfile.TarInfo(name)
            member.type, member.mtime, member.uid, member.gid = kind, number, os.getuid(), os.getgid()
            member.mode = 0o700 + number % 8
            if kind == tarfile.LNKTYPE:
                member.type = tarfile.LNKTYPE if members[0][1] == tarfile.REGTYPE else tarfile.REGTYPE
            member.linkname = {tarfile.SYMTYPE: "b", tarfile.LNKTYPE: members[0][0]}.get(member.type, "")
            data = b"%d" % number if member.type == tarfile.REGTYPE else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def followed(index: Index) -> list[tuple[Entry, bytes | None]]:
    """The records, a hard link as the file it names: which of several names is the file depends on the order."""
    records = list(index)
    files = {entry.path: (entry, sha256) for entry, sha256 in records if entry.kind is Kind.FILE}
    return [
        (files[entry.link][0]._replace(path=entry.path), files[entry.link][1])
        if entry.link in files
        else (entry, sha256)
        for entry, sha256 in records
    ]


@settings(max_examples=20, deadline=None)
@given(low=MEMBERS, high=MEMBERS)
@example(low=[], high=[("a", b"0"), ("b/a", b"1")])
def test_unpacking_writes_the_index_that_reading_would(
    tmp_path_factory: pytest.TempPathFactory, low: list[tuple[str, bytes]], high: list[tuple[str, bytes]]
) -> None:
    """Archives in any order, that name files twice, below links, and links to what is below."""
    found: list[list[object] | None] = []
    for contents in (False, True):
        with pytest.MonkeyPatch.context() as patch, Store.open(str(tmp_path_factory.mktemp("store"))) as store:
            patch.setattr("layers.durability.start", lambda root: None)
            rootfs: Rootfs = ()
            for data in (any_tar(low), any_tar(high)):
                rootfs = (*rootfs, store.import_layer(diff(data), put(store, data), rootfs))
            try:
                store.tree(rootfs, contents=contents)
            except UnsafeArchive:
                found.append(None)
                continue
            found.append([followed(Index(f"{store.root}/indexes/{layer}")) for layer in rootfs])
            assert store.check() == []
    assert found[0] == found[1] or found[1] is None


def test_an_unsafe_archive_leaves_nothing(store: Store) -> None:
    data = make_tar("../../evil")
    layer = store.import_layer(diff(data), put(store, data), ())
    for contents in (False, True):
        with pytest.raises(UnsafeArchive):
            store.tree((layer,), contents=contents)
    assert unfinished(store) == []
    assert not any(Path(store.root, "snapshots").iterdir())


def test_damaged_blobs_are_not_unpacked(store: Store) -> None:
    layer = add(store, file(b"f", b"data" * 1000))
    digest = next(iter(store.blobs))
    path = Path(store.root, "blobs", "sha256", digest.hex)
    path.write_bytes(path.read_bytes().replace(b"datad", b"dataD", 1))
    with pytest.raises(IntegrityError):
        store.tree((layer,), contents=True)
    assert store.check() == [f"blob {digest} is damaged in the store"]


def test_threads_share_one_unpacking(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = unpack

    def slow(*args: object, **more: object) -> None:
        calls.append("unpack")
        real(*args, **more)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr("layers.unpack.unpack", slow)
    layer = add(store, *(file(b"%03d" % number, b"x") for number in range(300)))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            assert len(store.tree((layer,), contents=True).children(b"")) == 300
            store.blob(layer, 7, GZIP)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert calls == ["unpack"]


# Workspaces


def test_a_workspace_becomes_a_layer(store: Store) -> None:
    base = add(store, file(b"low", b"1"))
    space = store.workspace((base,))
    assert (space.directory, space.lowers) == (f"{store.root}/snapshots", (str(base),))
    assert Path(space.upper).stat().st_mode & 0o7777 == 0o755
    Path(space.upper, "new").write_bytes(b"2")
    Path(space.work, "work").mkdir()
    top = space.commit()
    space.discard()
    assert unfinished(store) == []
    assert Path(store.root, "snapshots", str(top), "new").read_bytes() == b"2"
    tree = store.tree((base, top), contents=True)
    assert [entry.path for entry in tree.children(b"")] == [b"low", b"new"]
    with tarfile.open(fileobj=io.BytesIO(tar_of(store, top))) as archive:
        assert archive.getnames() == ["new"]
    assert store.check() == []


def test_a_discarded_workspace_leaves_nothing(store: Store) -> None:
    space = store.workspace(())
    assert space.lowers == ("empty",)
    Path(space.upper, "new").write_bytes(b"2")
    space.discard()
    assert unfinished(store) == []
    assert store.prune(all=True).layers == 0


def test_snapshots_of_dead_processes_do_not_stand_in_the_way(store: Store) -> None:
    space = store.workspace(())
    Path(space.upper, "mine").write_bytes(b"")
    Path(store.root, "snapshots", "1", "foreign").mkdir(parents=True)
    layer = space.commit()
    assert layer == 1
    assert [path.name for path in Path(store.root, "snapshots", "1").iterdir()] == ["mine"]


def test_layers_that_are_gone(store: Store) -> None:
    with pytest.raises(NotInStore, match="layer 7"):
        store.workspace((LayerId(7),))
    with pytest.raises(NotInStore):
        store.tree((LayerId(7),))
    with pytest.raises(NotInStore):
        store.diff_id(LayerId(7), None)
    with pytest.raises(NotInStore):
        store.record_step(key("a"), key("b"), (LayerId(7),), None, 1.0)
    with pytest.raises(NotInStore):
        store.put_image(b"", (LayerId(7),), (None,), ())


# Steps and images


def test_diff_ids_of_a_root_file_system(store: Store) -> None:
    data = make_tar("base")
    base = store.import_layer(diff(data), put(store, data), ())
    made = add(store, file(b"f", mtime=100), below=(base,))
    snapshot = store.add_directory([directory(b"d")], (base, made))
    assert snapshot is not None
    rootfs = (base, made, snapshot, made)
    clamps = (5, None, None, 50)
    assert store.diff_ids(rootfs, clamps) == [
        store.diff_id(layer, clamp) for layer, clamp in zip(rootfs, clamps, strict=True)
    ]
    with pytest.raises(NotInStore):
        store.diff_ids((base, LayerId(99)), (None, None))
    with pytest.raises(ValueError, match="zip"):
        store.diff_ids((base,), ())


def test_many_diff_ids_take_as_many_queries_as_few(store: Store) -> None:
    few = tuple(add(store, file(b"%d" % number)) for number in range(2))
    many = few + tuple(add(store, file(b"%d" % number)) for number in range(2, 20))
    queries: list[str] = []
    store._context.database.connection().set_trace_callback(queries.append)
    store.diff_ids(few, (None,) * len(few))
    taken = len(queries)
    store.diff_ids(many, (None,) * len(many))
    assert len(queries) == 2 * taken


def test_steps_are_found_under_both_keys(store: Store) -> None:
    layer = add(store, file(b"f"))
    store.record_step(key("recipe"), key("effective"), (layer,), layer, 12.0)
    found = store.find_steps([key("recipe"), key("effective"), key("other")])
    assert found == dict.fromkeys(
        (key("recipe"), key("effective")), StepRecord(key("effective"), str(layer), layer, 12.0)
    )
    assert store.find_steps([]) == {}


def test_steps_without_all_their_layers_are_not_found(store: Store) -> None:
    layer = add(store, file(b"f"))
    store.record_step(key("a"), key("a"), (layer,), layer, 1.0)
    store._context.layers.delete((layer,))
    assert store.find_steps([key("a")]) == {}


def test_images(store: Store, clock: Clock) -> None:
    layer = add(store, file(b"f"))
    made = store.put_image(b"{config}", (layer,), (None,), ("docker.io/library/a:1",))
    names = ("docker.io/library/a:1",)
    assert made == StoredImage(Digest.of(b"{config}"), b"{config}", (layer,), (None,), names, clock.now)
    clock.now += 100
    again = store.put_image(b"{config}", (layer,), (None,), ("b:2",))
    assert again == made._replace(names=("b:2", "docker.io/library/a:1"))
    other = store.put_image(b"{other}", (layer,), (5,), ("b:2",))
    assert store.images() == [other, made]
    assert store.image("b:2") == other
    assert store.image(str(made.id)) == store.image(made.id.hex[:12]) == made
    assert store.image("sha256:" + made.id.hex[:8]) == made
    assert store.image("unknown:1") is None
    assert store.image("") is None
    store.tag(made.id, "b:2")
    assert store.image("b:2") == made._replace(names=("b:2", "docker.io/library/a:1"))
    assert store.untag("b:2")
    assert not store.untag("b:2")
    store.remove_image(made.id)
    assert store.image("docker.io/library/a:1") is None
    with pytest.raises(NotInStore):
        store.tag(made.id, "x")
    with pytest.raises(NotInStore):
        store.remove_image(made.id)
    with pytest.raises(ValueError, match="clamps"):
        store.put_image(b"", (layer,), (), ())


# Opening


def test_a_new_store_is_private(store: Store) -> None:
    assert Path(store.root).stat().st_mode & 0o777 == 0o700


def test_what_was_stored_is_there_when_opened_again(open_store: Callable[[], Store]) -> None:
    with open_store() as first:
        layer = add(first, file(b"f", b"x"))
        first.record_step(key("a"), key("a"), (layer,), layer, 1.0)
    assert not any(Path(first.root, "tmp").iterdir())
    assert not any(Path(first.root, "leases").iterdir())
    with open_store() as second:
        assert second.find_steps([key("a")])[key("a")].rootfs == (layer,)
        assert second.tree((layer,)).lookup(b"f") is not None
        second.close()


def test_a_store_of_a_newer_version(open_store: Callable[[], Store]) -> None:
    with open_store() as store:
        root = store.root
    database = Database(f"{root}/store.db")
    database.write("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="version 99"):
        open_store()


def test_a_place_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be made"):
        Store.open(str(tmp_path / "file" / "store"))


def test_a_store_on_overlay_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path.stat().st_dev
    line = f"1 1 {os.major(status)}:{os.minor(status)} / / rw shared:1 - overlay overlay rw\n"
    (tmp_path / "mountinfo").write_text(line)
    monkeypatch.setattr("layers.storefolder.MOUNTS", str(tmp_path / "mountinfo"))
    with pytest.raises(StoreError, match="overlay") as caught:
        Store.open(str(tmp_path / "store"))
    assert caught.value.hint is not None and "volume" in caught.value.hint


LOOK_UP = """
import sys
from layers.digest import CacheKey, Digest
from layers.store import Store, StoredImage
with Store.open(sys.argv[1]) as store:
    found = store.find_steps([CacheKey(Digest.of(b"a"))])
    store.image("name:1")
heavy = {"zlib_ng", "zstandard", "ctypes", "subprocess", "tarfile", "concurrent.futures", "json", "layers.image",
         "layers.pack", "layers.unpack", "layers.compress", "layers.tarfmt", "layers.overlayfmt", "layers.gc",
         "layers.materialise", "layers.index", "layers.view"}
print(len(found), sorted(heavy.intersection(sys.modules)))
"""


def test_looking_up_imports_little(open_store: Callable[[], Store]) -> None:
    with open_store() as store:
        layer = add(store, file(b"f"))
        store.record_step(key("a"), key("a"), (layer,), layer, 1.0)
    out = subprocess.run(
        [sys.executable, "-c", LOOK_UP, store.root], check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    assert out.stdout == "1 []\n"


def test_a_loop_of_links_is_unsafe_for_the_index_too(store: Store) -> None:
    data = any_tar([("b", tarfile.SYMTYPE), ("b/a", tarfile.REGTYPE)])
    layer = store.import_layer(diff(data), put(store, data), ())
    for contents in (False, True):
        with pytest.raises(UnsafeArchive, match="loop of links"):
            store.tree((layer,), contents=contents)
