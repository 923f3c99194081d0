"""Variables that ``docker buildx build`` reads (reference 4.1), as far as they ask for what pybuild does not do.

Such a one is an error like the flag that asks for the same. Not among them are those that pybuild heeds, and those that
change nothing here: BUILDX_CONFIG, BUILDX_EXPERIMENTAL, BUILDX_NO_DEFAULT_ATTESTATIONS, BUILDX_NO_DEFAULT_LOAD and
BUILDX_GIT_INFO are about what is never done, BUILDX_GIT_CHECK_DIRTY about BUILDX_GIT_LABELS, BUILDKIT_HOST and
BUILDX_BAKE_* about other commands.
"""

from collections.abc import Mapping

from builder.settings import UnsupportedFlag, parse_bool

_UNSET = "unset it: "
_POLICY = _UNSET + "there is no policy to be checked"
_LABELS = _UNSET + 'give the labels with --label, as in org.opencontainers.image.revision="$(git rev-parse HEAD)"'


def check_environment(environ: Mapping[str, str], *, metadata: bool) -> None:
    """``metadata``: a ``--metadata-file`` is written. Raises UnsupportedFlag."""
    if environ.get("BUILDX_BUILDER", "") not in {"", "default"}:
        raise _refused(environ, "BUILDX_BUILDER", _UNSET + "there are no builders: pybuild runs the steps itself")
    if environ.get("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"):
        raise _refused(environ, "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", _POLICY)
    if parse_bool(environ.get("BUILDX_DEFAULT_POLICY", "")):
        raise _refused(environ, "BUILDX_DEFAULT_POLICY", _POLICY)
    labels = environ.get("BUILDX_GIT_LABELS", "")
    if labels == "full" or parse_bool(labels):
        raise _refused(environ, "BUILDX_GIT_LABELS", _LABELS)
    if metadata and environ.get("BUILDX_METADATA_PROVENANCE", "") in {"min", "max"}:
        raise _refused(environ, "BUILDX_METADATA_PROVENANCE", _UNSET + "images have no attestations")
    if metadata and parse_bool(environ.get("BUILDX_METADATA_WARNINGS", "")):
        raise _refused(environ, "BUILDX_METADATA_WARNINGS", _UNSET + "--progress=json tells of every warning")


def _refused(environ: Mapping[str, str], name: str, hint: str) -> UnsupportedFlag:
    return UnsupportedFlag(f"{name}={environ[name]}", hint)
