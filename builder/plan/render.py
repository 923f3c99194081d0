"""A plan for people and for programs, with what the store knows of each step. Pure.

``plan_json`` is a public format: fields may be added, the meaning of one changes only with ``FORMAT``.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from builder.plan.graph import GitTree, InlineFile, MergeOp, Node, NodeId, Op, Plan, RemoteSource, ScriptFile, WebFile
from builder.plan.mounts import MOUNTS
from builder.runflags import SHM_SIZE
from layers.digest import CacheKey, Digest
from layers.image import Platform, encode

FORMAT = 1


class NodeState(Protocol):
    """What is known of a node before anything runs."""

    @property
    def state(self) -> str:
        """``hit``, ``miss``, ``depends`` or ``source``."""

    @property
    def on(self) -> NodeId | None:
        """The step that must run before it shows, when the state is ``depends``."""

    @property
    def key(self) -> CacheKey: ...


States = Mapping[NodeId, NodeState]

_LOCAL = frozenset({"rootfs", "looked_up"})
"""What is true of this store at this moment only."""

_SELDOM: Mapping[str, object] = {
    "mounts": [],
    "security": "sandbox",
    "devices": [],
    "host_names": [],
    "host_addresses": [],
    "ulimits": [],
    "shm_size": SHM_SIZE,
    "seccomp": True,
}
"""Fields that are left out when nobody asked for them."""


def plan_text(plan: Plan, states: States) -> str:
    """One line a step: number, what is known of it, the instruction; then what there is to warn of."""
    rows = [
        (str(node.id), _known(states.get(node.id)), _title(node))
        for node in plan.nodes.values()
        if not isinstance(node.op, MergeOp)
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"{number:>{widths[0]}}  {state:<{widths[1]}}  {title}".rstrip() for number, state, title in rows]
    for message, span in plan.warnings:
        lines.append(f"WARNING: {message}{f' (line {span.first_line})' if span else ''}")
    return "".join(f"{line}\n" for line in lines)


def plan_json(plan: Plan, states: States) -> str:
    """The whole plan as JSON: steps in the order they could run, the config and the history the image will have."""
    document = {
        "format": FORMAT,
        "target": plan.target,
        "base": plan.base,
        "layers": list(plan.layers),
        "epoch": plan.epoch,
        "steps": [_step(node, states.get(node.id)) for node in plan.nodes.values()],
        "image": _image(plan),
        "history": [
            {"created_by": entry.created_by, "created": entry.created, "step": node} for entry, node in plan.history
        ],
        "warnings": [
            {"message": message, "line": span.first_line if span else None} for message, span in plan.warnings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _known(state: NodeState | None) -> str:
    if state is None:
        return ""
    return f"depends on step {state.on}" if state.on is not None else state.state


def _title(node: Node) -> str:
    if not node.position:
        return node.title
    place = f"{node.position}/{node.total}"
    return f"[{node.stage} {place}] {node.title}" if node.stage else f"[{place}] {node.title}"


def _step(node: Node, state: NodeState | None) -> dict[str, Any]:
    known = {} if state is None else {"state": state.state, "on": state.on, "key": str(state.key)}
    return {
        "id": node.id,
        "title": node.title,
        "stage": node.stage,
        "position": node.position,
        "total": node.total,
        "line": node.span.first_line if node.span else None,
        "inputs": list(node.inputs),
        "use_cache": node.use_cache,
        **known,
        "kind": type(node.op).__name__.removesuffix("Op").lower(),
        "op": _op(node.op),
    }


def _op(op: Op) -> dict[str, Any]:
    """The operation's fields. Of proxies only the names: their values may hold passwords. Local numbers stay out."""
    fields = {name: _plain(value) for name, value in op._asdict().items() if name not in _LOCAL}
    if "proxy_env" in fields:
        fields["proxy_env"] = [name for name, _ in fields["proxy_env"]]
    for name, plain in _SELDOM.items():
        if fields.get(name) == plain:
            del fields[name]
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, WebFile | GitTree):
        value = _remote(value)
    match value:
        case InlineFile(name, data):
            return {"name": name, "data": data.decode(errors="backslashreplace")}
        case ScriptFile(path, data, mode):
            return {"path": path, "data": data.decode(errors="backslashreplace"), "mode": f"{mode:04o}"}
        case Platform() | Digest():
            return str(value)
        case _ if isinstance(value, MOUNTS):
            kind = type(value).__name__.removesuffix("Mount").lower()
            return {"type": kind, **{name: _plain(part) for name, part in value._asdict().items()}}
        case tuple():
            return [_plain(part) for part in value]
        case _:
            return value


def _remote(source: RemoteSource) -> dict[str, Any]:
    if isinstance(source, WebFile):
        return {"url": source.url, "name": source.name, "digest": source.digest}
    return {"git": source.remote, "commit": source.commit, "subdir": source.subdir}


def _image(plan: Plan) -> dict[str, Any]:
    document = json.loads(encode(plan.config))
    return {key: value for key, value in document.items() if key not in {"created", "history", "rootfs"}}
