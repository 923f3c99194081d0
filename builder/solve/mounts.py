"""The mounts of one RUN: found or made before it runs, let go of after it."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from builder.errors import Cancelled, Span, StepFailed
from builder.grants import Grants
from builder.plan.graph import RunOp
from builder.plan.mounts import BindMount, CacheMount, RunMount, SecretMount, SshMount, TmpfsMount
from builder.plan.select_mounts import Chosen, MountSelection
from builder.sandbox import spec
from builder.sandbox.reasons import missing_owner
from builder.solve.devices import Edits, edits
from builder.solve.mount_files import TOP, context_layer, entries
from builder.solve.mounted import Mounted
from builder.solve.secrets import Secrets
from layers.caches import CacheKind, Stopped
from layers.digest import Rootfs
from layers.entry import Kind
from layers.processids import current
from layers.store import Store
from layers.tuples import NamedTuple
from layers.unpack import unpack

CACHE_MODE = 0o755
AGENT_VARIABLE = "SSH_AUTH_SOCK"


class Helpers(NamedTuple):
    """``stopped``: whether the build was given up, so that nobody waits for a cache any longer."""

    store: Store
    secrets: Secrets
    grants: Grants
    stopped: Callable[[], bool]
    clock: Callable[[], float]
    tell: Callable[[str], None]
    """Into the step's output."""
    worker: Callable[[], int | None]
    """The process whose end is the end of every command (``Runner.pid``)."""


@contextlib.contextmanager
def mounted(op: RunOp, selection: MountSelection | None, helpers: Helpers, span: Span | None) -> Iterator[Mounted]:
    """Everything the step mounts, for as long as it runs. Raises BuildError, and errors of store and host."""
    with contextlib.ExitStack() as stack:
        chosen = selection.chosen if selection is not None else (None,) * len(op.mounts)
        acquiring = _Acquiring(helpers, stack, span)
        # Caches in one order for all steps: two that wait for each other's would wait for ever.
        made: dict[int, spec.Mount | None] = {}
        for place in sorted(range(len(op.mounts)), key=lambda place: _order(op.mounts[place], chosen[place])):
            made[place] = acquiring.add(op.mounts[place], chosen[place])
        extra = edits(op.devices, helpers.grants, span) if op.devices else Edits((), ())
        acquiring.env.update(extra.env)
        own = {name for name, _ in op.env}
        env = ((name, value) for name, value in acquiring.env.items() if name != AGENT_VARIABLE or name not in own)
        yield Mounted((*_one_a_target(op.mounts, made), *extra.mounts), tuple(env))


def _order(mount: object, chosen: Chosen | None) -> str:
    return _cache_kind(mount, chosen).identity if isinstance(mount, CacheMount) else ""


def _one_a_target(asked: Sequence[RunMount], made: Mapping[int, spec.Mount | None]) -> Iterable[spec.Mount]:
    """The last of those with one target: BuildKit mounts no other, and counts secrets after the rest, sockets last."""
    late: dict[type, int] = {SecretMount: 1, SshMount: 2}
    order = sorted(made, key=lambda place: (late.get(type(asked[place]), 0), place))
    return {mount.target: mount for place in order if (mount := made[place]) is not None}.values()


class _Acquiring:
    def __init__(self, helpers: Helpers, stack: contextlib.ExitStack, span: Span | None) -> None:
        self.env: dict[str, str] = {}
        self._helpers = helpers
        self._stack = stack
        self._span = span
        self._held: dict[str, str] = {}
        """Caches of this step: mounted twice, one is the same directory twice."""

    def add(self, mount: RunMount, chosen: Chosen | None) -> spec.Mount | None:
        """None when there is nothing to mount."""
        if isinstance(mount, CacheMount | SecretMount | SshMount):
            self._refuse_owner(mount.uid or 0, mount.gid or 0)
        match mount:
            case BindMount():
                assert chosen is not None
                return self._bind(mount, chosen)
            case CacheMount():
                return self._cache(mount, chosen)
            case TmpfsMount():
                return spec.TmpfsMount(mount.target, mount.size, mount.read_only)
            case SecretMount():
                return self._secret(mount)
            case SshMount():
                return self._agent(mount)
            case _:
                assert_never(mount)

    def _refuse_owner(self, uid: int, gid: int) -> None:
        missing = missing_owner(uid, gid, current())
        if missing is not None:
            raise StepFailed(f"RUN --mount: {missing.message}", span=self._span, hint=missing.hint)

    def _bind(self, mount: BindMount, chosen: Chosen) -> spec.TreeMount:
        store = self._helpers.store
        rootfs, source = chosen.rootfs, chosen.entry.path
        if rootfs is None:
            rootfs, source = (context_layer(chosen, store, self._helpers.clock()),), TOP
        is_directory = chosen.entry.kind is Kind.DIRECTORY
        return spec.TreeMount(mount.target, self._root(rootfs, mount.read_only), source, is_directory, mount.read_only)

    def _root(self, rootfs: Rootfs, read_only: bool) -> spec.OverlayRoot:
        store = self._helpers.store
        if read_only:
            return spec.OverlayRoot(*store.stacked(rootfs), "", "")
        workspace = store.workspace(rootfs)
        self._stack.callback(workspace.discard)
        return spec.OverlayRoot(workspace.directory, workspace.lowers, workspace.upper, workspace.work)

    def _cache(self, mount: CacheMount, chosen: Chosen | None) -> spec.HostMount:
        kind = _cache_kind(mount, chosen)
        path = self._held.get(kind.identity)
        if path is None:
            try:
                hold = self._helpers.store.caches().acquire(
                    kind, mount.sharing, lambda path: _fill(path, mount, chosen), self._impatient(mount)
                )
            except Stopped:
                raise Cancelled(f"stopped while it waited for the cache mount {mount.id}", span=self._span) from None
            self._stack.callback(hold.release)
            if (pid := self._helpers.worker()) is not None:
                hold.works(pid)
            path = self._held[kind.identity] = hold.path
        if chosen is None and mount.source != "/":
            path = self._inside(path, mount)
        return spec.HostMount(mount.target, path, os.path.isdir(path), mount.read_only)

    def _impatient(self, mount: CacheMount) -> Callable[[], bool]:
        """``stopped``, which is asked before every try: the first time but one it tells why nothing happens, unless
        the next try is for another directory."""
        if mount.sharing == "private":
            return self._helpers.stopped
        tries, name = 0, mount.id.removeprefix("/")

        def stopped() -> bool:
            nonlocal tries
            tries += 1
            if tries == 2:
                self._helpers.tell(f"waiting for the cache mount {name}, which another step holds\n")
            return self._helpers.stopped()

        return stopped

    def _inside(self, path: str, mount: CacheMount) -> str:
        """``source`` within the cache itself: never through a link, which could lead anywhere."""
        for part in mount.source.strip("/").split("/"):
            path = os.path.join(path, part)
            if not os.path.lexists(path) or os.path.islink(path):
                raise StepFailed(
                    f"RUN --mount: source {mount.source}: not found in the cache",
                    span=self._span,
                    hint="without from, source is a path within the cache, which an earlier step has to make",
                )
        return path

    def _secret(self, mount: SecretMount) -> spec.Mount | None:
        data = self._helpers.secrets.get(mount.id)
        if data is None and mount.required:
            raise StepFailed(
                f"RUN --mount: the secret {mount.id} is required, and was not given",
                span=self._span,
                hint=f"give it with --secret id={mount.id},src=FILE or --secret id={mount.id},env=NAME",
            )
        if mount.env is not None:
            self.env[mount.env] = (data or b"").decode(errors="surrogateescape")
        if mount.target is None or data is None:
            return None
        return spec.SecretFile(mount.target, data, mount.mode, mount.uid, mount.gid)

    def _agent(self, mount: SshMount) -> spec.Mount | None:
        """SSH_AUTH_SOCK is set whether there is an agent or not, as in BuildKit."""
        # Imports sockets and processes: few builds have agents.
        from builder.solve.agents import Owner, agent_socket, find

        self.env.setdefault(AGENT_VARIABLE, mount.target)
        source = find(self._helpers.grants.agents, mount.id)
        if source is None and mount.required:
            raise StepFailed(
                f"RUN --mount: the ssh agent {mount.id} is required, and was not given",
                span=self._span,
                hint=f"give it with --ssh {mount.id}, or a key with --ssh {mount.id}=FILE",
            )
        if source is None:
            return None
        directory = self._helpers.store.temporary("agent")
        owner = Owner(mount.mode, mount.uid, mount.gid)
        path = self._stack.enter_context(agent_socket(source, directory, owner))
        return spec.HostMount(mount.target, path, False, False)


def _cache_kind(mount: CacheMount, chosen: Chosen | None) -> CacheKind:
    """As in BuildKit, another owner, mode or beginning makes another cache; with a ``source`` of its own the first two
    are not looked at."""
    whole = mount.source == "/"
    owner = (mount.mode, mount.uid, mount.gid) if whole else (None, None, None)
    begins = chosen.digest().hex() if chosen is not None else None
    text = json.dumps(["pybuild-cache-1", mount.id, begins, *owner])
    return CacheKind(hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest(), mount.id.removeprefix("/"))


def _fill(path: str, mount: CacheMount, chosen: Chosen | None) -> None:
    """A new cache at ``path``."""
    owned = mount.source == "/" and (mount.mode, mount.uid, mount.gid) != (None, None, None)
    if chosen is None or owned:
        os.mkdir(path)
        os.chown(path, mount.uid or 0, mount.gid or 0)
        os.chmod(path, CACHE_MODE if mount.mode is None else mount.mode & 0o777)
    else:
        assert os.path.basename(path) == TOP.decode()
        unpack(entries(chosen), os.path.dirname(path))
