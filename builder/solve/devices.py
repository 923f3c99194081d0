"""``RUN --device``: devices by their names in the Container Device Interface (CDI specification 0.8, JSON files).

Of a device's edits there are variables, device nodes and mounts; whatever else a specification asks for is an error.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from builder.errors import Span, StepFailed, Unsupported
from builder.grants import DEVICE, Grants
from builder.plan.mounts import Device
from builder.sandbox.spec import HostMount
from layers.tuples import NamedTuple

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""A device of a later one hides that of the same name of an earlier one."""
_BUILDKIT = "org.mobyproject.buildkit.device."
_AUTOMATIC, _CLASS = _BUILDKIT + "autoallow", _BUILDKIT + "class"
_EDITS = frozenset({"env", "deviceNodes", "mounts"})


class Found(NamedTuple):
    kind: str
    name: str
    annotations: Mapping[str, str]
    edits: tuple[Mapping[str, Any], ...]
    """Of the specification as a whole, then of the device."""
    path: str

    @property
    def full_name(self) -> str:
        return f"{self.kind}={self.name}"


class Edits(NamedTuple):
    mounts: tuple[HostMount, ...]
    env: tuple[tuple[str, str], ...]


def edits(wanted: Sequence[Device], grants: Grants, span: Span | None, folders: Sequence[str] = FOLDERS) -> Edits:
    """What the devices bring into a step; nothing for one that is not there and need not be. Raises BuildError."""
    known = {found.full_name: found for found in _read(folders, span)}
    mounts: dict[str, HostMount] = {}
    env: dict[str, str] = {}
    for device in wanted:
        chosen = _chosen(device.name, tuple(known.values()))
        if not chosen and device.required:
            raise StepFailed(
                f"RUN --device: {device.name} is required, and is not there",
                span=span,
                hint=f"the devices of this host are described in {' and '.join(folders)} (*.json)",
            )
        for found in chosen:
            if not _allowed(found, device.name, grants):
                raise StepFailed(
                    f"RUN --device: {found.full_name} is not allowed",
                    span=span,
                    hint=f"whoever builds has to allow it: --allow device={found.full_name}",
                )
            for part in found.edits:
                _apply(part, found, mounts, env, span)
    return Edits(tuple(mounts.values()), tuple(env.items()))


def _read(folders: Sequence[str], span: Span | None) -> Iterator[Found]:
    for folder in folders:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, name)
            if name.endswith((".yaml", ".yml")):
                hint = "write it as JSON, for example with nvidia-ctk cdi generate --format=json"
                raise Unsupported(f"RUN --device: {path}: YAML is not read yet", span=span, hint=hint)
            if name.endswith(".json"):
                try:
                    with open(path, "rb") as file:
                        yield from _devices(json.load(file), path)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    hint = "mend the file, or move it away"
                    raise StepFailed(f"RUN --device: {path} is no CDI specification", span=span, hint=hint) from error


def _devices(document: Any, path: str) -> Iterator[Found]:
    shared = document.get("containerEdits") or {}
    for device in document["devices"]:
        annotations = {**(document.get("annotations") or {}), **(device.get("annotations") or {})}
        own = device.get("containerEdits") or {}
        yield Found(str(document["kind"]), str(device["name"]), annotations, (dict(shared), dict(own)), path)


def _chosen(name: str, known: Sequence[Found]) -> tuple[Found, ...]:
    """By name, all of a kind (``*``), the first of a kind (without ``=``), or those of a class."""
    kind, equals, which = name.partition("=")
    of_kind = tuple(found for found in known if found.kind == kind)
    if not equals:
        return of_kind[:1]
    if which == "*":
        return of_kind
    exact = tuple(found for found in of_kind if found.name == which)
    return exact or tuple(found for found in of_kind if found.annotations.get(_CLASS) == which)


def _allowed(found: Found, asked: str, grants: Grants) -> bool:
    if found.annotations.get(_AUTOMATIC) == "true" or grants.allows(DEVICE):
        return True
    rights = (
        right.removeprefix(f"{DEVICE}=").split(",")[0] for right in grants.allowed if right.startswith(f"{DEVICE}=")
    )
    return any(right in {found.full_name, found.kind, f"{found.kind}=*", asked} for right in rights)


def _apply(
    part: Mapping[str, Any], found: Found, mounts: dict[str, HostMount], env: dict[str, str], span: Span | None
) -> None:
    odd = sorted(key for key, value in part.items() if value and key not in _EDITS)
    if odd:
        raise _unsupported(found, " and ".join(odd), span)
    for text in part.get("env") or ():
        name, _, value = str(text).partition("=")
        env[name] = value
    for node in part.get("deviceNodes") or ():
        target = str(node["path"])
        source = str(node.get("hostPath") or target)
        status = os.stat(source)
        if not stat.S_ISCHR(status.st_mode) and not stat.S_ISBLK(status.st_mode):
            raise StepFailed(f"RUN --device: {source} of {found.full_name} is no device", span=span)
        _check_node(node, status, found, span)
        mounts[target] = HostMount(target, source, directory=False, read_only=False, devices=True)
    for mount in part.get("mounts") or ():
        if mount.get("type") not in {None, "", "bind"}:
            raise _unsupported(found, f"a mount of type {mount['type']}", span)
        source, target = str(mount["hostPath"]), str(mount["containerPath"])
        read_only = "ro" in (mount.get("options") or ())
        mounts[target] = HostMount(target, source, os.path.isdir(source), read_only)


def _check_node(node: Mapping[str, Any], status: os.stat_result, found: Found, span: Span | None) -> None:
    """The host's node is what the step sees, so it has to be what the specification asks for."""
    asked = {
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
    }
    other = sorted(key for key, value in asked.items() if node.get(key) not in {None, value})
    if other:
        raise _unsupported(found, f"another {' and '.join(other)} for {node['path']} than the host's", span)


def _unsupported(found: Found, what: str, span: Span | None) -> Unsupported:
    return Unsupported(
        f"RUN --device: {found.full_name} ({found.path}) asks for {what}, which is not supported yet",
        span=span,
        hint="variables, device nodes and bind mounts are supported",
    )
