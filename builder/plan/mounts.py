"""What a RUN mounts, with every name resolved: part of its operation. Pure.

``input`` is the place among the node's inputs of what is mounted. As for operations, ``KEY`` are the fields that decide
the step's result: the content of what is mounted is in the key apart from them (``select_mounts``), what a cache holds
and the bytes of a secret never are (reference 5.1).
"""

from typing import ClassVar

from layers.tuples import NamedTuple


class _BindMount(NamedTuple):
    target: str
    source: str
    """Path inside of the input, "/" is all of it."""
    read_only: bool
    input: int


class BindMount(_BindMount):
    """Files of a stage, an image or a context. What is written to one that is not read-only is discarded."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"target", "source", "read_only", "input"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _CacheMount(NamedTuple):
    target: str
    id: str
    """With the namespace in front of it."""
    sharing: str
    read_only: bool
    source: str
    """Path inside of the input, or without one inside of the cache."""
    input: int | None
    """What a new cache begins with."""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class CacheMount(_CacheMount):
    """A directory that stays from build to build and is never part of a layer. Mode and owner are of a new one."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"target", "read_only", "source", "input", "mode", "uid", "gid"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset({"id", "sharing"})


class _TmpfsMount(NamedTuple):
    target: str
    size: int
    """Bytes; 0 for the kernel's default."""
    read_only: bool


class TmpfsMount(_TmpfsMount):
    """An empty directory in memory, gone when the step ends."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"target", "size", "read_only"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _SecretMount(NamedTuple):
    id: str
    target: str | None
    env: str | None
    required: bool
    mode: int
    uid: int
    gid: int


class SecretMount(_SecretMount):
    """A secret as a file, as a variable, or both. ``required`` counts: what a step gave that went without the secret is
    not what is asked for."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"id", "target", "env", "required", "mode", "uid", "gid"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _SshMount(NamedTuple):
    id: str
    target: str
    required: bool
    mode: int
    uid: int
    gid: int


class SshMount(_SshMount):
    """The socket of an ssh agent. SSH_AUTH_SOCK names the first one."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"id", "target", "required", "mode", "uid", "gid"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


class _Device(NamedTuple):
    name: str
    required: bool


class Device(_Device):
    """A device of the host, by its name in the Container Device Interface."""

    __slots__ = ()
    KEY: ClassVar[frozenset[str]] = frozenset({"name", "required"})
    NOT_KEY: ClassVar[frozenset[str]] = frozenset()


RunMount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount

MOUNTS = (BindMount, CacheMount, TmpfsMount, SecretMount, SshMount, Device)
"""All that declare what of them is in the key."""
