"""``--add-host``, ``--ulimit``, ``--shm-size``, ``--annotation``, ``--build-arg-file``: values as Docker takes them."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builder.request import Annotation
from builder.runflags import SHM_SIZE, RunFlags, Ulimit
from builder.sandbox.limits import RLIMITS
from builder.settings import FlagError, UnsupportedFlag, absolute
from builder.textfile import read_text
from builder.units import parse_size
from layers.image import Platform

_GATEWAY = "host-gateway"
_LOOPBACK = "127.0.0.1"
_HERE = ("manifest", "manifest-descriptor")
_OF_INDEXES = ("index", "index-descriptor")
_TYPE = re.compile(r"(?P<name>[a-z-]+)(?:\[(?P<platform>[A-Za-z0-9_/-]+)\])?\Z")


def parse_run_flags(given: Mapping[str, Any]) -> RunFlags:
    """From the options of ``build`` or ``plan``. Raises FlagError."""
    ulimits = {limit.name: limit for limit in map(_ulimit, given["ulimit"])}
    return RunFlags(
        tuple(_host(host) for text in given["add_host"] for host in _listed(text)),
        tuple(ulimits[name] for name in sorted(ulimits)),
        SHM_SIZE if given["shm_size"] is None else _shm_size(given["shm_size"]),
    )


def _listed(text: str) -> list[str]:
    """Of several in one value, each (buildx reads it as a line of CSV)."""
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text]), [""])


def _host(text: str) -> tuple[str, str]:
    """``name:address`` or ``name=address``; an IPv6 address may stand in brackets."""
    found = re.match(r"([^:=]+)[:=](.+)\Z", text)
    if found is None:
        raise FlagError(f"--add-host {text}: there is no address", hint="write --add-host NAME:ADDRESS")
    name, address = found[1], found[2]
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address == _GATEWAY:
        # Steps are on the network of the host itself.
        return name, _LOOPBACK
    try:
        if "%" in address:
            raise ValueError("a zone means something on one host only")
        ipaddress.ip_address(address)
    except ValueError:
        raise FlagError(
            f"--add-host {text}: {address} is no IP address", hint=f"write --add-host NAME:ADDRESS, or NAME:{_GATEWAY}"
        ) from None
    if re.search(r"\s", name):
        raise FlagError(f"--add-host {text}: a name has no blanks", hint="write --add-host NAME:ADDRESS")
    return name, address


def _ulimit(text: str) -> Ulimit:
    """``name=soft[:hard]``, as Docker's go-units reads it."""
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")
    if not equals or not re.fullmatch(r"-?\d+(:-?\d+)?", values):
        raise FlagError(f"--ulimit {text} is not understood", hint="write --ulimit NAME=SOFT[:HARD]")
    if name not in RLIMITS:
        raise FlagError(f"--ulimit {text}: there is no limit {name}", hint=f"it is one of {', '.join(sorted(RLIMITS))}")
    limit = Ulimit(name, int(soft), int(hard if colon else soft))
    if limit.soft < -1 or limit.hard < -1:
        raise FlagError(f"--ulimit {text} is negative", hint="-1 is no limit at all")
    if limit.hard != -1 and (limit.soft == -1 or limit.soft > limit.hard):
        raise FlagError(f"--ulimit {text}: the soft limit is above the hard one", hint="write --ulimit NAME=SOFT:HARD")
    return limit


def _shm_size(text: str) -> int:
    size = parse_size(text)
    if size is None:
        raise FlagError(f"--shm-size {text} is no size", hint="write 128m or 1g")
    return size or SHM_SIZE


def parse_annotations(given: Sequence[str], platform: Platform) -> tuple[Annotation, ...]:
    """``[type[platform][,type...]:]key=value``. Raises FlagError; the last of several values of a key counts."""
    found: dict[tuple[bool, str], Annotation] = {}
    for text in given:
        if not text:
            continue
        key, equals, value = text.partition("=")
        kinds, colon, rest = key.partition(":")
        if not equals or not (rest if colon else key):
            raise FlagError(f"--annotation {text} is not understood", hint="write --annotation KEY=VALUE")
        for word in kinds.split(",") if colon else ("manifest",):
            if _applies(word, text, platform):
                made = Annotation(rest if colon else key, value, word.startswith("manifest-descriptor"))
                found[made.descriptor, made.key] = made
    return tuple(found.values())


def _applies(word: str, text: str, platform: Platform) -> bool:
    matched = _TYPE.match(word)
    if matched is not None and matched["name"] in _OF_INDEXES:
        raise UnsupportedFlag(
            f"--annotation {text} (an image for one platform has no index)", "write it for manifest or leave it out"
        )
    if matched is None or matched["name"] not in _HERE:
        raise FlagError(f"--annotation {text}: {word} is not known", hint=f"types are {', '.join(_HERE)}")
    try:
        return matched["platform"] is None or Platform.parse(matched["platform"]) == platform
    except ValueError as error:
        raise FlagError(f"--annotation {text}: {error}", hint=f"for example manifest[{platform}]:KEY=VALUE") from error


def read_build_arg_files(names: Sequence[str], cwd: str) -> tuple[str, ...]:
    """Lines of ``NAME=VALUE``; empty ones and those that begin with # are passed over. Raises FlagError."""
    found = []
    for name in names:
        path = Path(absolute(cwd, name))
        try:
            text = read_text(str(path), special=True).decode()
        except FileNotFoundError:
            raise FlagError(
                f"--build-arg-file {name}: no such file", hint="write a line NAME=VALUE for each ARG"
            ) from None
        except UnicodeDecodeError:
            raise FlagError(f"--build-arg-file {name} is not UTF-8 text", hint="save it as UTF-8") from None
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if "=" not in line:
                raise FlagError(f"--build-arg-file {name}, line {number}: there is no =", hint="write NAME=VALUE")
            found.append(line.lstrip())
    return tuple(found)
