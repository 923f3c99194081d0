"""The values of ``-o``: what is to be written, where, and how it is compressed (BuildKit's spelling)."""

from collections.abc import Mapping, Sequence

from builder.request import OutputSpec
from builder.settings import FlagError, UnsupportedFlag, absolute, full_name, parse_bool

_COMPRESSIONS = {"gzip": "gzip", "zstd": "zstd", "uncompressed": "none"}
_LEVELS = {"gzip": 9, "zstd": 22}
_LAYERS = frozenset({"compression", "compression-level", "force-compression"})
_IMAGE = _LAYERS | {"dest"}
_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "oci": _IMAGE | {"tar"},
    "docker": _IMAGE,
    "tar": frozenset({"dest"}),
    "local": frozenset({"dest"}),
    "image": _LAYERS | {"name", "push"},
    "registry": _LAYERS | {"name", "push"},
    "cacheonly": frozenset(),
}
"""Of each output type."""
_HARMLESS_IMAGE = {
    "oci-mediatypes": "true",
    "push": "false",
    "rewrite-timestamp": "true",
}
_HARMLESS = {
    "oci": _HARMLESS_IMAGE,
    "docker": {**_HARMLESS_IMAGE, "tar": "true"},
    "tar": {"platform-split": "false"},
    "local": {"platform-split": "false", "mode": "copy"},
    "image": {**_HARMLESS_IMAGE, "store": "true", "unpack": "false", "push-by-digest": "false"},
    "registry": {**_HARMLESS_IMAGE, "store": "true", "unpack": "false", "push-by-digest": "false"},
    "cacheonly": {},
}
"""Attributes that ask for what is done anyway: layers are clamped to SOURCE_DATE_EPOCH whenever it is set."""
_LATER_ATTRIBUTES = frozenset(
    {
        *_HARMLESS_IMAGE,
        *_HARMLESS["local"],
        *("name", "push-by-digest", "unpack", "store", "name-canonical", "context", "source-date-epoch"),
        *("attestation-inline", "attestation-prefix", "prefer-nondist-layers", "oci-artifact", "compatibility-version"),
        *("tar", "registry.insecure", "dangling-name-prefix", "danging-name-empty-only"),
    }
)


def parse_outputs(given: Sequence[str], cwd: str, *, load: bool, push: bool) -> tuple[OutputSpec, ...]:
    """Every ``-o``, ``--load`` and ``--push``. Raises FlagError."""
    found = [parse_output(text, cwd) for text in given]
    if load:
        found.append(OutputSpec("load", None))
    if push:
        found = _with_push(found)
    found = list(dict.fromkeys(found))
    if sum(output.dest == "-" for output in found) > 1:
        raise FlagError("--output: only one output can go to standard output", hint="give the others a dest=FILE")
    taken = [output.dest for output in found if output.dest not in {None, "-"}]
    for dest in taken:
        if taken.count(dest) > 1:
            raise FlagError(f"--output: two outputs go to {dest}", hint="give each a dest of its own")
    return tuple(found)


def _with_push(found: list[OutputSpec]) -> list[OutputSpec]:
    """As in buildx: images that are asked for are pushed; without any, the image under its tags."""
    if any(output.type in {"image", "registry"} for output in found):
        return [output._replace(type="registry") if output.type == "image" else output for output in found]
    return [*found, OutputSpec("registry", None)]


def parse_output(text: str, cwd: str) -> OutputSpec:
    """One ``-o``: ``-`` (a tar to standard output), a directory, or ``type=...,dest=...``. Raises FlagError."""
    if not text:
        raise FlagError("--output is empty", hint="for example -o type=oci,dest=image.tar")
    fields = _csv(text)
    if len(fields) == 1 and not text.startswith("type="):
        return OutputSpec("tar", "-") if text == "-" else OutputSpec("local", absolute(cwd, text))
    attributes: dict[str, str] = {}
    for item in fields:
        key, equals, value = item.partition("=")
        if not equals:
            raise FlagError(f"--output {text}: {item} is not KEY=VALUE", hint="for example -o type=oci,dest=image.tar")
        attributes[key.strip().lower()] = value
    kind = attributes.pop("type", "")
    if kind not in _ATTRIBUTES:
        raise _unknown_type(text, kind)
    for key, value in attributes.items():
        _check_attribute(text, kind, key, value)
    if kind in {"image", "registry", "cacheonly"}:
        return _image(text, kind, attributes)
    dest = attributes.get("dest", "")
    if kind == "docker" and not dest:
        kind = "load"
        if attributes.keys() & _LAYERS:
            raise UnsupportedFlag(
                f"--output {text}: compression on the way into a Docker Engine", "add dest=FILE for an archive"
            )
    tar = _true(attributes.get("tar", "true"), "tar")
    return OutputSpec(
        kind,
        _dest(text, kind, dest, cwd) if tar else _directory(text, dest, cwd),
        compression=_compression(text, attributes.get("compression", "gzip")),
        compression_level=_level(text, attributes),
        tar=tar,
        force_compression=_true(attributes.get("force-compression", "false"), "force-compression"),
    )


def _image(text: str, kind: str, attributes: Mapping[str, str]) -> OutputSpec:
    """``image`` stays in the store; ``registry``, and ``image`` with push=true, is pushed as well; ``cacheonly`` is not
    even named."""
    if kind == "cacheonly":
        return OutputSpec(kind, None)
    push = _true(attributes.get("push", "true" if kind == "registry" else "false"), "push")
    names = tuple(full_name(name.strip(), "--output name=") for name in attributes.get("name", "").split(",") if name)
    return OutputSpec(
        "registry" if push else "image",
        None,
        compression=_compression(text, attributes.get("compression", "gzip")),
        compression_level=_level(text, attributes),
        names=names,
        force_compression=_true(attributes.get("force-compression", "false"), "force-compression"),
    )


def _csv(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text]), [""])


def _unknown_type(text: str, kind: str) -> FlagError:
    known = ", ".join(sorted(_ATTRIBUTES))
    if not kind:
        return FlagError(f"--output {text}: there is no type=", hint=f"types are {known}")
    return FlagError(f"--output {text}: there is no type {kind}", hint=f"types are {known}")


def _check_attribute(text: str, kind: str, key: str, value: str) -> None:
    if key in _ATTRIBUTES[kind] or _HARMLESS[kind].get(key) == value.lower():
        return
    if key in _LATER_ATTRIBUTES or key.startswith("annotation"):
        raise UnsupportedFlag(f"--output {text}: {key}={value}", "leave it out")
    known = ", ".join(sorted(_ATTRIBUTES[kind])) or "none"
    raise FlagError(f"--output {text}: type={kind} has no attribute {key}", hint=f"it has {known}")


def _dest(text: str, kind: str, dest: str, cwd: str) -> str | None:
    if kind == "load":
        return None
    if kind == "local":
        return _directory(text, dest, cwd)
    return "-" if dest in {"", "-"} else absolute(cwd, dest)


def _directory(text: str, dest: str, cwd: str) -> str:
    if dest in {"", "-"}:
        raise FlagError(f"--output {text}: a directory is needed", hint="add dest=DIRECTORY")
    return absolute(cwd, dest)


def _compression(text: str, value: str) -> str:
    if value == "estargz":
        raise UnsupportedFlag(f"--output {text}: compression=estargz", "use gzip or zstd")
    if value not in _COMPRESSIONS:
        raise FlagError(f"--output {text}: no compression {value}", hint="use gzip, zstd or uncompressed")
    return _COMPRESSIONS[value]


def _level(text: str, attributes: Mapping[str, str]) -> int | None:
    value = attributes.get("compression-level")
    if value is None:
        return None
    highest = _LEVELS.get(_compression(text, attributes.get("compression", "gzip")))
    if highest is None:
        raise FlagError(f"--output {text}: without compression there is no level", hint="leave out compression-level")
    if not value.isascii() or not value.isdigit() or int(value) > highest:
        raise FlagError(f"--output {text}: {value} is not a compression level", hint=f"levels are 0 to {highest}")
    return int(value)


def _true(value: str, name: str) -> bool:
    answer = parse_bool(value)
    if answer is None:
        raise FlagError(
            f"--output: {name}={value} is neither true nor false", hint=f"write {name}=true or {name}=false"
        )
    return answer
