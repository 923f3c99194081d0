"""What one build was asked to do. ``settings.from_flags`` makes it; nothing later reads flags or environment."""

from builder.grants import NO_GRANTS, Grants
from builder.runflags import NO_RUN_FLAGS, RunFlags
from layers.image import Platform
from layers.tuples import NamedTuple
from registry.proxies import DOCKER_HOST

EPOCH = "SOURCE_DATE_EPOCH"
FETCH_ENVIRONMENT = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
    *("SSH_AUTH_SOCK", "GNUPGHOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
)
"""Variables of the user that git, ssh and credential helpers may see."""


class OutputSpec(NamedTuple):
    """One ``-o``. ``dest`` is a path, or "-" for standard output; None when the type needs none."""

    type: str
    """``oci``, ``docker``, ``tar``, ``local``, ``load`` or ``registry``; to ``from_flags`` also ``image`` and
    ``cacheonly``, for which nothing is written."""
    dest: str | None
    compression: str = "gzip"
    compression_level: int | None = None
    tar: bool = True
    """False: ``oci`` writes a layout directory."""
    names: tuple[str, ...] = ()
    """``registry``: where to push to, in full; from ``from_flags`` on never empty."""
    force_compression: bool = False
    """Layers of the base are compressed that way as well."""


class Annotation(NamedTuple):
    """``--annotation``: of the image's manifest, or (``descriptor``) of what an index says of the manifest."""

    key: str
    value: str
    descriptor: bool = False


class NamedContext(NamedTuple):
    """``--build-context NAME=...``: ``kind`` is ``local``, ``oci-layout`` (``reference``: a digest or a tag, if any),
    ``docker-image`` (``path`` is the image's full name), ``scratch``, ``remote`` (an address to fetch from), or
    ``target`` (a stage).
    """

    name: str
    kind: str
    path: str
    reference: str | None = None


class IgnoreFile(NamedTuple):
    """``path`` as shown in messages."""

    path: str
    text: bytes


class BuildRequest(NamedTuple):
    """``build_args`` values are None when the name alone was given and the environment has none."""

    context: str
    """Absolute path of the build context's directory."""
    dockerfile_path: str
    """As shown in messages."""
    dockerfile_text: bytes
    root: str
    """Absolute path of the store."""
    platform: Platform
    """What is built for: TARGETPLATFORM."""
    ignores: tuple[IgnoreFile, ...] = ()
    """Ignore files of the context, read as if they were one."""
    unpacked: bool = False
    """The context was unpacked for this build: its files keep their owners (those of a directory that the user named
    are 0:0, reference 1.10), and nothing of it need be remembered."""
    tags: tuple[str, ...] = ()
    """Full names: ``docker.io/library/app:1.0``."""
    target: str | None = None
    build_args: tuple[tuple[str, str | None], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    no_cache: bool = False
    outputs: tuple[OutputSpec, ...] = ()
    build_contexts: tuple[NamedContext, ...] = ()
    epoch: int | None = None
    seccomp: bool = True
    """False only by ``--security-opt seccomp=unconfined``."""
    jobs: int = 0
    """Steps that may run at once; 0 for twice the number of processors."""
    docker_host: str = DOCKER_HOST
    pull: str = "missing"
    """When registries are asked for bases: ``missing``, ``newer``, ``always`` or ``never``."""
    environ: tuple[tuple[str, str], ...] = ()
    """Variables of the user that programs which fetch may see (``FETCH_ENVIRONMENT``)."""
    grants: Grants = NO_GRANTS
    """``--secret``, ``--ssh``, ``--allow`` and ``--network``."""
    run_flags: RunFlags = NO_RUN_FLAGS
    no_cache_filter: tuple[str, ...] = ()
    """Names of stages whose steps are run again; in lower case."""
    annotations: tuple[Annotation, ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    """Proxy variables of the environment, by upper-case name: for every RUN whose build arguments say nothing else."""

    def __repr__(self) -> str:
        """Without what the environment says, which may be secret."""
        return f"BuildRequest({self.context!r}, {self.dockerfile_path!r})"
