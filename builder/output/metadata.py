"""What ``--metadata-file`` and ``--iidfile`` hold (keys of buildx, docker/buildx docs "metadata-file"). Pure."""

from typing import Any, Protocol

from layers.gojson import dumps
from layers.image import Descriptor
from layers.manifest import descriptor_document


class Built(Protocol):
    """The parts of a build's result that are told here."""

    @property
    def image_id(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def descriptor(self) -> Descriptor | None:
        """Of the manifest; None when no output has one."""


def iid_text(image_id: str) -> str:
    """The config's digest, without a line end."""
    return image_id


def metadata_text(result: Built) -> str:
    """JSON, indented, keys sorted. What a build without an image output does not have is left out."""
    document: dict[str, Any] = {"containerimage.config.digest": result.image_id}
    if result.descriptor is not None:
        document["containerimage.descriptor"] = descriptor_document(result.descriptor)
        document["containerimage.digest"] = str(result.descriptor.digest)
    if result.names:
        document["image.name"] = ",".join(result.names)
    return dumps(document, indent=2).decode()
