"""Identity of steps. Two keys a node: the *recipe* key follows from the plan and the bytes of the build context alone,
the *effective* key from what the inputs turned out to be.

Encoding: JSON without blanks, keys sorted, of a list headed by ``VERSION``; hashed with SHA-256. Change ``VERSION``
whenever the meaning of a field or the bytes a step makes change: old records are then never found again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from builder.plan.graph import (
    AddOp,
    CopyOp,
    GitTree,
    ImageOp,
    InlineFile,
    LocalOp,
    MergeOp,
    Node,
    NodeId,
    Op,
    RunOp,
    ScratchOp,
    ScriptFile,
    WebFile,
)
from builder.plan.mounts import MOUNTS, Device, RunMount
from layers.digest import CacheKey, Digest
from layers.image import Platform

VERSION = "pybuild-key-2"


def _plain(value: Any) -> Any:
    """The JSON form of a field's value; types that could be mistaken for each other are told apart by a tag."""
    if isinstance(value, WebFile | GitTree):
        value = value.identity
    match value:
        case None | bool() | int() | str():
            return value
        case InlineFile(name, data):
            return ["inline", name, hashlib.sha256(data).hexdigest()]
        case ScriptFile(path, data, mode):
            return ["script", path, hashlib.sha256(data).hexdigest(), mode]
        case Platform():
            return [value.os, value.architecture, value.variant]
        case Digest():
            return str(value)
        case tuple():
            return _fields(value) if isinstance(value, MOUNTS) else [_plain(part) for part in value]
    raise TypeError(f"no canonical form for {type(value).__name__}")


def _hash(*parts: Any) -> CacheKey:
    text = json.dumps([VERSION, *parts], separators=(",", ":"), sort_keys=True, ensure_ascii=True)
    return CacheKey(Digest.of(text.encode()))


def _fields(value: Op | RunMount | Device) -> list[Any]:
    return [type(value).__name__, {field: _plain(getattr(value, field)) for field in sorted(value.KEY)}]


def _operation(node: Node) -> list[Any]:
    return _fields(node.op)


def recipe_key(node: Node, inputs: Mapping[NodeId, CacheKey], selection: bytes | None) -> CacheKey:
    """Key of ``node`` by definition: its operation and the recipe keys of its inputs.

    ``selection``: for a COPY or ADD out of the build context, or a RUN that mounts some of it, the digest of what it
    selects there; None otherwise.
    A LocalOp has no identity of its own: who reads from it has ``selection``.
    """
    chosen = selection.hex() if selection is not None else None
    return _hash("recipe", _operation(node), [str(inputs[i]) for i in node.inputs if i in inputs], chosen)


def effective_key(node: Node, rootfs: CacheKey | None, selection: bytes | None) -> CacheKey:
    """Key of ``node`` by what it works on: the effective key of the root file system below it, and the content digest
    of what it selects from its source, wherever that came from."""
    chosen = selection.hex() if selection is not None else None
    return _hash("effective", _operation(node), str(rootfs) if rootfs is not None else None, chosen)


def merged_key(node: Node, rootfs: CacheKey, linked: CacheKey) -> CacheKey:
    """Effective key of a MergeOp: of what is below, and of what is stacked on it."""
    return _hash("effective", _operation(node), str(rootfs), str(linked))


def rootfs_input(node: Node) -> NodeId | None:
    """The input whose root filesystem the node stands on; None for sources."""
    return node.inputs[0] if node.inputs else None


def source_input(node: Node) -> NodeId | None:
    """The input a COPY or ADD takes its files from (None when all of them are heredocs)."""
    match node.op:
        case CopyOp() | AddOp():
            return node.inputs[1] if len(node.inputs) > 1 else None
        case _:
            return None


def is_merge(node: Node) -> bool:
    """A root filesystem with a linked layer on top: what it is follows from its inputs, both of which are needed."""
    return isinstance(node.op, MergeOp)


def is_step(node: Node) -> bool:
    """Executed when it is not known, and recorded."""
    return not is_source(node) and not is_merge(node)


def mount_inputs(node: Node) -> tuple[NodeId, ...]:
    """The inputs a RUN mounts."""
    return node.inputs[1:] if isinstance(node.op, RunOp) else ()


def is_source(node: Node) -> bool:
    """Bases and contexts: nothing is executed for them and nothing is recorded."""
    return isinstance(node.op, ImageOp | ScratchOp | LocalOp)
