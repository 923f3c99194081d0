"""Whole builds, of steps that run no command."""

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from builder import api
from builder.api import BuildResult
from builder.errors import PlanError
from builder.request import BuildRequest, NamedContext, OutputSpec
from layers.errors import PybuildError
from layers.image import Platform
from layers.load import load
from layers.passing import Passing
from layers.store import Store

NAME = "docker.io/library/{}:latest"
AMD64 = Platform("linux", "amd64")


class Builds:
    """Builds in one store, of one context; ``now`` goes on by a second with every look at the clock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 2_000_000_000.0
        (directory / "context").mkdir()

    def clock(self) -> float:
        self.now += 1
        return self.now

    def write(self, name: str, data: bytes) -> None:
        (self.directory / "context" / name).write_bytes(data)

    def build(self, name: str, text: str, **fields: Any) -> BuildResult:
        return api.build(self.request(name, text, **fields), lambda _: None, clock=self.clock)

    def request(self, name: str, text: str, **fields: Any) -> BuildRequest:
        asked = BuildRequest(
            context=str(self.directory / "context"),
            dockerfile_path="Dockerfile",
            dockerfile_text=dedent(text).encode(),
            root=str(self.directory / "store"),
            platform=AMD64,
            tags=(NAME.format(name),),
        )
        return asked._replace(**fields)

    def archive(self, name: str) -> str:
        return str(self.directory / f"{name}.tar")

    def store(self) -> Store:
        return Store.open(str(self.directory / "store"))

    def diff_ids(self, name: str) -> list[str]:
        with self.store() as store:
            image = store.image(NAME.format(name))
            assert image is not None
            found = [str(store.diff_id(layer, clamp)) for layer, clamp in zip(image.rootfs, image.clamps, strict=True)]
            assert found == json.loads(image.config)["rootfs"]["diff_ids"]
            return found


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    return Builds(tmp_path)


def test_files_that_are_no_image_can_be_planned(builds: Builds) -> None:
    """What is written of them is not known then, as it is to a build."""
    contexts = (NamedContext("dir", "local", str(builds.directory / "context")),)
    builds.write("f", b"f")
    text = "FROM scratch AS dir\n"
    with pytest.raises(PlanError, match="dir stands for the stage of that name, and is no image"):
        builds.build("x", text, build_contexts=contexts)
    made, _ = api.plan(builds.request("x", text, build_contexts=contexts), clock=builds.clock)
    assert made.nodes[made.target].title == "FROM dir"
    builds.build("x", text, build_contexts=contexts, tags=(), outputs=(OutputSpec("tar", builds.archive("x")),))


def test_the_layers_of_an_image_are_those_of_its_base_and_its_own(builds: Builds) -> None:
    """A base that was built with a SOURCE_DATE_EPOCH and then loaded from a file has the same diff ids by other layers:
    steps cached on the first must not bring them into an image on the second."""
    builds.write("f", b"base")
    builds.write("g", b"app")
    file = builds.archive("base")
    builds.build("base", "FROM scratch\nCOPY f /f\n", epoch=100, outputs=(OutputSpec("oci", file),))
    text = "FROM base\nCOPY g /g\n"
    first = builds.build("app", text)
    diff_ids = builds.diff_ids("app")
    assert diff_ids[:1] == builds.diff_ids("base")
    with builds.store() as store:
        load(store, file, platform=AMD64)
    second = builds.build("app", text)
    assert builds.diff_ids("app") == diff_ids
    assert second.image_id == first.image_id


def test_a_base_built_here_has_the_times_that_its_archive_has(builds: Builds) -> None:
    """Keys know a base by its diff ids, so what is copied from it must not depend on where it came from."""
    builds.write("f", b"base")
    file = builds.archive("base")
    builds.build("base", "FROM scratch\nCOPY f /f\n", epoch=100, outputs=(OutputSpec("oci", file),))
    text = "FROM scratch\nCOPY --from=base /f /f\n"
    builds.build("here", text)
    here = builds.diff_ids("here")
    with builds.store() as store:
        load(store, file, platform=AMD64)
    builds.build("loaded", text, no_cache=True)
    assert builds.diff_ids("loaded") == here


def test_a_build_with_nothing_to_do_gives_the_same_image(builds: Builds) -> None:
    builds.write("f", b"1")
    text = "FROM scratch AS a\nCOPY f /f\nFROM scratch\nCOPY --from=a /f /g\nWORKDIR /w\nLABEL a=b\n"
    first = builds.build("app", text)
    assert builds.build("app", text) == first
    builds.write("f", b"2")
    assert builds.build("app", text).image_id != first.image_id


def test_with_an_epoch_images_do_not_depend_on_the_time(builds: Builds) -> None:
    builds.write("f", b"1")
    text = "FROM scratch\nCOPY f /a/b/\nWORKDIR /w/x\n"
    first = builds.build("app", text, epoch=100)
    again = builds.build("other", text, epoch=100, no_cache=True)
    assert again.image_id == first.image_id
    assert builds.build("app", text, epoch=200).image_id != first.image_id


def blob_kinds(store: Store) -> list[str]:
    """Compressions of the layers in the store."""
    return [kind for (kind,) in store._context.database.all("SELECT kind FROM blobs ORDER BY kind")]


@pytest.mark.parametrize(
    ("outputs", "epoch", "kinds"),
    [
        (("gzip",), None, ["gzip"]),
        (("zstd",), None, ["zstd"]),
        (("gzip", "zstd"), None, ["gzip", "none", "zstd"]),
        (("gzip",), 5, ["gzip", "none"]),
        ((), None, ["none"]),
    ],
)
def test_a_layer_is_packed_once_when_one_compression_is_asked_for(
    builds: Builds, outputs: tuple[str, ...], epoch: int | None, kinds: list[str]
) -> None:
    builds.write("f", b"text" * 1000)
    specs = tuple(OutputSpec("oci", builds.archive(kind), compression=kind) for kind in outputs)
    builds.build("app", "FROM scratch\nCOPY f /f\n", outputs=specs, epoch=epoch)
    with builds.store() as store:
        assert blob_kinds(store) == kinds


def test_the_bytes_of_a_layer_do_not_depend_on_when_it_was_packed(builds: Builds) -> None:
    builds.write("f", b"text" * 100_000)
    (builds.directory / "context/f").chmod(0o644)
    layers = []
    for root, first in (("at-once", ()), ("later", (False,))):
        for _ in first:
            builds.build("app", "FROM scratch\nCOPY f /f\n", root=str(builds.directory / root))
        output = (OutputSpec("oci", builds.archive(root)),)
        builds.build("app", "FROM scratch\nCOPY f /f\n", root=str(builds.directory / root), outputs=output)
        with Store.open(str(builds.directory / root)) as store:
            layers.append(store._context.database.all("SELECT digest FROM blobs WHERE kind = 'gzip'"))
    assert layers[0] == layers[1] != []


def test_an_ignore_file_has_to_be_right_even_when_no_step_needs_the_context(builds: Builds) -> None:
    with pytest.raises(PybuildError, match="not closed"):
        builds.build("x", "FROM scratch\nENV a=1\n", ignores=((".dockerignore", b"[a\n"),))


ONE = "FROM scratch\nCOPY f /f\n"


@pytest.mark.parametrize(
    ("text", "fields", "passed"),
    [
        (ONE, {}, 1),
        (ONE + "COPY f /g\n", {}, 2),  # of what it stands on, a COPY needs names alone
        ("FROM scratch AS s\nCOPY f /f\nCOPY f /g\nFROM s\nCOPY --from=s f /h\n", {}, 1),
        (ONE, {"epoch": 100}, 0),
        (ONE, {"outputs": "oci"}, 0),
        (ONE, {"outputs": "tar"}, 0),
    ],
)
def test_archives_that_this_build_reads_stay_in_memory(
    builds: Builds, monkeypatch: pytest.MonkeyPatch, text: str, fields: dict[str, Any], passed: int
) -> None:
    files: list[Passing] = []

    class Counted(Passing):
        def __init__(self, descriptor: int) -> None:
            super().__init__(descriptor)
            files.append(self)

    monkeypatch.setattr("layers.passing.Passing", Counted)
    builds.write("f", b"f")
    if "outputs" in fields:
        fields = {"outputs": (OutputSpec(fields["outputs"], builds.archive("x")),)}
    builds.build("app", text, **fields)
    assert len(files) == passed
    assert builds.diff_ids("app")
