"""What sources of ADD mean now: which bytes an address gives, which commit a ref is. Found before the keys, which need
it; of what is pinned (a checksum, a commit) nothing need be asked.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

from builder.errors import PlanError
from builder.plan.graph import AddOp, CopyOp, GitTree, Node, Plan, RemoteSource, WebFile
from layers.errors import PybuildError

if TYPE_CHECKING:
    from builder.fetch.remote import Remote

AT_ONCE = 4


def has_remotes(plan: Plan) -> bool:
    return any(_unresolved(node) for node in plan.nodes.values())


def resolve(plan: Plan, remote: "Remote") -> Plan:
    """``plan`` with digests and commits for everything that is to be fetched. Raises PlanError."""
    wanted: dict[RemoteSource, Node] = {}
    for node in plan.nodes.values():
        for source in _unresolved(node):
            wanted.setdefault(source, node)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(AT_ONCE, len(wanted))) as pool:
        found = dict(
            zip(wanted, pool.map(lambda pair: _resolved(pair[0], pair[1], remote), wanted.items()), strict=True)
        )
    nodes = {number: _replaced(node, lambda source: found.get(source, source)) for number, node in plan.nodes.items()}
    return plan._replace(nodes=MappingProxyType(nodes))


def _unresolved(node: Node) -> tuple[RemoteSource, ...]:
    if not isinstance(node.op, CopyOp | AddOp):
        return ()
    return tuple(
        source
        for source in node.op.sources
        if (isinstance(source, WebFile) and not source.digest) or (isinstance(source, GitTree) and not source.commit)
    )


def _resolved(source: RemoteSource, node: Node, remote: "Remote") -> RemoteSource:
    try:
        if isinstance(source, WebFile):
            with remote.telling(source.url):
                file = remote.http().fetch(source.url)
            return source._replace(digest=str(file.digest), mtime=file.mtime)
        from builder.fetch.giturl import parse_git_url

        asked = parse_git_url(source.address)
        assert asked is not None
        with remote.telling(source.remote):
            commit = remote.git().resolve(asked._replace(checksum=source.checksum))
        return source._replace(commit=commit.id, ref=commit.ref, tag=commit.tag)
    except PybuildError as error:
        raise PlanError(error.message, span=node.span, hint=error.hint, code=error.code) from error


def _replaced(node: Node, replace: Callable[[RemoteSource], RemoteSource]) -> Node:
    if not _unresolved(node) or not isinstance(node.op, CopyOp | AddOp):
        return node
    parts = tuple(replace(part) if isinstance(part, WebFile | GitTree) else part for part in node.op.sources)
    return node._replace(op=node.op._replace(sources=parts))
