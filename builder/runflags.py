"""What the command line says of every RUN of a build: names of hosts, limits, shared memory. Pure."""

from layers.tuples import NamedTuple

SHM_SIZE = 64 << 20
"""Bytes of /dev/shm unless ``--shm-size`` says otherwise (reference part L)."""


class Ulimit(NamedTuple):
    """``name`` as in Docker's ``--ulimit`` (``nofile``); -1 is no limit."""

    name: str
    soft: int
    hard: int


class RunFlags(NamedTuple):
    """``hosts`` are (name, address) in the order given."""

    hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = SHM_SIZE


NO_RUN_FLAGS = RunFlags()
