"""Finding bases in a store and in named contexts."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.dockerfile.parse import parse
from builder.errors import PlanError
from builder.plan.bases import resolve
from builder.plan.lower import lower
from builder.plan.pulling import Images, Reports
from builder.plan.reach import Base, Bases
from builder.request import NamedContext
from layers import media
from layers.digest import BlobDigest, Digest
from layers.image import ImageConfig, encode
from layers.store import Store
from tests.support.planning import AMD64, request, titles


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def keep(store: Store, name: str, **config: object) -> None:
    """An image without layers: what matters here is its config."""
    raw = encode(ImageConfig(platform=AMD64, author=name, **config))  # type: ignore[arg-type]  # fields of a test
    store.put_image(raw, (), (), (name,))


def alone(store: Store) -> Images:
    """No registry may be asked."""
    return Images(store, None, AMD64, Reports(lambda _: None, lambda: 0.0))


def found(text: str, store: Store, *contexts: NamedContext) -> Bases:
    asked = request(text, build_contexts=contexts)
    return resolve(parse(asked.dockerfile_text, "Dockerfile"), asked, store, alone(store))


def names(bases: Bases) -> list[str]:
    return sorted(base.name for base in bases.values())


def layout(directory: Path, *tags: str) -> str:
    """An OCI layout with an image per tag."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes) -> dict[str, object]:
        digest = Digest.of(data)
        (blobs / digest.hex).write_bytes(data)
        return {"digest": str(digest), "size": len(data)}

    entries = []
    for tag in tags:
        config = {"mediaType": media.OCI_CONFIG, **blob(encode(ImageConfig(platform=AMD64, author=tag)))}
        manifest = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": config, "layers": []}
        entries.append(
            {
                "mediaType": media.OCI_MANIFEST,
                **blob(json.dumps(manifest).encode()),
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }
        )
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries}
    (directory / "index.json").write_text(json.dumps(index))
    return str(directory)


def test_nothing_is_asked_for_scratch_and_stages(store: Store) -> None:
    assert found("FROM scratch AS a\nFROM a\nCOPY --from=0 / /\nCOPY --from=scratch / /\n", store) == {}


def test_images_of_the_store_by_any_form_of_their_name(store: Store) -> None:
    keep(store, "docker.io/library/debian:12")
    keep(store, "docker.io/library/tools:latest")
    bases = found("FROM debian:12\nCOPY --from=docker.io/library/tools / /\n", store)
    assert names(bases) == ["docker.io/library/debian:12", "docker.io/library/tools:latest"]
    assert [base.config.author for base in bases.values()] == [base.name for base in bases.values()]


def test_only_what_the_target_needs(store: Store) -> None:
    keep(store, "docker.io/library/used:latest")
    assert names(found("FROM missing\nFROM used\n", store)) == ["docker.io/library/used:latest"]


def test_triggers_bring_further_images_in_rounds(store: Store) -> None:
    keep(store, "docker.io/library/a:latest", onbuild=("COPY --from=b / /",))
    keep(store, "docker.io/library/b:latest", onbuild=("COPY --from=never / /",))
    assert names(found("FROM a\n", store)) == ["docker.io/library/a:latest", "docker.io/library/b:latest"]


def test_a_missing_image_is_named_with_its_line(store: Store) -> None:
    with pytest.raises(PlanError) as caught:
        found("FROM scratch AS builder\n\nFROM buildr\n", store)
    assert caught.value.message == "buildr: there is no image docker.io/library/buildr:latest in the store"
    assert caught.value.hint == "did you mean builder?"
    assert caught.value.span is not None and caught.value.span.first_line == 3


def test_a_missing_image_of_a_copy(store: Store) -> None:
    with pytest.raises(PlanError, match="there is no image") as caught:
        found("FROM scratch\nCOPY --from=gone / /\n", store)
    assert caught.value.span is not None and caught.value.span.first_line == 2
    assert "pybuild load" in (caught.value.hint or "")


def test_a_digest_is_no_name_of_what_was_loaded(store: Store) -> None:
    keep(store, "docker.io/library/debian:12")
    with pytest.raises(PlanError, match="no image"):
        found(f"FROM debian:12@sha256:{'0' * 64}\n", store)


def test_an_image_stands_for_another(store: Store) -> None:
    keep(store, "docker.io/library/mine:1")
    bases = found("FROM debian\n", store, NamedContext("debian", "docker-image", "docker.io/library/mine:1"))
    assert names(bases) == ["docker.io/library/mine:1"]


def test_a_layout_stands_for_a_stage_or_an_image(store: Store, tmp_path: Path) -> None:
    directory = layout(tmp_path / "layout", "v1")
    contexts = (NamedContext("debian", "oci-layout", directory), NamedContext("build", "oci-layout", directory))
    text = "FROM missing AS build\nRUN never\nFROM debian\nCOPY --from=build /a /b\n"
    asked = request(text, build_contexts=contexts)
    dockerfile = parse(asked.dockerfile_text, "Dockerfile")
    bases = resolve(dockerfile, asked, store, alone(store))
    assert {base.config.author for base in bases.values()} == {"v1"}
    # The layout holds one image, so both are one node.
    assert titles(lower(dockerfile, bases, asked)) == [f"FROM oci-layout://{directory}", "COPY --from=build /a /b"]


def test_one_image_of_a_layout_is_picked_by_tag(store: Store, tmp_path: Path) -> None:
    directory = layout(tmp_path / "layout", "v1", "v2")
    (base,) = found("FROM x\n", store, NamedContext("x", "oci-layout", directory, "v2")).values()
    assert isinstance(base, Base)
    assert base.config.author == "v2"
    assert base.name == f"oci-layout://{directory}:v2"
    with pytest.raises(PlanError, match="holds 2 images") as caught:
        found("FROM x\n", store, NamedContext("x", "oci-layout", directory))
    assert f"--build-context x=oci-layout://{directory}:TAG" in (caught.value.hint or "")


def test_without_a_tag_it_is_the_latest(store: Store, tmp_path: Path) -> None:
    directory = layout(tmp_path / "layout", "v1", "latest")
    (base,) = found("FROM x\n", store, NamedContext("x", "oci-layout", directory)).values()
    assert isinstance(base, Base)
    assert base.config.author == "latest"


def test_an_image_of_a_layout_by_its_digest(store: Store, tmp_path: Path) -> None:
    """Be it below an index of several platforms, which alone the layout lists."""
    directory = Path(layout(tmp_path / "layout", "v1"))
    listed = json.loads((directory / "index.json").read_text())
    inner = listed["manifests"][0]["digest"]
    index = json.dumps({**listed, "mediaType": media.OCI_INDEX}).encode()
    outer = BlobDigest(Digest.of(index))
    (directory / "blobs/sha256" / outer.hex).write_bytes(index)
    listed["manifests"] = [{"mediaType": media.OCI_INDEX, "digest": str(outer), "size": len(index)}]
    (directory / "index.json").write_text(json.dumps(listed))
    for reference in (inner, str(outer)):
        (base,) = found("FROM x\n", store, NamedContext("x", "oci-layout", str(directory), reference)).values()
        assert isinstance(base, Base)
        assert base.config.author == "v1"
    with pytest.raises(PlanError, match=f"holds no image called sha256:{'0' * 64}"):
        found("FROM x\n", store, NamedContext("x", "oci-layout", str(directory), f"sha256:{'0' * 64}"))


@pytest.mark.parametrize("reference", [None, "v9"])
def test_a_layout_without_the_image(store: Store, tmp_path: Path, reference: str | None) -> None:
    directory = layout(tmp_path / "layout", "v1") if reference else str(tmp_path)
    with pytest.raises(PlanError, match="build context x") as caught:
        found("FROM x\n", store, NamedContext("x", "oci-layout", directory, reference))
    assert caught.value.span is not None
