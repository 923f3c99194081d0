"""Build arguments: global, automatic and predefined ones, SOURCE_DATE_EPOCH, and those that steer BuildKit. Pure."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from builder.dockerfile.instructions import Arg, Dockerfile
from builder.dockerfile.parse import parse
from builder.errors import PlanError, Span, Unsupported
from builder.plan.expand import Expander
from builder.request import EPOCH, BuildRequest
from builder.settings import parse_bool
from layers.image import Platform
from layers.tuples import NamedTuple
from registry.proxies import NAMES as PROXIES

HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
DEFAULT_HOSTNAME = "buildkitsandbox"

NOT_IN_ENVIRONMENT = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""ARGs that never become variables of a RUN."""

_SYNTAX = "BUILDKIT_SYNTAX"
_SWITCHES = ("BUILDKIT_INLINE_CACHE", "BUILDKIT_MULTI_PLATFORM")
_CHECKS = "BUILDKIT_DOCKERFILE_CHECK"
_STEERING = frozenset(
    {
        *_SWITCHES,
        *NOT_IN_ENVIRONMENT,
        _SYNTAX,
        _CHECKS,
        HOSTNAME,
        EPOCH,
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_INLINE_BUILDINFO_ATTRS",
    }
)
"""Arguments that are for the builder: none of them needs an ARG. What is in none of the groups above speaks of things
that a build here has no part of (cache mounts, git contexts, attestations)."""

_INTEGER = r"[+-]?[0-9]+\Z"


Proxies = tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]


class Arguments(NamedTuple):
    given: Mapping[str, str]
    """``--build-arg``s with a value."""
    globals: Mapping[str, str]
    """Automatic ARGs and those before the first FROM, as far as they have a value: what FROM lines see."""
    epoch: int | None
    proxies: Proxies = ((), ())
    """Predefined variables of every RUN: those given, which replace what ENV and ARG say there, as in BuildKit; then
    those of the environment, which do not."""


def read(request: BuildRequest) -> Dockerfile:
    """The Dockerfile of a request; build arguments may stand for its directives. Raises as ``parse`` does."""
    given = dict(request.build_args)
    return parse(
        request.dockerfile_text, request.dockerfile_path, syntax=given.get(_SYNTAX) or None, check=given.get(_CHECKS)
    )


def arguments(dockerfile: Dockerfile, request: BuildRequest) -> Arguments:
    """Raises PlanError and Unsupported for values that mean nothing, or what pybuild does not do."""
    given = {name: value for name, value in request.build_args if value is not None}
    if request.epoch is not None:
        given.setdefault(EPOCH, str(request.epoch))
    _check_steering(given)
    values = _automatic(request.platform, given, request.target or dockerfile.stages[-1].name or "default")
    spans: dict[str, Span] = {}
    for instruction in dockerfile.global_args:
        _declare(instruction, given, values, dockerfile.escape)
        spans.update(dict.fromkeys((name for name, _ in instruction.items), instruction.span))
    text = given.get(EPOCH, values.get(EPOCH, ""))
    epoch = _seconds(text, spans.get(EPOCH), request) if text else None
    for place in (given, values):
        if EPOCH in place:
            if epoch is None:
                del place[EPOCH]
            else:
                place[EPOCH] = str(epoch)
    return Arguments(MappingProxyType(given), MappingProxyType(values), epoch, proxies(given, request.proxies))


def _automatic(target: Platform, given: Mapping[str, str], stage: str) -> dict[str, str]:
    """The build platform is the target's: settings refuse to build for another machine."""
    values: dict[str, str] = {}
    for side in ("BUILD", "TARGET"):
        values |= {
            f"{side}PLATFORM": str(target),
            f"{side}OS": target.os,
            f"{side}OSVERSION": "",
            f"{side}ARCH": target.architecture,
            f"{side}VARIANT": target.variant or "",
        }
    values["TARGETSTAGE"] = stage
    return {name: given.get(name, value) for name, value in values.items()}


def _declare(instruction: Arg, given: Mapping[str, str], values: dict[str, str], escape: str) -> None:
    for name, default in instruction.items:
        if name in given:
            values[name] = given[name]
        elif default is not None:
            values[name] = Expander(values, escape, instruction.span).word(default)


def _seconds(text: str, span: Span | None, request: BuildRequest) -> int | None:
    if re.match(_INTEGER, text):
        return int(text)
    if text == "context" and not request.unpacked:
        return None  # a local directory has no date of its own
    raise PlanError(
        f"invalid {EPOCH}: {text}",
        span=span,
        hint="give whole seconds since 1970; dates taken from a stage or a fetched context are not supported yet",
    )


def _check_steering(given: Mapping[str, str]) -> None:
    for name in _SWITCHES:
        if parse_bool(given.get(name, "false")) is not False:
            raise Unsupported(f"--build-arg {name}={given[name]} is not supported yet", hint="leave it out")
    if "error=true" in given.get(_CHECKS, "").replace(" ", "").lower():
        raise Unsupported(
            f"--build-arg {_CHECKS}={given[_CHECKS]}: build checks are not supported yet", hint="leave out error=true"
        )


def proxies(given: Mapping[str, str], environment: Iterable[tuple[str, str]]) -> Proxies:
    """Variables of every RUN, without an ARG: either case of a name sets both. Of two that differ the lower-case one
    counts. An empty one is none, and keeps that of the environment away."""
    found = {name.upper(): given[name] for name in sorted(given) if name.upper() in PROXIES}
    return _in_both_cases(found), _in_both_cases({name: value for name, value in environment if name not in found})


def _in_both_cases(found: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for upper, value in found.items() if value for name in (upper, upper.lower()))


def unused(given: Mapping[str, str], globals_: Mapping[str, str], declared: Iterable[str]) -> list[str]:
    """Names of build arguments that nothing asks for."""
    known = {*declared, *globals_}
    return [name for name in given if name not in known | _STEERING and name.upper() not in PROXIES]
