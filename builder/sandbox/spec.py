"""What to run and in what surroundings, as data; how it is run is a Runner's business. Pure."""

from collections.abc import Callable
from typing import Protocol

from layers.tuples import NamedTuple

DEFAULT_CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
)
"""BuildKit's default set (reference part L): CapEff 00000000a80425fb."""


class Identity(NamedTuple):
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups."""
    home: str


class OverlayRoot(NamedTuple):
    """A root to be mounted by the helper, inside the step's own mount namespace: nothing is mounted on the host.

    ``lowers`` are names relative to ``directory``, lowest layer first; ``upper`` and ``work`` are absolute. Without
    them (only as part of a TreeMount) nothing can be written.
    """

    directory: str
    lowers: tuple[str, ...]
    upper: str
    work: str


class FileMount(NamedTuple):
    """A small file with these bytes, mounted at ``target``; a missing mount point is made and removed again."""

    target: str
    data: bytes
    mode: int
    read_only: bool = True


class TreeMount(NamedTuple):
    """``source`` (no part of it a link; b"" is all) of layers, which are stacked for it."""

    target: str
    root: OverlayRoot
    source: bytes
    directory: bool
    read_only: bool


class HostMount(NamedTuple):
    """A file, directory or socket of the host: ``path`` is absolute."""

    target: str
    path: str
    directory: bool
    read_only: bool
    devices: bool = False
    """Device nodes can be opened through it."""


class TmpfsMount(NamedTuple):
    """``size`` in bytes, 0 for the kernel's default."""

    target: str
    size: int
    read_only: bool


class SecretFile(NamedTuple):
    """A file that is alone on a tmpfs of its own, read-only. Never shows its bytes."""

    target: str
    data: bytes
    mode: int
    uid: int
    gid: int

    def __repr__(self) -> str:
        return f"SecretFile({self.target!r})"


Mount = TreeMount | HostMount | TmpfsMount | SecretFile


class SandboxSpec(NamedTuple):
    """``seccomp`` is the assembled BPF program, or None for no filter (only when asked for by name)."""

    root: OverlayRoot
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    identity: Identity
    files: tuple[FileMount, ...]
    hostname: str
    capabilities: tuple[str, ...]
    seccomp: bytes | None
    network: str = "host"
    """``host``, or ``none`` for a network of its own without any device but the loopback one."""
    shm_size: int = 64 << 20
    insecure: bool = False
    """Nothing masked, /proc, /sys and cgroups writable, the host's devices: of all this what the runner itself may do.
    Capabilities and filter are not touched by it."""
    mounts: tuple[Mount, ...] = ()
    """Mounted in the order of their targets, so that one may lie in another. No device in them can be opened, unless
    they say so. A missing mount point is made, and removed again if it was made in the root."""
    limits: tuple[tuple[int, int, int], ...] = ()
    """Resource limits: number, soft, hard; -1 is none. The others are those of this process."""


class Outcome(NamedTuple):
    """How the command ended. ``error`` is set, and the rest None, when it could not be started."""

    exit_code: int | None
    signal: int | None
    error: str | None
    seconds: float


class Runner(Protocol):
    @property
    def pid(self) -> int | None:
        """The process whose end is the end of every command, however it came; None when there is none."""

    def run(self, spec: SandboxSpec, output: Callable[[int, bytes], None]) -> Outcome:
        """Runs one command to its end. ``output(stream, data)`` gets what it writes (1 stdout, 2 stderr), as it comes.

        Thread-safe. When it returns, no process and no mount of the step is left, and the upper directory holds
        exactly the command's changes.
        """

    def cancel(self) -> None:
        """Kills every running command at once; their ``run`` calls return with a signal. Thread-safe."""

    def close(self) -> None:
        """Ends the runner and everything it started."""
