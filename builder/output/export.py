"""Outputs of a build: opened and checked before its first step, fed with layers while it runs, written at its end."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from builder.errors import Cancelled, PlanError
from builder.events import Emit, Phase
from builder.output.target import Finished, OutputError, Progress, Receiver, Target
from builder.plan.graph import ImageOp, NodeId, Plan
from builder.plan.pulling import Registries
from builder.plan.readers import read_by_steps
from builder.request import BuildRequest, OutputSpec
from layers.digest import LayerId, Rootfs
from layers.errors import PybuildError
from layers.image import Descriptor
from layers.store import Store, StoredImage
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from layers.compress import Compression

Clock = Callable[[], float]
_FILES_ONLY = frozenset({"local", "tar"})
"""Outputs without a configuration."""


class ExportResult(NamedTuple):
    """Of the first output that has a manifest; None when there is none (no output, or only file trees)."""

    manifest_digest: str | None = None
    descriptor: Descriptor | None = None


def open_exporter(
    request: BuildRequest,
    plan: Plan,
    store: Store,
    reporter: "Reporter",
    registries: Registries | None = None,
) -> "Exporter":
    """Checks every output. Raises PybuildError for one that could not be written after the build."""
    _check_is_image(request, plan)
    targets = [(spec, make_target(spec, request.docker_host, store, registries)) for spec in request.outputs]
    for _, target in targets:
        target.check()
    return Exporter(request, plan, store, targets, reporter)


def _check_is_image(request: BuildRequest, plan: Plan) -> None:
    """A build without outputs keeps an image."""
    if plan.bare is None or (request.outputs and all(output.type in _FILES_ONLY for output in request.outputs)):
        return
    raise PlanError(
        f"the build context {plan.bare.name} stands for the stage of that name, and is no image",
        span=plan.bare.span,
        hint="write its files with -o type=local or -o type=tar, or give the context another name",
        about=plan.bare.name,
    )


def make_target(spec: OutputSpec, docker_host: str, store: Store, registries: Registries | None) -> Target:
    """Raises PybuildError for a type, destination or compression that is not possible.

    A build without outputs imports none of their modules.
    """
    match spec.type, spec.dest:
        case "registry", None:
            if registries is None:
                raise OutputError("there are no registries to push to", hint="give builder.api.build a connect")
            from builder.output.registry import RegistryPush

            return RegistryPush(spec.names, registries, store.supply.origins, _compression(spec))
        case ("oci" | "docker") as kind, str() as dest:
            from builder.output.archive import DockerArchive, OciArchive, OciLayout

            if kind == "docker":
                return DockerArchive(dest, _compression(spec))
            return OciArchive(dest, _compression(spec)) if spec.tar else OciLayout(dest, _compression(spec))
        case (("docker" | "load"), None):
            from builder.output.engine import Engine
            from layers.compress import NONE

            # The engine unpacks what it gets at once: compressing for it costs time and saves nothing.
            return Engine(docker_host, NONE)
        case ("tar" | "local") as kind, str() as dest:
            from builder.output.flatten import LocalDirectory, RootTar

            return RootTar(dest) if kind == "tar" else LocalDirectory(dest)
        case _:
            raise OutputError(f"there is no output type={spec.type} with dest={spec.dest}")


def _compression(spec: OutputSpec) -> "Compression":
    """zstd has no level 0: there it means the default, as in the zstd library."""
    from layers import compress

    wanted = compress.default(spec.compression)
    if spec.compression_level is not None and (spec.compression_level or spec.compression != "zstd"):
        wanted = wanted._replace(level=spec.compression_level)
    compress.check(wanted)
    return wanted._replace(forced=spec.force_compression)


_LISTEN_S = 0.1
"""How often whoever waits for packing looks whether the build is cancelled."""
_LEAVE_S = 0.5
"""How long a build that failed waits for it."""


class Reporter(NamedTuple):
    emit: Emit
    clock: Clock

    def phase(self, name: str, start: bool, detail: str) -> None:
        self.emit(Phase(self.clock(), None, name, start, detail))


class _Job(NamedTuple):
    """``compression`` None: no output wants its bytes, but the config its diff id."""

    layer: LayerId
    clamp: int | None
    compression: "Compression | None"


class Exporter:
    """A LayerSink. One thread packs offered layers; packing itself uses all processors.

    What that thread fails at is tried again by ``finish``, which then raises the error: a failure that a retry does
    not see is none.
    """

    def __init__(
        self,
        request: BuildRequest,
        plan: Plan,
        store: Store,
        targets: list[tuple[OutputSpec, Target]],
        reporter: Reporter,
    ) -> None:
        self._names = request.tags
        self._annotations = request.annotations
        self._plan = plan
        self._store = store
        self._targets = targets
        self._reporter = reporter
        self._compressions = tuple(
            dict.fromkeys(target.compression for _, target in targets if target.compression is not None)
        )
        self._read = read_by_steps(plan) if self._compressions else frozenset()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._unread: deque[LayerId] = deque()
        """Layers of this build whose diff ids nobody has asked for yet."""
        self._aborted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def packed_as(self, node: NodeId) -> "Compression | None":
        """The one compression that the layer of a step is wanted in, when no other step needs it first and its times
        are not clamped: then its bytes are read, hashed and compressed in one pass."""
        if len(self._compressions) != 1 or self._plan.epoch is not None or node in self._read:
            return None
        return self._compressions[0] if node in self._plan.layers else None

    @property
    def reads_layers(self) -> bool:
        """Whether anything is made of layers beside the image in the store; clamped times change their diff ids."""
        return bool(self._targets) or self._plan.epoch is not None

    def offer(self, position: int, layer: LayerId, *, made: bool) -> None:
        """See LayerSink. The base's layers, which have blobs unless it was built here, go before the first one."""
        with self._lock:
            if self._compressions:
                if self._start():
                    self._offer_base()
                self._put(layer, self._plan.epoch)
            elif made:
                self._unread.append(layer)

    def idle(self) -> None:
        """See LayerSink. Where no output wants the bytes of layers, what is left to do for them is their diff ids, and
        that is done now: beside steps of a few milliseconds it would cost them more than it saves at the end."""
        # Imported for the layers to come: there is time now, and later a step of the image would wait for it.
        import layers.indexing
        import layers.pack
        import layers.packing  # noqa: F401 - for its effect

        with self._lock:
            if self._unread:
                self._start()
            while self._unread:
                self._put(self._unread.popleft(), self._plan.epoch)

    def _start(self) -> bool:
        """Whether there was no thread yet."""
        if self._thread is not None:
            return False
        self._thread = threading.Thread(target=self._pack, name="pybuild-export", daemon=True)
        self._thread.start()
        return True

    def _offer_base(self) -> None:
        base = self._plan.nodes[self._plan.base].op
        if isinstance(base, ImageOp):
            for layer, clamp in zip(base.rootfs, base.clamps, strict=True):
                self._put(layer, clamp)

    def _put(self, layer: LayerId, clamp: int | None) -> None:
        for compression in self._compressions or (None,):
            self._jobs.put(_Job(layer, clamp, compression))

    def _pack(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._aborted:
                continue
            try:
                if job.compression is None:
                    self._store.diff_id(job.layer, job.clamp)
                else:
                    self._blob(job, job.compression)
            except (PybuildError, OSError):
                continue

    def _blob(self, job: _Job, compression: "Compression") -> None:
        what = f"layer {job.layer}"
        self._reporter.phase("pack", True, what)
        try:
            blob = self._store.blob(job.layer, job.clamp, compression)
            for _, target in self._targets:
                if isinstance(target, Receiver) and target.compression == compression:
                    target.receive(blob, self._store)
        finally:
            self._reporter.phase("pack", False, what)

    def wait(self) -> None:
        """Until every offered layer is packed. Then their diff ids are known too, without packing them again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._jobs.put(None)
        while thread is not None and thread.is_alive():
            thread.join(_LISTEN_S)
            self._store.supply.check()

    def finish(
        self, config: bytes, rootfs: Rootfs, clamps: tuple[int | None, ...], stored: StoredImage
    ) -> ExportResult:
        """Writes every output. Raises what the first one fails with; those before it are there."""
        if self._aborted:
            raise Cancelled("the outputs of this build were given up")
        self.wait()
        image = Finished(config, rootfs, clamps, self._names, stored.created_at, self._plan.epoch, self._annotations)
        return write_image(image, self._targets, self._store, self._reporter)

    def abort(self) -> None:
        """Drops what waits. The layer that is being packed has a moment to end, as it does where bytes are moved once
        the build is given up; then it is left to its thread: nothing depends on it."""
        self._aborted = True
        for _, target in self._targets:
            if isinstance(target, Receiver):
                target.abort()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(_LEAVE_S)


def write_image(
    image: Finished, targets: list[tuple[OutputSpec, Target]], store: Store, reporter: Reporter
) -> ExportResult:
    """Every target in turn."""
    result = ExportResult()
    for spec, target in targets:
        name = "push" if spec.type == "registry" else "output"
        what = ", ".join(spec.names) or f"{spec.type} {os.fspath(spec.dest or '')}".rstrip()
        reporter.phase(name, True, what)
        progress = Progress(what, reporter.emit, reporter.clock, store.supply.check)
        descriptor = target.write(image, store, progress)
        progress.report()
        reporter.phase(name, False, what)
        if descriptor is not None and result.descriptor is None:
            result = ExportResult(str(descriptor.digest), descriptor)
    return result
