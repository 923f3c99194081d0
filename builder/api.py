"""Building from Python: a request in, events out, a result back. Reading ``build`` is reading the architecture."""

import contextlib
import functools
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from builder.dockerfile.ignore import Matcher, parse_ignores
from builder.errors import Cancelled, PlanError
from builder.events import BuildFinished, Emit, Phase, PlanReady, StepInfo, StepOutput, Warned
from builder.output.assemble import assemble
from builder.output.export import Exporter, Reporter, open_exporter
from builder.plan.arguments import read
from builder.plan.bases import resolve
from builder.plan.context import Context, open_context
from builder.plan.contextmemory import NOTHING_KNOWN, Memories
from builder.plan.fetching import Fetcher
from builder.plan.graph import ImageOp, LocalOp, MergeOp, Node, NodeId, Plan, ScratchOp, StepResult
from builder.plan.keys import is_step
from builder.plan.lower import lower
from builder.plan.pulling import Connect, Images, Registries, Reports
from builder.plan.remotes import has_remotes
from builder.plan.remotes import resolve as resolve_remotes
from builder.request import BuildRequest, IgnoreFile
from builder.solve.lookup import Known, State, inspect, states
from builder.solve.scheduler import solve
from builder.solve.stepcontext import Control, StepContext
from builder.textfile import read_ignores
from layers.errors import GivenUp, PybuildError
from layers.image import Descriptor, encode
from layers.store import Store
from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from builder.fetch.remote import Remote
    from builder.sandbox.native import NativeRunner
    from builder.solve.run import HostFiles

Clock = Callable[[], float]
RESOLV_CONF = "/etc/resolv.conf"
_TELL_S = 3600
"""A look-up in a registry that is older than this is told of."""


class BuildResult(NamedTuple):
    """``image_id`` is the config's digest; ``descriptor`` that of the manifest an output wrote, None if none did."""

    image_id: str
    names: tuple[str, ...]
    descriptor: Descriptor | None


class _Runner:
    """The runner of a build: started when the first RUN needs it, shared by all of them."""

    def __init__(self) -> None:
        self._runner: NativeRunner | None = None
        self.stopped = False
        """The build was given up."""
        self._lock = threading.Lock()

    def get(self) -> "NativeRunner":
        with self._lock:
            if self._runner is None:
                from builder.sandbox.detect import open_runner

                self._runner = open_runner()
                if self.stopped:
                    self._runner.cancel()
            return self._runner

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
            if self._runner is not None:
                self._runner.cancel()

    def release(self) -> None:
        """No RUN is left: its namespaces end while the rest is built."""
        with self._lock:
            if self._runner is not None:
                self._runner.release()

    def close(self) -> None:
        with self._lock:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()


class _Bench(NamedTuple):
    """What every part of one build works with."""

    request: BuildRequest
    store: Store
    emit: Emit
    clock: Clock
    registries: Registries | None

    def remote(self) -> "Remote":
        from builder.fetch.remote import Remote
        from builder.solve.secrets import Secrets

        registries, environ = self.registries, dict(self.request.environ)
        secret = Secrets(self.request.grants.secrets).get
        if registries is None:
            return Remote(self.store, environ=environ, secret=secret)
        return Remote(self.store, registries.session, registries.cancelled, environ, secret, self.fetching)

    def phase(self, name: str, start: bool) -> None:
        self.emit(Phase(self.clock(), None, name, start))

    def fetching(self, what: str, start: bool) -> None:
        self.emit(Phase(self.clock(), None, "fetch", start, what))


class _Prepared(NamedTuple):
    plan: Plan
    contexts: Mapping[str, Context]
    known: Known


def _prepare(bench: _Bench) -> _Prepared:
    """Everything that is known before a step runs: the plan, the context's digests, the cache's records."""
    request, store, emit, clock, registries = bench
    dockerfile = read(request)
    # Before the context is asked for, if it ever is: a malformed pattern is a mistake either way.
    ignores = parse_ignores(request.ignores) if request.ignores else None
    bench.phase("resolve", True)
    store.supply.connect(Fetcher(store, registries if request.pull != "never" else None))
    images = Images(store, registries, request.platform, Reports(emit, clock), request.pull)
    plan = lower(dockerfile, resolve(dockerfile, request, store, images), request)
    if has_remotes(plan):
        plan = resolve_remotes(plan, bench.remote())
    bench.phase("resolve", False)
    emit(PlanReady(clock(), _shown(plan), plan.target))
    for message, span in plan.warnings:
        emit(Warned(clock(), None, message, span.first_line if span is not None else 0))
    _tell_ages(plan, emit, clock())
    bench.phase("context", True)
    opened = [node.op for node in plan.nodes.values() if isinstance(node.op, LocalOp)]
    contexts = {op.name: _open(op, bench, ignores) for op in opened}
    known = inspect(plan, contexts, store)
    bench.phase("context", False)
    return _Prepared(plan, contexts, known)


def _shown(plan: Plan) -> tuple[StepInfo, ...]:
    """The steps as announced; neither an empty root file system nor the stacking of a linked layer is one."""
    return tuple(_step_info(node) for node in plan.nodes.values() if not isinstance(node.op, ScratchOp | MergeOp))


def _step_info(node: Node) -> StepInfo:
    line = node.span.first_line if node.span is not None else 0
    return StepInfo(node.id, node.title, node.stage, node.position, node.total, line)


def _tell_ages(plan: Plan, emit: Emit, now: float) -> None:
    """How long ago a registry said what the name of a base means."""
    for node in plan.nodes.values():
        if isinstance(node.op, ImageOp) and node.op.looked_up is not None and now - node.op.looked_up >= _TELL_S:
            days, seconds = divmod(int(now - node.op.looked_up), 86400)
            age = f"{days} days" if days > 1 else f"{(days * 86400 + seconds) // 60} minutes"
            text = f"looked up {age} ago; --pull looks again\n"
            emit(StepOutput(now, node.id, 1, text.encode()))


def _open(op: LocalOp, bench: _Bench, matcher: Matcher | None) -> Context:
    """The build context, whose ignore files ``matcher`` has, or a named one; each of those has one of its own."""
    request, store = bench.request, bench.store
    named = {context.name: context for context in request.build_contexts}
    if op.name in named and named[op.name].kind == "remote":
        return _open_remote(named[op.name].path, bench)
    root = named[op.name].path if op.name in named else request.context
    if op.name in named:
        path = os.path.join(root, ".dockerignore")  # noqa: PTH118 - text in, text out
        text = read_ignores(path)
        ignores: tuple[IgnoreFile, ...] = () if text is None else (IgnoreFile(path, text),)
        matcher = parse_ignores(ignores) if ignores else None
    else:
        ignores = request.ignores
    if op.name not in named and request.unpacked:
        context = open_context(root, matcher, NOTHING_KNOWN, owners=True)
    else:
        view = hashlib.sha256(b"\0".join(file.text for file in ignores)).digest()[:8] if ignores else b""
        context = open_context(root, matcher, Memories(store.file_digests, store.directories, view))
    context.check = store.supply.check
    return context


def _open_remote(address: str, bench: _Bench) -> Context:
    """A named context from a repository or over HTTP. A file is what it is, an archive too."""
    from builder.fetch.remote import fetch_context

    try:
        found = fetch_context(address, bench.remote(), unpacks=False)
    except PybuildError as error:
        raise PlanError(f"build context {address}: {error.message}", hint=error.hint, code=error.code) from error
    return open_context(found.directory, None, NOTHING_KNOWN, owners=True)


def plan(
    request: BuildRequest,
    *,
    connect: Connect | None = None,
    clock: Clock = time.time,  # noqa: TID251
) -> tuple[Plan, Mapping[NodeId, State]]:
    """What ``build`` would do, and what of it is cached. Runs nothing, but pulls the bases that the store lacks."""
    with Store.open(request.root) as store, _registries(connect, threading.Event()) as registries:
        prepared = _prepare(_Bench(request, store, lambda _: None, clock, registries))
        return prepared.plan, states(prepared.plan, prepared.known, store)


def build(
    request: BuildRequest,
    emit: Emit,
    *,
    cancelled: threading.Event | None = None,
    connect: Connect | None = None,
    clock: Clock = time.time,  # noqa: TID251 - the clock enters the builder here
) -> BuildResult:
    """``connect`` opens a session with registries (``registry.session.Session.of``) when one is needed; without it
    only what is in the store can be built from. Raises PybuildError; a failure loses nothing that was in the store.
    """
    started = clock()
    cancelled = cancelled or threading.Event()
    with (
        Store.open(request.root) as store,
        _registries(connect, cancelled) as registries,
        _cancellable(cancelled),
    ):
        store.supply.given_up = cancelled.is_set
        bench = _Bench(request, store, emit, clock, registries)
        prepared = _prepare(bench)
        runner = _Runner()
        exporter = open_exporter(request, prepared.plan, store, Reporter(emit, clock), registries)
        try:
            host = functools.partial(_host_files, request)
            grants = request.grants
            files = prepared.contexts
            context = StepContext(
                *(store, runner.get, host, files, emit, clock, grants, lambda: runner.stopped, bench.remote),
                *(exporter.packed_as, exporter.reads_layers),
            )
            control = _control(request, cancelled, runner, store)
            results = solve(prepared.plan, prepared.known, context, exporter, control)
            result = _finish(bench, prepared.plan, results, exporter)
        except BaseException:
            exporter.abort()
            raise
        finally:
            runner.close()
    emit(_finished(prepared, results, result, clock() - started, clock()))
    return result


@contextlib.contextmanager
def _cancellable(cancelled: threading.Event) -> Iterator[None]:
    """Loops over bytes end with GivenUp, for whatever reason: here it is known."""
    try:
        yield
    except GivenUp as error:
        if cancelled.is_set():
            raise Cancelled("the build was cancelled") from error
        raise


def _registries(
    connect: Connect | None, cancelled: threading.Event
) -> contextlib.AbstractContextManager[Registries | None]:
    return contextlib.nullcontext() if connect is None else Registries(connect, cancelled)


def _finished(
    prepared: _Prepared, results: Mapping[NodeId, StepResult], result: BuildResult, seconds: float, now: float
) -> BuildFinished:
    """Counts the steps that were run or found, those that nobody needed because what they lead to was found too."""
    steps = [
        results[node.id].cached if node.id in results else "recipe"
        for node in prepared.plan.nodes.values()
        if is_step(node) and (node.id in results or prepared.known.record(node) is not None)
    ]
    digest = str(result.descriptor.digest) if result.descriptor is not None else None
    cached = sum(how != "no" for how in steps)
    return BuildFinished(now, result.image_id, digest, result.names, seconds, cached, len(steps))


def _control(request: BuildRequest, cancelled: threading.Event, runner: _Runner, store: Store) -> "Control":
    def stop() -> None:
        store.supply.stop.set()
        runner.stop()

    return Control(request.jobs or max(4, 2 * (os.cpu_count() or 1)), cancelled, stop, runner.release)


def _host_files(request: BuildRequest) -> "HostFiles":
    from builder.sandbox.seccomp import default_filter
    from builder.sandbox.spec import DEFAULT_CAPABILITIES
    from builder.solve.run import HostFiles
    from layers.processids import current

    try:
        with open(RESOLV_CONF, "rb") as file:  # noqa: PTH123
            resolv_conf = file.read()
    except FileNotFoundError:
        resolv_conf = b""
    program = default_filter(os.uname().machine, DEFAULT_CAPABILITIES) if request.seccomp else None
    return HostFiles(resolv_conf, program, current())


def _finish(bench: _Bench, plan: Plan, results: Mapping[NodeId, StepResult], exporter: Exporter) -> BuildResult:
    """The image out of the results: config, record, outputs, names; in this order, so that a name never points at what
    could not be written."""
    request, store, clock = bench.request, bench.store, bench.clock
    base = plan.nodes[plan.base].op
    below, inherited = (base.rootfs, base.clamps) if isinstance(base, ImageOp) else ((), ())
    # A cached step may stand on other layers that pack to the same diff ids, with other clamps: those of the base as it
    # was before it was loaded again.
    above = results[plan.target].rootfs[len(below) :]
    rootfs, clamps = below + above, (*inherited, *(plan.epoch,) * len(above))
    exporter.wait()
    diff_ids = store.diff_ids(rootfs, clamps)
    finished = {node: results[node].finished for node in plan.layers}
    config = encode(assemble(plan, diff_ids, finished, clock()))
    stored = store.put_image(config, rootfs, clamps, ())
    export = exporter.finish(config, rootfs, clamps, stored)
    for name in request.tags:
        store.tag(stored.id, name)
    return BuildResult(str(stored.id), request.tags, export.descriptor)
