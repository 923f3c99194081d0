from typing import NamedTuple

from builder.output.metadata import iid_text, metadata_text
from layers import media
from layers.image import Descriptor, Platform
from layers.manifest import describe

ID = f"sha256:{'1' * 64}"


class Result(NamedTuple):
    image_id: str
    names: tuple[str, ...]
    descriptor: Descriptor | None


def test_all_keys() -> None:
    plain = describe(b"manifest", media.OCI_MANIFEST)
    described = Descriptor(
        plain.media_type,
        plain.digest,
        plain.size,
        Platform("linux", "amd64"),
        (("org.opencontainers.image.created", "1970-01-01T00:00:00Z"),),
    )
    text = metadata_text(Result(ID, ("docker.io/library/a:1", "docker.io/library/b:2"), described))
    assert (
        text
        == f"""{{
  "containerimage.config.digest": "{ID}",
  "containerimage.descriptor": {{
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "{plain.digest}",
    "size": 8,
    "annotations": {{
      "org.opencontainers.image.created": "1970-01-01T00:00:00Z"
    }},
    "platform": {{
      "architecture": "amd64",
      "os": "linux"
    }}
  }},
  "containerimage.digest": "{plain.digest}",
  "image.name": "docker.io/library/a:1,docker.io/library/b:2"
}}"""
    )


def test_without_an_image_output_or_names() -> None:
    assert metadata_text(Result(ID, (), None)) == f'{{\n  "containerimage.config.digest": "{ID}"\n}}'


def test_the_image_id_has_no_line_end() -> None:
    assert iid_text(ID) == ID
