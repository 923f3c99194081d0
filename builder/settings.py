"""What flags and environment mean: ``from_flags`` makes a request of them, and nothing later reads either."""

import posixpath
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from builder.request import EPOCH, FETCH_ENVIRONMENT, BuildRequest, IgnoreFile, NamedContext, OutputSpec
from layers.errors import PybuildError
from layers.image import Platform, host_platform
from layers.tuples import NamedTuple
from registry.proxies import DOCKER_HOST, from_docker_config, from_environment
from registry.reference import Reference

_REMOTE_SCHEMES = frozenset({"http", "https", "git", "ssh"})
_IN_STORE = frozenset({"image", "cacheonly"})
"""Types of ``-o`` that leave all in the store."""
_SCP = r"[a-zA-Z0-9_-]+@[a-zA-Z0-9.-]+:(?!//)"
_INTEGER = r"[+-]?[0-9]+\Z"
_LAYOUT_DIGEST = r"@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}\Z"
_LAYOUT_TAG = r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z"


class FlagError(PybuildError):
    """A flag whose value cannot be used, or that pybuild does not have."""

    code = "flag"


class UnsupportedFlag(FlagError):
    """``what`` is the flag as the user knows it, with the part of its value that is meant."""

    code = "unsupported"

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what} is not supported yet", hint=hint)


class Flags(NamedTuple):
    """The flags of ``pybuild build``, in the order given: as text, but for ``outputs``."""

    tags: tuple[str, ...] = ()
    target: str | None = None
    build_args: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    no_cache: bool = False
    outputs: tuple[OutputSpec, ...] = ()
    build_contexts: tuple[str, ...] = ()
    root: str | None = None
    security_opts: tuple[str, ...] = ()
    pull: str = "missing"


class BuildFiles(NamedTuple):
    """What was read before: fields as in ``BuildRequest``."""

    context: str
    dockerfile_path: str
    dockerfile_text: bytes
    ignores: tuple[IgnoreFile, ...] = ()
    unpacked: bool = False


class Host(NamedTuple):
    """Where pybuild was started. ``machine`` is uname's; ``admin``: the user is root; ``docker_config`` is Docker's
    config.json."""

    environ: Mapping[str, str]
    cwd: str
    machine: str
    admin: bool
    docker_config: Mapping[str, Any] = MappingProxyType({})


def from_flags(flags: Flags, files: BuildFiles, host: Host) -> BuildRequest:
    """Raises FlagError, and InvalidReference for a bad tag."""
    docker_host = host.environ.get("DOCKER_HOST") or DOCKER_HOST
    build_args = _build_args(flags.build_args, host.environ, from_docker_config(host.docker_config, docker_host))
    tags = tuple(dict.fromkeys(_tag(text) for text in flags.tags))
    if flags.outputs and all(output.type == "cacheonly" for output in flags.outputs):
        tags = ()  # as in buildx: there is no image to be named
    return BuildRequest(
        context=files.context,
        dockerfile_path=files.dockerfile_path,
        dockerfile_text=files.dockerfile_text,
        ignores=files.ignores,
        unpacked=files.unpacked,
        root=store_root(flags.root, host),
        platform=_platform(flags.platforms, host),
        tags=tuple(dict.fromkeys((*tags, *(name for output in flags.outputs for name in output.names)))),
        target=flags.target or None,
        build_args=build_args,
        labels=tuple(dict(map(_label, flags.labels)).items()),
        no_cache=flags.no_cache,
        outputs=tuple(_pushed(output, tags) for output in flags.outputs if output.type not in _IN_STORE),
        build_contexts=_named_contexts(flags.build_contexts, host.cwd),
        epoch=_epoch(dict(build_args)),
        seccomp=_seccomp(flags.security_opts),
        pull=flags.pull,
        environ=tuple((name, host.environ[name]) for name in FETCH_ENVIRONMENT if name in host.environ),
        docker_host=docker_host,
        proxies=tuple(from_environment(host.environ).items()),
    )


def absolute(cwd: str, path: str) -> str:
    """Without touching ``..``, which may follow a link."""
    joined = posixpath.join(cwd, path)
    return joined if ".." in joined.split("/") else posixpath.normpath(joined)


def store_root(given: str | None, host: Host) -> str:
    """``--root``, else PYBUILD_ROOT, else the place for the data of services (as root) or of the user (XDG)."""
    chosen = given or host.environ.get("PYBUILD_ROOT")
    if chosen:
        return absolute(host.cwd, chosen)
    if host.admin:
        return "/var/lib/pybuild"
    data = host.environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):
        return posixpath.join(data, "pybuild")
    home = host.environ.get("HOME", "")
    if not home.startswith("/"):
        raise FlagError("there is no HOME to keep the store in", hint="name a directory with --root")
    return posixpath.join(home, ".local/share/pybuild")


def full_name(text: str, flag: str) -> str:
    """An image name as the store keeps it: ``app`` -> ``docker.io/library/app:latest``. Raises InvalidReference."""
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise FlagError(f"{flag} {text}: a name to give cannot hold a digest", hint="leave out @ and what follows")
    return str(reference.tagged())


def _tag(text: str) -> str:
    return full_name(text, "--tag")


def _pushed(output: OutputSpec, tags: tuple[str, ...]) -> OutputSpec:
    """A push goes to the names given with it, else to all tags."""
    if output.type != "registry":
        return output
    names = output.names or tags
    if not names:
        raise FlagError("there is no name to push to", hint="add -t HOST/NAME:TAG")
    return output._replace(names=names)


def _pair(text: str, flag: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if not key:
        raise FlagError(f"{flag} {text}: there is no name before the =", hint=f"write {flag} NAME=VALUE")
    return key, value if equals else None


def _label(text: str) -> tuple[str, str]:
    key, value = _pair(text, "--label")
    return key, value or ""


def named_values(given: Sequence[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """The values of ``--build-arg``. A name alone stands for the variable of the environment, and where there is none
    for what was said of it before."""
    found: dict[str, str | None] = {}
    for text in given:
        key, value = _pair(text, "--build-arg")
        if value is None and key not in environ:
            found.setdefault(key, None)
        else:
            found[key] = environ[key] if value is None else value
    return found


def _build_args(
    given: Sequence[str], environ: Mapping[str, str], proxies: Mapping[str, str]
) -> tuple[tuple[str, str | None], ...]:
    """The last of several values counts. SOURCE_DATE_EPOCH comes along from the environment, as buildx sends it, and
    ``proxies`` of Docker's config.json (in both spellings) where neither spelling is given."""
    found = named_values(given, environ)
    if EPOCH not in found and environ.get(EPOCH):
        found[EPOCH] = environ[EPOCH]
    spoken = {key.upper() for key in found}
    for name, value in proxies.items():
        if name not in spoken:
            found[name] = found[name.lower()] = value
    return tuple(found.items())


def _epoch(build_args: Mapping[str, str | None]) -> int | None:
    """Empty is off. Seconds may be negative. What ``context`` means is seen when the context is known."""
    value = build_args.get(EPOCH)
    if not value or value == "context":
        return None
    if not re.match(_INTEGER, value):
        raise UnsupportedFlag(
            f"{EPOCH}={value}", "give whole seconds since 1970, for example the output of git log -1 --format=%ct"
        )
    return int(value)


def _platform(given: Sequence[str], host: Host) -> Platform:
    own = host_platform(host.machine)
    texts = given or (host.environ.get("DOCKER_DEFAULT_PLATFORM") or "local",)
    names = [name.strip() for text in texts for name in text.split(",")]
    chosen = []
    for name in names:
        try:
            chosen.append(own if name == "local" else Platform.parse(name, own))
        except ValueError as error:
            raise FlagError(f"--platform: {error}", hint=f"for example --platform {own}") from error
    if len(set(chosen)) > 1:
        raise UnsupportedFlag("--platform with several platforms", f"leave it out, or write --platform {own}")
    if chosen[0] != own:
        raise UnsupportedFlag(
            f"--platform {chosen[0]} on {own}", "pybuild builds for the machine it runs on: build there"
        )
    return own


def _seccomp(given: Sequence[str]) -> bool:
    for text in given:
        if text.replace(":", "=", 1) != "seccomp=unconfined":
            raise UnsupportedFlag(f"--security-opt {text}", "only seccomp=unconfined is known")
    return not given


def parse_bool(value: str) -> bool | None:
    """As Go's strconv.ParseBool reads it; None when it is no truth value."""
    if value in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    return False if value in {"0", "f", "F", "false", "FALSE", "False"} else None


def _named_contexts(given: Sequence[str], cwd: str) -> tuple[NamedContext, ...]:
    found: dict[str, NamedContext] = {}
    for text in given:
        name, value = _pair(text, "--build-context")
        if not value:
            raise FlagError(f"--build-context {text}: there is nothing after the name", hint="write NAME=DIRECTORY")
        found[name] = _named_context(name, value, cwd)
    return tuple(found.values())


def _named_context(name: str, value: str, cwd: str) -> NamedContext:
    what = f"--build-context {name}={value}"
    scheme, separator, rest = value.partition("://")
    scheme = scheme if separator else ""
    if scheme == "oci-layout":
        path, reference = _layout(rest)
        return NamedContext(name, "oci-layout", absolute(cwd, path), reference)
    if scheme == "docker-image" and rest == "scratch":
        return NamedContext(name, "scratch", "")
    if scheme == "docker-image":
        return NamedContext(name, "docker-image", str(Reference.parse(rest).tagged()))
    if value.startswith("target:"):
        return NamedContext(name, "target", value.removeprefix("target:"))
    if scheme in _REMOTE_SCHEMES or value.startswith("github.com/") or re.match(_SCP, value):
        return NamedContext(name, "remote", value)
    if separator or value.startswith("input:"):
        raise UnsupportedFlag(what, "name a directory, docker-image://NAME, oci-layout://PATH[:TAG] or an address")
    return NamedContext(name, "local", absolute(cwd, value))


def _layout(text: str) -> tuple[str, str | None]:
    """``path[:tag][@digest]``, of which the digest counts. What is neither, to its end, belongs to the path."""
    path, digest = text, None
    matched = re.search(_LAYOUT_DIGEST, text)
    if matched is not None:
        path, digest = text[: matched.start()], matched[0][1:]
    matched = re.search(_LAYOUT_TAG, path)
    if matched is None:
        return path, digest
    return path[: matched.start()], digest or matched[0][1:]
