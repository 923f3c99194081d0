"""Media types of OCI images (image-spec media-types.md) and of Docker's image manifest V2, schema 2."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_LAYERS = {
    OCI_LAYER: "none",
    OCI_LAYER_GZIP: "gzip",
    OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
}
_OCI_LAYER_OF = {"none": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}


def is_index(media_type: str) -> bool:
    return media_type in _INDEXES


def is_layer(media_type: str) -> bool:
    return media_type in _LAYERS


def compression_of(media_type: str) -> str:
    """``none``, ``gzip`` or ``zstd``. Raises KeyError for what is not a layer."""
    return _LAYERS[media_type]


def oci_layer(compression: str) -> str:
    """The OCI media type of a layer compressed with ``none``, ``gzip`` or ``zstd``."""
    return _OCI_LAYER_OF[compression]
