"""The plan of a build: operations, nodes and the plan itself. Pure values; ``keys`` gives them identity.

Every Op declares ``KEY``, the fields that decide its result, and ``NOT_KEY``, the rest; a test holds their union to
the fields. ``describe`` is for people and never enters a key.
"""

from collections.abc import Mapping
from typing import ClassVar, NewType, Protocol

from builder.errors import Span
from builder.plan.mounts import Device, RunMount
from builder.runflags import SHM_SIZE
from layers.digest import DiffId, LayerId, Rootfs
from layers.image import History, ImageConfig, Platform
from layers.tuples import NamedTuple

NodeId = NewType("NodeId", int)


class InlineFile(NamedTuple):
    """A heredoc as a source of COPY or ADD: a file of this name, mode 0644."""

    name: str
    data: bytes


class WebFile(NamedTuple):
    """A file over HTTP as a source of ADD. Its identity is its name and what it holds, not where that came from."""

    url: str
    name: str
    """What it is called below a destination directory."""
    unpack: bool
    digest: str = ""
    """``sha256:...``; "" until it is known."""
    mtime: int = 0
    """Seconds since 1970; not known, and no part of its identity, of what is pinned."""
    pinned: bool = False
    """The digest is what it must have (``--checksum``), not what it was found to have."""

    @property
    def identity(self) -> tuple[str | int | bool | None, ...]:
        return ("web", self.name, self.digest, None if self.pinned else self.mtime, self.unpack)


class GitTree(NamedTuple):
    """The files of a commit as a source of ADD. Its identity is the commit and what is taken of it."""

    address: str
    remote: str
    subdir: str
    submodules: bool
    keep_git_dir: bool
    checksum: str
    """First digits that the commit must have; "" for any."""
    commit: str = ""
    """"" until it is known."""
    ref: str = ""
    """What the server calls it."""
    tag: str = ""
    """The annotated tag it was found by."""

    @property
    def identity(self) -> tuple[str | bool | None, ...]:
        origin = (self.remote, self.ref, self.tag) if self.keep_git_dir else ("", "", "")
        return ("git", self.commit, self.subdir, self.submodules, self.keep_git_dir, *origin)


RemoteSource = WebFile | GitTree


class _ImageOp(NamedTuple):
    name: str
    diff_ids: tuple[DiffId, ...]
    rootfs: Rootfs
    clamps: tuple[int | None, ...]
    """Per layer: the SOURCE_DATE_EPOCH its packing was clamped to; layers of a base are never clamped again."""
    looked_up: float | None = None
    """When a registry was asked what the name means, in seconds since 1970."""


class ImageOp(_ImageOp):
    """The root filesystem of an image the store knows. Its layers need not be unpacked, nor even present."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"diff_ids"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset({"name", "rootfs", "clamps", "looked_up"})


class _ScratchOp(NamedTuple):
    pass


class ScratchOp(_ScratchOp):
    """The empty root filesystem."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset()
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _LocalOp(NamedTuple):
    name: str


class LocalOp(_LocalOp):
    """A directory of the host, read in place: ``name`` is ``context`` or a named context.

    Has no content of its own: whoever copies from it has the digest of what it selects in its key.
    """

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset()
    NOT_KEY: ClassVar[frozenset[str]] = frozenset({"name"})


class ScriptFile(NamedTuple):
    """A file that exists only while a RUN runs (a heredoc that starts with ``#!``)."""

    path: str
    data: bytes
    mode: int


class _RunOp(NamedTuple):
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    network: str
    hostname: str
    scripts: tuple[ScriptFile, ...]
    proxy_env: tuple[tuple[str, str], ...]
    """Predefined proxy variables: in the command's environment, not in its identity."""
    platform: Platform
    mounts: tuple[RunMount, ...] = ()
    host_names: tuple[str, ...] = ()
    """Of ``--add-host``."""
    host_addresses: tuple[str, ...] = ()
    """One for each name. Like BuildKit's, they do not identify the step: an address may differ from day to day."""
    ulimits: tuple[tuple[str, int, int], ...] = ()
    """(name, soft, hard), sorted; -1 is no limit."""
    shm_size: int = SHM_SIZE
    seccomp: bool = True
    security: str = "sandbox"
    """``sandbox`` or ``insecure``."""
    devices: tuple[Device, ...] = ()


class RunOp(_RunOp):
    """Inputs: (rootfs, what ``mounts`` show...). ``args`` is the final argument vector, shell included; ``env`` has
    ARGs in force, in order."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset(
        {
            *("args", "env", "cwd", "user", "network", "hostname", "scripts", "platform", "mounts", "security"),
            *("host_names", "ulimits", "shm_size", "seccomp", "devices"),
        }
    )
    NOT_KEY: ClassVar[frozenset[str]] = frozenset({"proxy_env", "host_addresses"})


class _CopyOp(NamedTuple):
    sources: tuple[str | InlineFile | RemoteSource, ...]
    """Expanded source words in the order written; heredocs in their places."""
    dest: str
    """Absolute, WORKDIR joined, cleaned; a trailing slash is kept when it was written (or is implied by ``.``)."""
    chown: str | None
    chmod: str | None
    keep_owner: bool
    """Sources keep their owner (``--from``) rather than becoming 0:0 (context)."""
    exclude: tuple[str, ...] = ()
    """Patterns of what to leave out of source directories, as in an ignore file."""
    parents: bool = False
    """Sources keep their path, from the root or from ``/./`` on."""
    link: bool = False
    """The layer does not depend on what it is put on: the rootfs input is a ScratchOp, a MergeOp stacks the layer."""


class CopyOp(_CopyOp):
    """Inputs: (rootfs, source): source is a LocalOp or the node of a stage or image."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset(
        {"sources", "dest", "chown", "chmod", "keep_owner", "exclude", "parents", "link"}
    )
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class AddOp(_CopyOp):
    """As CopyOp, and local archives among the sources are unpacked."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = CopyOp.KEY
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _WorkdirOp(NamedTuple):
    path: str
    user: str
    epoch: int | None


class WorkdirOp(_WorkdirOp):
    """Inputs: (rootfs,). Makes directory ``path`` (absolute) and its parents, owned by ``user`` ("" is root)."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"path", "user", "epoch"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _MergeOp(NamedTuple):
    pass


class MergeOp(_MergeOp):
    """Inputs: (rootfs, linked). The layer of ``linked``, which stands on nothing, on top of ``rootfs``.

    Nothing is executed for it and nothing is recorded.
    """

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset()
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


Op = ImageOp | ScratchOp | LocalOp | RunOp | CopyOp | AddOp | WorkdirOp | MergeOp


class Node(NamedTuple):
    id: NodeId
    op: Op
    inputs: tuple[NodeId, ...]
    title: str
    """The instruction as it is shown: ``RUN make``, ``COPY --from=build /a /b``, ``FROM debian:12``."""
    stage: str
    """Name (or ``stage-N``) of the stage it stands in; "" for contexts, and where the file has one stage only."""
    position: int
    """1-based place among the shown steps of its stage (FROM is 1); 0 for contexts."""
    total: int
    span: Span | None
    use_cache: bool = True
    """False: never looked up (``--no-cache``), still recorded."""


class BareFiles(NamedTuple):
    """The build context ``name``, a directory, stands for the stage of that name, whose FROM is at ``span``."""

    name: str
    span: Span | None


class Plan(NamedTuple):
    """Nodes in topological order, only those the target needs.

    ``history`` holds the entries this build adds, each with the node that made its layer or None for metadata;
    ``config`` is the target's config without ``diff_ids``, but with the base's ``history``.
    """

    nodes: Mapping[NodeId, Node]
    target: NodeId
    """Node whose rootfs is the image's."""
    layers: tuple[NodeId, ...]
    """Nodes of the target stage's chain (parent stages included) that make a layer above the base, in order."""
    base: NodeId
    """The ImageOp or ScratchOp the target's chain stands on."""
    config: ImageConfig
    history: tuple[tuple[History, NodeId | None], ...]
    warnings: tuple[tuple[str, Span | None], ...]
    epoch: int | None
    """SOURCE_DATE_EPOCH in seconds, if set."""
    bare: BareFiles | None = None
    """What the target stands on has no configuration: its files can be written, but no image comes of them."""


class StepResult(NamedTuple):
    node: NodeId
    key: str
    """Effective key, as text."""
    rootfs: Rootfs
    layer: LayerId | None
    cached: str
    """``no``, ``recipe`` or ``content``."""
    seconds: float
    finished: float
    """Seconds since the epoch when the step that made the layer ended; for a cached one, when it ended then."""


class LayerSink(Protocol):
    """Where finished layers of the target stage go while later steps still run."""

    def offer(self, position: int, layer: LayerId, *, made: bool) -> None:
        """``layer`` is the one at ``position`` (0-based) of ``Plan.layers``; ``made``: by this build. Returns at once;
        thread-safe."""

    def idle(self) -> None:
        """Called when the steps that run take their time: there is some for other work. As ``offer``."""
