"""``RUN --mount``: names and paths of a mount resolved where its instruction stands. Pure.

Defaults, and what a relative target is joined to, are BuildKit's (reference 1.9).
"""

import posixpath

from builder.dockerfile.instructions import Run
from builder.dockerfile.mounts import Mount, MountError, parse_mount
from builder.errors import PlanError
from builder.plan.graph import NodeId
from builder.plan.lower_copy import context_node
from builder.plan.mounts import BindMount, CacheMount, RunMount, SecretMount, SshMount, TmpfsMount
from builder.plan.scope import Scope
from builder.plan.stage_state import StageState, absolute
from builder.plan.stages import Ref

CACHE_NAMESPACE = "BUILDKIT_CACHE_MOUNT_NS"
SECRETS = "/run/secrets/"
AGENTS = "/run/buildkit/ssh_agent."
SECRET_MODE = 0o400
SOCKET_MODE = 0o600
_KERNEL = ("/proc", "/sys", "/dev")


class Lowered:
    """The mounts of one RUN and the inputs they bring; input 0 is the root file system."""

    def __init__(self, state: StageState, instruction: Run, scope: Scope) -> None:
        self.mounts: list[RunMount] = []
        self.inputs: list[NodeId] = []
        self._state = state
        self._instruction = instruction
        self._scope = scope
        self._agents = 0
        self._value = ""
        """The mount that is being looked at, as written."""

    def add(self, value: str, source: Ref | None) -> None:
        """``source`` is what ``from`` names. Raises PlanError."""
        self._value = value
        expander = self._scope.expander(self._state, self._instruction)
        try:
            mount = parse_mount(value, expander.word)
        except MountError as error:
            raise self._error(error.message, error.hint) from error
        if mount.idle:
            keys = " and ".join(mount.idle)
            self._scope.warn(f"RUN --mount: {keys} means nothing for a {mount.type} mount", self._instruction.span)
        self.mounts.append(self._lowered(mount, source))

    def _lowered(self, mount: Mount, source: Ref | None) -> RunMount:
        match mount.type:
            case "bind":
                node = self._scope.source(source) if source is not None else context_node(self._scope)
                return BindMount(self._target(mount), absolute("/", mount.source), mount.read_only, self._input(node))
            case "cache":
                return self._cache(mount, source)
            case "tmpfs":
                return TmpfsMount(self._target(mount), mount.size, mount.read_only)
            case "secret":
                return self._secret(mount)
            case _:
                return self._agent(mount)

    def _cache(self, mount: Mount, source: Ref | None) -> CacheMount:
        namespace = self._scope.found.arguments.given.get(CACHE_NAMESPACE, "")
        return CacheMount(
            self._target(mount),
            f"{namespace}/{mount.id or posixpath.normpath(mount.target)}",
            mount.sharing or "shared",
            mount.read_only,
            absolute("/", mount.source),
            self._input(self._scope.source(source)) if source is not None else None,
            mount.mode,
            mount.uid,
            mount.gid,
        )

    def _secret(self, mount: Mount) -> SecretMount:
        name = mount.id or mount.source or posixpath.basename(mount.target.rstrip("/"))
        target = mount.target or (SECRETS + posixpath.basename(name.rstrip("/")) if mount.env is None else None)
        return SecretMount(
            name,
            self._joined(target) if target is not None else None,
            mount.env,
            mount.required,
            SECRET_MODE if mount.mode is None else mount.mode,
            mount.uid or 0,
            mount.gid or 0,
        )

    def _agent(self, mount: Mount) -> SshMount:
        target = mount.target or f"{AGENTS}{self._agents}"
        self._agents += 1
        return SshMount(
            mount.id or "default",
            self._joined(target),
            mount.required,
            SOCKET_MODE if mount.mode is None else mount.mode,
            mount.uid or 0,
            mount.gid or 0,
        )

    def _input(self, node: NodeId) -> int:
        self.inputs.append(node)
        return len(self.inputs)

    def _target(self, mount: Mount) -> str:
        return self._joined(mount.target)

    def _joined(self, path: str) -> str:
        target = absolute(self._state.workdir, path)
        if target == "/":
            what = f"the mount target {path}" if path else "the mount has no target, and the working directory"
            raise self._error(f"{what} is the root directory", "name a directory below it: target=/...")
        if target in _KERNEL or target.startswith("/proc/"):
            raise self._error(f"nothing can be mounted at {target}: it is the kernel's", "choose another target")
        return target

    def _error(self, message: str, hint: str | None) -> PlanError:
        span, about = self._instruction.span, f"--mount={self._value}"
        return PlanError(f"RUN --mount: {message}", span=span, hint=hint, about=about)


def lower_mounts(
    state: StageState, instruction: Run, sources: tuple[Ref | None, ...], scope: Scope
) -> tuple[tuple[RunMount, ...], tuple[NodeId, ...]]:
    """``sources``: what ``from`` of each mount names. Raises PlanError."""
    lowered = Lowered(state, instruction, scope)
    for value, source in zip(instruction.mounts, sources, strict=True):
        lowered.add(value, source)
    return tuple(lowered.mounts), tuple(lowered.inputs)
