import json
from typing import Any

import pytest

from layers import media
from layers.digest import BlobDigest, Digest
from layers.errors import InvalidImage
from layers.image import Descriptor, Platform
from layers.manifest import Index, describe, encode_index, encode_manifest, parse, parse_index, parse_manifest

CONFIG = describe(b"config", media.OCI_CONFIG)
LAYER = describe(b"layer", media.OCI_LAYER_GZIP)


def test_a_manifest_is_written_as_buildkit_does() -> None:
    made = encode_manifest(CONFIG, [LAYER])
    assert (
        made.raw.decode()
        == f"""{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {{
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": "{CONFIG.digest}",
    "size": 6
  }},
  "layers": [
    {{
      "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
      "digest": "{LAYER.digest}",
      "size": 5
    }}
  ]
}}"""
    )
    assert made.descriptor == Descriptor(media.OCI_MANIFEST, BlobDigest(Digest.of(made.raw)), len(made.raw))
    assert parse_manifest(made.raw) == made


def test_without_layers_the_list_is_null() -> None:
    assert json.loads(encode_manifest(CONFIG, []).raw)["layers"] is None


def test_annotations_are_sorted_and_last() -> None:
    document = json.loads(encode_manifest(CONFIG, [], [("b", "1"), ("a", "2")]).raw)
    assert list(document)[-1] == "annotations"
    assert list(document["annotations"]) == ["a", "b"]


def test_dockers_layer_types_become_those_of_oci() -> None:
    made = encode_manifest(CONFIG, [Descriptor(media.DOCKER_LAYER_GZIP, LAYER.digest, 5, Platform("linux", "arm"))])
    assert made.layers == (LAYER,)
    assert parse_manifest(made.raw).layers == (LAYER,)


def test_an_index_compact_and_indented() -> None:
    entry = Descriptor(media.OCI_MANIFEST, CONFIG.digest, 6, Platform("linux", "arm", "v7"), (("k", "v"), ("a", "b")))
    compact = encode_index([entry], indent=None)
    assert compact.raw == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":'
        b'"application/vnd.oci.image.manifest.v1+json","digest":"%b","size":6,"annotations":{"a":"b","k":"v"},'
        b'"platform":{"architecture":"arm","os":"linux","variant":"v7"}}]}' % str(CONFIG.digest).encode()
    )
    indented = encode_index([entry])
    assert json.loads(indented.raw) == json.loads(compact.raw)
    assert b'\n  "manifests": [\n    {' in indented.raw
    assert parse_index(compact.raw).manifests[0].platform == entry.platform


def docker_manifest(**change: Any) -> bytes:
    descriptor = {"mediaType": media.DOCKER_CONFIG, "digest": str(CONFIG.digest), "size": 6}
    return json.dumps(
        {"schemaVersion": 2, "mediaType": media.DOCKER_MANIFEST, "config": descriptor, "layers": [], **change}
    ).encode()


def test_dockers_manifest_is_read() -> None:
    assert parse_manifest(docker_manifest()).config.media_type == media.DOCKER_CONFIG


def test_a_subject_is_read() -> None:
    subject = {"mediaType": media.OCI_MANIFEST, "digest": str(LAYER.digest), "size": 5}
    found = parse_manifest(docker_manifest(subject=subject)).subject
    assert found is not None
    assert found.digest == LAYER.digest


def test_without_a_media_type_the_declared_one_counts_then_the_content() -> None:
    raw = docker_manifest(mediaType=None)
    assert parse(raw, media.DOCKER_MANIFEST).media_type == media.DOCKER_MANIFEST
    assert parse(raw).media_type == media.OCI_MANIFEST
    index = json.dumps({"schemaVersion": 2, "manifests": [{"digest": str(LAYER.digest), "size": 5}]}).encode()
    assert isinstance(parse(index), Index)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schemaVersion": 1}, "schema 1"),
        ({"mediaType": "application/json"}, "not the media type of an image"),
        ({"config": None}, "has no config"),
        ({"config": {"digest": "md5:1", "size": 1}}, "not a digest"),
        ({"layers": [{"digest": str(CONFIG.digest), "size": -1}]}, "size is negative"),
        ({"layers": [{"digest": str(CONFIG.digest), "size": "5"}]}, "'size' is not a whole number"),
    ],
)
def test_what_is_no_manifest(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidImage, match=problem):
        parse(docker_manifest(**change))


def test_types_that_contradict_each_other() -> None:
    with pytest.raises(InvalidImage, match="is referred to as"):
        parse(docker_manifest(), media.OCI_INDEX)


def test_one_kind_where_the_other_is_needed() -> None:
    with pytest.raises(InvalidImage, match="where an index is needed"):
        parse_index(docker_manifest())
    with pytest.raises(InvalidImage, match="the manifest of one image is needed"):
        parse_manifest(encode_index([]).raw)


def offered(*platforms: Platform | None) -> Index:
    entries = [
        Descriptor(media.OCI_MANIFEST, BlobDigest(Digest.of(bytes([number]))), 1, platform)
        for number, platform in enumerate(platforms)
    ]
    return encode_index(entries)


@pytest.mark.parametrize(
    ("wanted", "platforms", "best"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], "linux/arm/v7"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], "linux/arm/v6"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
        ("linux/amd64", ["linux/amd64/v2", "windows/amd64"], None),
        ("linux/arm64", ["linux/arm64/v9", "linux/arm64"], "linux/arm64"),
    ],
)
def test_the_best_manifest_for_a_platform(wanted: str, platforms: list[str], best: str | None) -> None:
    index = offered(*(Platform(*text.split("/")) for text in platforms))
    chosen = index.choose(Platform.parse(wanted)).manifests
    assert (str(chosen[0].platform) if chosen else None) == best


def test_attestations_are_never_chosen() -> None:
    index = offered(Platform("unknown", "unknown"), Platform("linux", "amd64"))
    assert [str(entry.platform) for entry in index.choose(Platform("linux", "amd64")).manifests] == ["linux/amd64"]


def test_a_manifest_without_a_platform_fits_all() -> None:
    assert len(offered(None).choose(Platform("linux", "s390x")).manifests) == 1
