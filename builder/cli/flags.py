"""The flags of ``pybuild build`` and ``pybuild plan``, those of ``docker buildx build`` that pybuild lacks included.

A flag that is known but not supported is an error that says so, unless the value given asks for nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from builder.cli import completers
from builder.cli.options import PULLS, Option
from builder.cli.ownhelp import OwnHelp
from builder.settings import UnsupportedFlag, parse_bool

F = TypeVar("F", bound=Callable[..., Any])

_LIMITS = "run pybuild itself under the limit, for example with systemd-run --scope -p MemoryMax=2G"
_CHECKS = "pybuild plan says what would be built"

REFUSED_VALUES = {
    "--cache-from": "the cache is in the store: keep --root between builds",
    "--cache-to": "the cache is in the store: keep --root between builds",
    "--cgroup-parent": _LIMITS,
    "--policy": "there is no policy to be checked",
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
    "--compress": "the context is read in place: nothing is sent that could be compressed",
    "--squash": "build in one stage and COPY --from it into another",
}
IDLE_SWITCHES = ("--rm", "--force-rm")
"""True is what is done anyway."""
_OFF = frozenset({"false", "0", "f", "F", "FALSE", "False"})
IDLE_VALUES: dict[str, tuple[frozenset[str], str]] = {
    "--provenance": (_OFF, "leave it out: images have no attestations"),
    "--sbom": (_OFF, "leave it out: images have no attestations"),
    "--builder": (frozenset({"default"}), "there are no builders: pybuild runs the steps itself"),
    "--isolation": (frozenset({"default"}), "leave it out"),
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
    """Hidden options that are accepted as long as they ask for nothing."""
    for name in IDLE_SWITCHES:
        function = _option(name, is_flag=True)(function)
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
        word = PULLS.get(word, word)
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
        elif name in IDLE_SWITCHES:
            raise UnsupportedFlag(word, "leave it out: nothing of a finished step stays behind")
        else:
            found = [(kept, option) for kept, option in found if option is not switches[name]]
    return [word for word, _ in found]


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
