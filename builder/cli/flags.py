"""The flags of ``pybuild build`` and ``pybuild plan``, those of ``docker buildx build`` that pybuild lacks included.

A flag that is known but not supported is an error that says so, unless the value given asks for nothing. Those of the
classic builder that BuildKit ignores too are ignored, with a warning where buildx has one (reference 4.1).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from builder.cli import completers
from builder.cli.options import PULLS, Option
from builder.cli.ownhelp import OwnHelp
from builder.cli.session import Session
from builder.settings import UnsupportedFlag, parse_bool

F = TypeVar("F", bound=Callable[..., Any])

_LIMITS = "run pybuild itself under the limit, for example with systemd-run --scope -p MemoryMax=2G"
_CHECKS = "pybuild plan says what would be built"

REFUSED_VALUES = {
    "--cache-from": "the cache is in the store: keep --root between builds",
    "--cache-to": "the cache is in the store: keep --root between builds",
    "--cgroup-parent": _LIMITS,
    "--print": _CHECKS,
    "--resource": _LIMITS,
    "--memory": _LIMITS,
    "--memory-swap": _LIMITS,
    "--cpu-shares": _LIMITS,
    "--cpu-period": _LIMITS,
    "--cpu-quota": _LIMITS,
    "--cpuset-cpus": _LIMITS,
    "--cpuset-mems": _LIMITS,
}
_SHORT = {"--memory": "-m", "--cpu-shares": "-c"}
REFUSED_SWITCHES = {
    "--check": _CHECKS,
}
IGNORED_SWITCHES = {
    "--rm": "",
    "--force-rm": "",
    "--compress": "",
    "--squash": "layers are not joined (neither are they by BuildKit): COPY --from a stage into another for that",
}
"""With the warning that is due when they are given."""
_OFF = frozenset({"false", "0", "f", "F", "FALSE", "False"})
IDLE_VALUES: dict[str, tuple[frozenset[str], str]] = {
    "--provenance": (_OFF, "leave it out: images have no attestations"),
    "--sbom": (_OFF, "leave it out: images have no attestations"),
    "--builder": (frozenset({"default"}), "there are no builders: pybuild runs the steps itself"),
    "--call": (frozenset({"build"}), _CHECKS),
}
"""Flags with the values that ask for nothing."""


def refused(switches: dict[str, str], values: dict[str, str]) -> Callable[[F], F]:
    """Hidden options that raise UnsupportedFlag when they are given."""

    def decorate(function: F) -> F:
        for name, hint in switches.items():
            function = _option(name, is_flag=True, callback=_refuse(hint))(function)
        for name, hint in values.items():
            function = _option(name, multiple=True, callback=_refuse(hint))(function)
        return function

    return decorate


def idle(function: F) -> F:
    """Hidden options that are accepted: as long as they ask for nothing, or because BuildKit ignores them as well."""
    for name, warning in IGNORED_SWITCHES.items():
        function = _option(name, is_flag=True, callback=_ignore(warning))(function)
    function = _option("--isolation", multiple=True, callback=_isolation)(function)
    function = _option("--policy", multiple=True, callback=_policy)(function)
    for name, (allowed, hint) in IDLE_VALUES.items():
        function = _option(name, multiple=True, callback=_only(allowed, hint))(function)
    return _option("--attest", multiple=True, callback=_attest)(function)


def _option(name: str, **rest: Any) -> Callable[[F], F]:
    names = [name, _SHORT[name]] if name in _SHORT else [name]
    return click.option(*names, hidden=True, expose_value=False, **rest)


def _refuse(hint: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        if value:
            raise UnsupportedFlag(param.opts[0], hint)

    return callback


def _ignore(warning: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and warning:
            _session(ctx).warnings.append(f"{param.opts[0]} is ignored: {warning}")

    return callback


def _isolation(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    for given in value:
        if given not in {"", "default"}:
            _session(ctx).warnings.append(f"--isolation {given} is ignored: there is one way of running steps")


def _policy(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    """Policies can only be switched off, those that would be found by themselves included."""
    for given in value:
        fields = dict(part.partition("=")[::2] for part in given.lower().split(","))
        if not parse_bool(fields.get("disabled", "")):
            raise UnsupportedFlag(f"--policy {given}", "there is no policy to be checked")
        _session(ctx).policed = False


def _session(ctx: click.Context) -> Session:
    session = ctx.find_object(Session)
    assert session is not None
    return session


def _only(allowed: frozenset[str], hint: str) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], None]:
    def callback(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
        for given in value:
            if given not in allowed:
                raise UnsupportedFlag(f"{param.opts[0]}={given}", hint)

    return callback


def _attest(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    for given in value:
        if "disabled=true" not in given.split(","):
            raise UnsupportedFlag(f"--attest {given}", "leave it out: images have no attestations")


def taking(options: Sequence[Option]) -> Callable[[F], F]:
    """What these options are given as arrives in keyword arguments, by their keys."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = _made(option)(function)
        return function

    return decorate


def _made(option: Option) -> Callable[[F], F]:
    if option.kind == "switch":
        return click.option(*option.names, is_flag=True, help=option.help)
    return click.option(
        *option.names,
        multiple=option.kind == "list",
        metavar=option.metavar,
        type=click.Choice(option.choices) if option.choices else None,
        default=option.default,
        shell_complete=getattr(completers, option.complete) if option.complete else None,
        help=option.help,
    )


class StrictCommand(OwnHelp):
    """Reads ``--flag=true`` and ``--flag=false`` for flags without a value, as Go's flags do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, plain_switches(args, self.params))


def plain_switches(args: Sequence[str], params: Sequence[click.Parameter]) -> list[str]:
    """``args`` with ``--flag=true`` written as ``--flag`` and what ``--flag=false`` takes back left out.

    A letter becomes the option's name: click takes it for a misspelt name first, and looks for similar ones.
    """
    options = [param for param in params if isinstance(param, click.Option)]
    switches = {name: option for option in options if option.is_flag for name in option.opts}
    valued = {name for option in options if not option.is_flag for name in option.opts}
    names = {name: option.opts[-1] for option in options for name in option.opts if option.opts[-1].startswith("--")}
    found: list[tuple[str, click.Option | None]] = []
    todo = list(reversed(args))
    while todo:
        word = todo.pop()
        word = _joined(PULLS.get(word, word), valued)
        name, equals, value = word.partition("=")
        if word == "--":
            found += [(rest, None) for rest in (word, *reversed(todo))]
            break
        if not equals or name not in switches:
            found.append((names.get(word, word), switches.get(word)))
            if _takes_next(word, valued) and todo:
                found.append((todo.pop(), None))
        elif _truth(name, value):
            found.append((name, switches[name]))
        else:
            found = [(kept, option) for kept, option in found if option is not switches[name]]
    return [word for word, _ in found]


def _joined(word: str, valued: set[str]) -> str:
    """``-t=x`` as ``-tx``: what Go's flags take both for, and click only the second."""
    if word.startswith("--") or not word.startswith("-"):
        return word
    for place, letter in enumerate(word[1:], start=2):
        if f"-{letter}" in valued:
            return word[:place] + word[place + 1 :] if word[place : place + 1] == "=" and word[place + 1 :] else word
    return word


def _truth(name: str, value: str) -> bool:
    answer = parse_bool(value)
    if answer is None:
        raise click.BadOptionUsage(name, f"{name}={value} is neither true nor false")
    return answer


def _takes_next(word: str, valued: set[str]) -> bool:
    """Whether the value of ``word`` is the argument after it; in ``-Dt`` that is decided by the last letter."""
    if word.startswith("--") or not word.startswith("-"):
        return word in valued
    for place, letter in enumerate(word[1:], start=2):
        if f"-{letter}" in valued:
            return place == len(word)
    return False
