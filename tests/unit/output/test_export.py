"""Outputs written from a real store."""

import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import Cancelled, PlanError, Span
from builder.events import Phase, Transfer
from builder.output.export import ExportResult
from builder.output.target import OutputError
from builder.plan.graph import BareFiles
from builder.request import OutputSpec
from layers.compress import Compression
from layers.digest import DiffId, LayerId
from layers.errors import PybuildError
from layers.image import Descriptor
from layers.localdir import InTheWay
from layers.store import Store
from tests.conftest import REPOSITORY
from tests.support import stored
from tests.support.stored import FLAT, SECOND_NS, TIME_NS
from tests.support.validate import files_of, validate

TAGS = ("docker.io/me/app:1", "docker.io/library/app:latest")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store"), clock=lambda: 1_700_000_000.0) as opened:
        yield opened


def blobs_in(path: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(path))


@pytest.mark.parametrize("kind", ["oci", "docker"])
@pytest.mark.parametrize(
    "compression", [("gzip", None), ("gzip", 1), ("zstd", None), ("zstd", 0), ("none", None)], ids=str
)
def test_archives(store: Store, tmp_path: Path, kind: str, compression: tuple[str, int | None]) -> None:
    built = stored.build(store)
    suffix = "" if compression[0] == "none" else f"+{compression[0]}"
    spec = OutputSpec(kind, str(tmp_path / "image.tar"), *compression)
    result = stored.export(store, built, stored.request(spec, tags=TAGS))
    checked = validate(tmp_path / "image.tar")
    assert checked.names == TAGS
    assert checked.image_id == str(built.stored.id)
    assert {layer["mediaType"] for layer in checked.manifest["layers"]} == {
        f"application/vnd.oci.image.layer.v1.tar{suffix}"
    }
    index = json.loads(files_of(tmp_path / "image.tar")["index.json"])
    assert result.manifest_digest == index["manifests"][0]["digest"]
    assert result.descriptor is not None
    assert dict(result.descriptor.annotations) == {"org.opencontainers.image.created": "2023-11-14T22:13:20Z"}
    if kind == "docker":
        listed = json.loads(files_of(tmp_path / "image.tar")["manifest.json"])
        assert listed[0]["RepoTags"] == ["me/app:1", "app:latest"]


def test_files_without_a_configuration_are_no_image(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    built = built._replace(plan=built.plan._replace(bare=BareFiles("dir", Span("Dockerfile", 1, 1))))
    tar, oci = OutputSpec("tar", str(tmp_path / "x.tar")), OutputSpec("oci", str(tmp_path / "y.tar"))
    for outputs in ((), (oci,), (tar, oci)):
        with pytest.raises(PlanError, match="the build context dir stands for the stage of that name") as caught:
            stored.export(store, built, stored.request(*outputs))
        assert caught.value.span == Span("Dockerfile", 1, 1)
    stored.export(store, built, stored.request(tar))
    assert (tmp_path / "x.tar").exists()


def test_a_layout_directory(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    stored.export(store, built, stored.request(OutputSpec("oci", str(tmp_path / "image"), tar=False), tags=TAGS[:1]))
    assert validate(tmp_path / "image").names == TAGS[:1]


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_with_an_epoch_two_stores_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    paths = []
    for name, now in (("a", 1_700_000_000.0), ("b", 1_800_000_000.0)):
        with Store.open(str(tmp_path / f"store-{name}"), clock=lambda now=now: now) as store:  # type: ignore[misc]
            built = stored.build(store, epoch=60)
            paths.append(tmp_path / f"{name}.tar")
            stored.export(store, built, stored.request(OutputSpec(kind, str(paths[-1])), tags=TAGS))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    checked = validate(paths[0])
    assert checked.config["created"] == "1970-01-01T00:01:00Z"
    assert max(member.mtime for layer in checked.layers for member in members(layer)) == 60


def members(tar: bytes) -> list[tarfile.TarInfo]:
    import io

    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return archive.getmembers()


@pytest.mark.needs_root
@pytest.mark.parametrize("epoch", [None, 60])
def test_a_tar_of_the_root_filesystem(store: Store, tmp_path: Path, epoch: int | None) -> None:
    built = stored.build(store, epoch=epoch)
    result = stored.export(store, built, stored.request(OutputSpec("tar", str(tmp_path / "root.tar"))))
    assert result == ExportResult(None, None)
    found = {}
    with tarfile.open(tmp_path / "root.tar") as archive:
        for member in archive:
            kind = {tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink", tarfile.LNKTYPE: "hardlink"}.get(
                member.type, "file"
            )
            data = archive.extractfile(member)
            content = data.read() if kind == "file" and data is not None else member.linkname.encode()
            found[member.name] = (kind, member.mode, member.uid, content)
            assert member.mtime == (TIME_NS // SECOND_NS if epoch is None else epoch)
    assert found == FLAT
    assert list(found) == sorted(found, key=lambda name: name.split("/"))


@pytest.mark.needs_root
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("epoch", [None, 60])
def test_a_directory_of_the_root_filesystem(store: Store, tmp_path: Path, there: bool, epoch: int | None) -> None:
    built = stored.build(store, epoch=epoch)
    out = tmp_path / "deep" / "out"
    if there:
        (out / "data").mkdir(parents=True, mode=0o700)
        (out / "data" / "mine").write_text("mine")
        (out / "sh").write_text("old")
    stored.export(store, built, stored.request(OutputSpec("local", str(out))))
    found = {str(path.relative_to(out)): path for path in sorted(out.rglob("*"))}
    assert set(found) == set(FLAT) | ({"data/mine"} if there else set())
    for name, (kind, mode, _, content) in FLAT.items():
        status = found[name].lstat()
        assert status.st_uid == os.geteuid()
        assert kind == "symlink" or status.st_mode & 0o7777 == mode
        assert status.st_mtime_ns == (TIME_NS if epoch is None else epoch * SECOND_NS)
        if kind == "file":
            assert found[name].read_bytes() == content
    assert found["sh"].readlink() == Path("bin/tool")
    assert found["data/twin"].samefile(found["data/kept"])


@pytest.mark.needs_root
def test_a_directory_in_the_way_of_a_file_is_kept(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    out = tmp_path / "out"
    (out / "sh").mkdir(parents=True)
    (out / "old").touch()
    with pytest.raises(InTheWay, match="is in the way"):
        stored.export(store, built, stored.request(OutputSpec("local", str(out))))
    assert sorted(path.name for path in out.iterdir()) == ["old", "sh"]


@pytest.mark.parametrize("spec", [OutputSpec("oci", "a/b/x"), OutputSpec("oci", "a/b/x", tar=False)])
def test_directories_above_an_output_are_made(store: Store, tmp_path: Path, spec: OutputSpec) -> None:
    built = stored.build(store)
    stored.export(store, built, stored.request(spec._replace(dest=str(tmp_path / "a/b/x"))))
    assert (tmp_path / "a/b/x").exists()


def test_several_outputs_of_one_build(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    specs = [OutputSpec("oci", str(tmp_path / f"{kind}.tar"), kind) for kind in ("zstd", "gzip")]
    events: list[object] = []
    result = stored.export(store, built, stored.request(*specs), events)
    manifests = [
        json.loads(files_of(tmp_path / f"{kind}.tar")["index.json"])["manifests"][0] for kind in ("zstd", "gzip")
    ]
    assert result.manifest_digest == manifests[0]["digest"] != manifests[1]["digest"]
    phases = [(e.name, e.start, e.detail) for e in events if isinstance(e, Phase) and e.name == "output"]
    assert phases == [("output", start, f"oci {spec.dest}") for spec in specs for start in (True, False)]
    transfers = [event for event in events if isinstance(event, Transfer)]
    assert transfers[-1].done == (tmp_path / "gzip.tar").stat().st_size


def test_without_outputs_nothing_is_packed(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    before = blobs_in(tmp_path / "store/blobs")
    assert stored.export(store, built, stored.request(tags=TAGS)) == ExportResult(None, None)
    assert blobs_in(tmp_path / "store/blobs") == before


def test_offered_layers_are_packed_before_the_end(store: Store, tmp_path: Path) -> None:
    built = stored.build(store)
    before = blobs_in(tmp_path / "store/blobs")
    asked = stored.request(OutputSpec("oci", str(tmp_path / "image.tar")))
    with stored.opened(store, built, asked, lambda _: None) as exporter:
        for position, layer in enumerate(built.rootfs):
            exporter.offer(position, layer, made=True)
        exporter.wait()
        assert blobs_in(tmp_path / "store/blobs") == before + len(built.rootfs)


@pytest.mark.parametrize(("made", "idle"), [(True, True), (True, False), (False, True)])
def test_without_outputs_diff_ids_are_made_when_there_is_time(
    store: Store, made: bool, idle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = stored.build(store)
    workspace = store.workspace(())
    Path(workspace.upper, "f").write_bytes(b"data")
    layer = workspace.commit()
    asked: list[tuple[LayerId, str]] = []
    diff_id = store.diff_id

    def ask(layer: LayerId, clamp: int | None) -> DiffId:
        asked.append((layer, threading.current_thread().name))
        return diff_id(layer, clamp)

    monkeypatch.setattr(store, "diff_id", ask)
    with stored.opened(store, built, stored.request(), lambda _: None) as exporter:
        exporter.offer(0, layer, made=made)
        if idle:
            exporter.idle()
        exporter.wait()
    assert asked == ([(layer, "pybuild-export")] if made and idle else [])


IDLE = """
import sys
from types import SimpleNamespace
from builder.output.export import Exporter
Exporter(SimpleNamespace(tags=(), annotations=()), None, None, [], None).idle()
print(*sys.modules)
"""


def test_what_packs_is_imported_when_there_is_time() -> None:
    done = subprocess.run([sys.executable, "-c", IDLE], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    assert {"layers.pack", "layers.packing", "layers.indexing"} <= set(done.stdout.split())


class Gated:
    """Store.blob that waits until it is let go."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.calls: list[LayerId] = []
        self._blob = store.blob
        monkeypatch.setattr(store, "blob", self)

    def __call__(self, layer: LayerId, clamp: int | None, compression: Compression) -> Descriptor:
        self.calls.append(layer)
        self.entered.set()
        assert self.go.wait(30)
        return self._blob(layer, clamp, compression)


def test_offering_returns_at_once_and_giving_up_drops_what_waits(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = stored.build(store)
    gated = Gated(store, monkeypatch)
    exporter = stored.opened(
        store, built, stored.request(OutputSpec("oci", str(tmp_path / "image.tar"))), lambda _: None
    )
    for position, layer in enumerate(built.rootfs):
        exporter.offer(position, layer, made=True)
    assert gated.entered.wait(30)
    thread = next(thread for thread in threading.enumerate() if thread.name == "pybuild-export")
    exporter.abort()
    gated.go.set()
    thread.join(30)
    assert gated.calls == [built.rootfs[0]]
    with pytest.raises(Cancelled):
        exporter.finish(built.config, built.rootfs, built.clamps, built.stored)
    assert not (tmp_path / "image.tar").exists()


def test_what_packing_fails_at_is_raised_at_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = stored.build(store)

    def failing(*_: object) -> Descriptor:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "blob", failing)
    with pytest.raises(OSError, match="No space left"):
        stored.export(store, built, stored.request(OutputSpec("oci", str(tmp_path / "image.tar"))))
    assert not (tmp_path / "image.tar").exists()


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (OutputSpec("oci", "{}/file/image.tar"), "file is not a directory"),
        (OutputSpec("oci", "{}"), "is a directory"),
        (OutputSpec("docker", "{}"), "is a directory"),
        (OutputSpec("tar", "{}/file/below/root.tar"), "file is not a directory"),
        (OutputSpec("local", "{}/file"), "file is not a directory"),
        (OutputSpec("local", "{}/file/below"), "file is not a directory"),
        (OutputSpec("oci", "{}/file", tar=False), "is not a directory"),
        (OutputSpec("oci", "-", tar=False), "cannot go to standard output"),
        (OutputSpec("oci", "{}/image.tar", "brotli"), "brotli is not a compression"),
        (OutputSpec("oci", "{}/image.tar", "gzip", 10), "has no compression level 10"),
        (OutputSpec("image", "{}/image.tar"), "there is no output type=image"),
        (OutputSpec("tar", None), "there is no output type=tar"),
        (OutputSpec("load", None), "cannot load into the Docker Engine"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_build(
    store: Store, tmp_path: Path, spec: OutputSpec, problem: str
) -> None:
    (tmp_path / "file").touch()
    built = stored.build(store)
    asked = stored.request(spec._replace(dest=spec.dest and spec.dest.format(tmp_path)))
    with pytest.raises(PybuildError, match=problem):
        stored.opened(store, built, asked, lambda _: None)


@pytest.mark.parametrize("host", ["ssh://host", "npipe:////./pipe/x", "nonsense"])
def test_engines_that_cannot_be_reached(store: Store, host: str) -> None:
    built = stored.build(store)
    with pytest.raises(OutputError, match="is not supported"):
        stored.opened(store, built, stored.request(OutputSpec("load", None), docker_host=host), lambda _: None)


@pytest.mark.needs_root
@pytest.mark.parametrize("kind", ["oci", "docker", "tar"])
def test_a_full_disk_names_the_output(store: Store, kind: str) -> None:
    built = stored.build(store)
    with pytest.raises(OutputError, match="output /dev/full: No space left on device"):
        stored.export(store, built, stored.request(OutputSpec(kind, "/dev/full")))


def test_standard_output(store: Store, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    built = stored.build(store)
    stored.export(store, built, stored.request(OutputSpec("oci", "-")))
    (tmp_path / "image.tar").write_bytes(capfdbinary.readouterr().out)
    validate(tmp_path / "image.tar")
