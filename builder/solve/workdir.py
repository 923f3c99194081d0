"""WORKDIR: the directory is made, with all that is missing above it, and belongs to the current user at every level."""

from collections.abc import Iterator

from builder.plan.graph import WorkdirOp
from builder.solve.placing import NewDirectory, chain, destination, find_owner
from layers.entry import Entry
from layers.tree import Tree


def workdir_entries(op: WorkdirOp, dest: Tree, now_ns: int) -> Iterator[Entry]:
    """Nothing when the directory is there. Only the last directory gets the time of ``op.epoch`` (reference 1.8)."""
    owner = find_owner(op.user, dest) if op.user else None
    path = destination(op.path, dest)
    last_ns = now_ns if op.epoch is None else op.epoch * 1_000_000_000
    made = list(chain(dest, path, NewDirectory(0o755, owner, now_ns)))
    if not made or dest.lookup(path) is not None:
        return
    yield from made[:-1]
    yield made[-1]._replace(mtime_ns=last_ns)
