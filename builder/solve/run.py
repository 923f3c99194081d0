"""RUN: an operation and a root filesystem become a SandboxSpec, a Runner's work, and a new layer."""

from collections.abc import Callable

from builder.errors import Span, StepFailed
from builder.plan.graph import RunOp
from builder.sandbox import reasons
from builder.sandbox.capabilities import ALL
from builder.sandbox.hosts import network_files
from builder.sandbox.limits import RLIMITS
from builder.sandbox.spec import DEFAULT_CAPABILITIES, FileMount, OverlayRoot, Runner, SandboxSpec
from builder.sandbox.users import UserError, identify
from builder.solve.mounted import NOTHING, Mounted
from layers.digest import LayerId
from layers.idmap import WHOLE, IdMap
from layers.tree import Tree, read_file, resolve
from layers.tuples import NamedTuple
from layers.workspace import Workspace

TAIL = 64 << 10
"""Bytes of a step's output kept for its error message."""

_START = "the program must be in the image so far, and executable; the shell form needs SHELL's program (/bin/sh)"

MAX_ACCOUNTS = 10 << 20
"""A passwd or group file larger than this is refused, as BuildKit refuses it (reference part L)."""


class HostFiles(NamedTuple):
    """What the host gives to every RUN: the text of its resolv.conf, the seccomp filter (None: asked for none), and the
    ids of the user namespace."""

    resolv_conf: bytes
    seccomp: bytes | None
    ids: IdMap = WHOLE


class Tail:
    """The last ``TAIL`` bytes written, whatever the sizes of the writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= TAIL:
            self._size -= len(self._parts.pop(0))

    def value(self) -> bytes:
        return b"".join(self._parts)[-TAIL:]


def account_file(tree: Tree, path: bytes) -> bytes:
    """``etc/passwd`` or ``etc/group`` of a root filesystem, links followed inside of it; b"" when there is none.

    Raises ValueError for one that is too large.
    """
    return read_file(tree, resolve(tree, path), MAX_ACCOUNTS) or b""


def sandbox_spec(op: RunOp, workspace: Workspace, tree: Tree, host: HostFiles, extra: Mounted = NOTHING) -> SandboxSpec:
    """Raises UserError for a USER that the root filesystem does not know, ValueError as ``account_file``."""
    identity = identify(op.user, account_file(tree, b"etc/passwd"), account_file(tree, b"etc/group"))
    names = {name for name, _ in op.env}
    env = op.env if "HOME" in names else (*op.env, ("HOME", identity.home))
    more = dict((*op.proxy_env, *extra.env))
    env = (*(pair for pair in env if pair[0] not in more), *more.items()) if more else env
    files = (
        *network_files(op.hostname, host.resolv_conf, zip(op.host_addresses, op.host_names, strict=True)),
        *(FileMount(script.path, script.data, script.mode) for script in op.scripts),
    )
    insecure = op.security == "insecure"
    return SandboxSpec(
        root=OverlayRoot(workspace.directory, workspace.lowers, workspace.upper, workspace.work),
        args=op.args,
        env=env,
        cwd=op.cwd,
        identity=identity,
        files=files,
        hostname=op.hostname,
        capabilities=ALL if insecure else DEFAULT_CAPABILITIES,
        seccomp=None if insecure else host.seccomp,
        network=op.network,
        insecure=insecure,
        shm_size=op.shm_size,
        mounts=extra.mounts,
        limits=tuple((RLIMITS[name], soft, hard) for name, soft, hard in op.ulimits),
    )


def command_text(op: RunOp) -> str:
    return " ".join(op.args)


def failure(op: RunOp, span: Span | None, exit_code: int | None, signal: int | None, tail: bytes) -> StepFailed:
    """The error of a command that ran and failed."""
    if signal is not None:
        said, hint = f"was killed by signal {signal}", "if nobody stopped it, the kernel may have run out of memory"
    else:
        said, hint = f"did not complete successfully: exit code: {exit_code}", None
    return StepFailed(f'process "{command_text(op)}" {said}', span=span, hint=hint, exit_code=exit_code, tail=tail)


class Surroundings(NamedTuple):
    """Who runs the command, what the host gives it, and where its output goes."""

    runner: Runner
    host: HostFiles
    output: Callable[[int, bytes], None]
    extra: Mounted = NOTHING


def run_step(op: RunOp, span: Span | None, workspace: Workspace, tree: Tree, around: Surroundings) -> LayerId:
    """Runs the command in ``workspace`` and commits what it changed. Discards the workspace on any failure."""
    tail = Tail()

    def collect(stream: int, data: bytes) -> None:
        tail.add(data)
        around.output(stream, data)

    try:
        try:
            spec = sandbox_spec(op, workspace, tree, around.host, around.extra)
        except UserError as error:
            raise StepFailed(
                f"USER of this step: {error}", span=span, hint="create the user in an earlier RUN, or give a number"
            ) from error
        except ValueError as error:
            raise StepFailed(f"USER of this step: {error}", span=span, hint="give numbers: USER 1000:1000") from error
        missing = reasons.missing_id(spec.identity, around.host.ids)
        if missing is not None:
            raise StepFailed(f"USER of this step: {missing.message}", span=span, hint=missing.hint)
        outcome = around.runner.run(spec, collect)
        if outcome.error is not None:
            hint = reasons.failed_start(outcome.error) or _START
            raise StepFailed(
                f'process "{command_text(op)}" could not be started: {outcome.error}', span=span, hint=hint
            )
        if outcome.exit_code != 0:
            failed = failure(op, span, outcome.exit_code, outcome.signal, tail.value())
            failed.hint = failed.hint or reasons.failed_command(around.host.ids)
            raise failed
        return workspace.commit()
    except BaseException:
        workspace.discard()
        raise
