"""RUN, CMD, ENTRYPOINT, SHELL and HEALTHCHECK. Pure."""

import re

from builder.dockerfile.blanks import SPACE
from builder.dockerfile.durations import parse_duration
from builder.dockerfile.flags import Flags, nearest
from builder.dockerfile.instructions import Cmd, Entrypoint, HealthcheckInstruction, Run, Shell
from builder.dockerfile.mounts import MountError, check_unexpanded, fields
from builder.dockerfile.parse_files import heredoc
from builder.dockerfile.statement import Statement, Word
from builder.errors import Span

_MILLISECOND = 1_000_000
_MAX_RETRIES = 2**31 - 1
_NETWORKS = ("default", "none", "host")
_SECURITY = ("sandbox", "insecure")


Warnings = list[tuple[str, Span]]

_NEARLY_A_LIST = r"\[(?:['\"\u201c\u2018]|\s*['\"\u201c\u2018][^\]]*['\"\u201d\u2019]\s*,)"
"""Not ``[ "$a" = b ]``, which is a command."""


def run(of: Statement, warnings: Warnings) -> Run:
    flags = of.flags()
    command, shell_form = _command(of, warnings)
    if not command:
        raise of.error("RUN [] has no command", hint='write RUN ["program", "argument"]')
    for flag in of.flag_words:
        try:
            if flag.word.startswith("--mount="):
                check_unexpanded(flag.word.removeprefix("--mount="))
            elif flag.word.startswith("--device="):
                fields(flag.word.removeprefix("--device="))
        except MountError as error:
            raise of.flag_error(flag, error.message, error.hint) from None
    return Run(
        of.line.span,
        of.line.text,
        command,
        shell_form,
        tuple(heredoc(body) for body in of.line.heredocs),
        mounts=flags.texts("mount"),
        network=_one_of(of, flags, "network", _NETWORKS),
        security=_one_of(of, flags, "security", _SECURITY),
        devices=flags.texts("device"),
    )


def cmd(of: Statement, warnings: Warnings) -> Cmd:
    of.flags()
    return Cmd(of.line.span, of.line.text, *_command(of, warnings))


def entrypoint(of: Statement, warnings: Warnings) -> Entrypoint:
    of.flags()
    return Entrypoint(of.line.span, of.line.text, *_command(of, warnings))


def shell(of: Statement) -> Shell:
    of.flags()
    words = of.listed(of.rest)
    if words is None and of.rest != "":
        raise of.error("SHELL needs its arguments as a JSON list", hint='write SHELL ["/bin/sh", "-c"]')
    if not words:
        raise of.error("SHELL needs at least one argument", hint='write SHELL ["/bin/sh", "-c"]')
    return Shell(of.line.span, of.line.text, words)


def _command(of: Statement, warnings: Warnings) -> tuple[tuple[str, ...], bool]:
    words = of.listed(of.rest)
    if words is not None:
        return words, False
    if re.match(_NEARLY_A_LIST, of.rest):
        text = f'{of.keyword} gets this as a command of the shell: a JSON list is written ["a", "b"], nothing after it'
        warnings.append((text, of.line.span))
    return (of.rest,), True


def _one_of(of: Statement, flags: Flags, name: str, allowed: tuple[str, ...]) -> str | None:
    given = flags.texts(name)
    if not given:
        return None
    if given[0] not in allowed:
        near = nearest(given[0], allowed)
        raise of.flag_error(
            flags.word(name),
            f"RUN --{name} cannot be {given[0] or 'empty'}",
            f"did you mean {near}?" if near else f"it is one of {', '.join(allowed)}",
        )
    return given[0]


def healthcheck(of: Statement, warnings: Warnings) -> HealthcheckInstruction:
    end = next((at for at, char in enumerate(of.rest) if char in SPACE), len(of.rest))
    kind = of.rest[:end]
    argument = of.rest[end:].lstrip(SPACE)
    if kind == "":
        raise of.error("HEALTHCHECK needs at least one argument", hint="write HEALTHCHECK CMD command, or NONE")
    words = of.listed(argument) if argument else ()
    if kind.upper() == "NONE":
        if words != ():
            raise of.error(
                "HEALTHCHECK NONE takes no arguments",
                word=Word(argument, len(of.rest) - len(argument)),
                hint="write HEALTHCHECK CMD command, or NONE alone",
            )
        if of.flag_words:
            warnings.append(("the flags of HEALTHCHECK NONE have no effect", of.line.span))
        return HealthcheckInstruction(of.line.span, of.line.text, ("NONE",))
    flags = of.flags()
    if kind.upper() != "CMD":
        raise of.error(
            f"HEALTHCHECK {kind} is not known", word=Word(kind, 0), hint="write HEALTHCHECK CMD command, or NONE"
        )
    if words == ():
        raise of.error("HEALTHCHECK CMD has no command", hint="write HEALTHCHECK CMD command, or NONE")
    return HealthcheckInstruction(
        of.line.span,
        of.line.text,
        ("CMD-SHELL", argument) if words is None else ("CMD", *words),
        interval=_interval(of, flags, "interval"),
        timeout=_interval(of, flags, "timeout"),
        start_period=_interval(of, flags, "start-period"),
        start_interval=_interval(of, flags, "start-interval"),
        retries=_retries(of, flags),
    )


def _interval(of: Statement, flags: Flags, name: str) -> int:
    """Nanoseconds; 0 when not given."""
    text = flags.text(name)
    if text is None:
        return 0
    duration = parse_duration(text)
    if duration is None:
        raise of.flag_error(
            flags.word(name), f"--{name}={text} is no duration", "write a number with a unit: 500ms, 30s, 1m30s, 2h"
        )
    if duration != 0 and duration < _MILLISECOND:
        raise of.flag_error(flags.word(name), f"--{name}={text} is less than 1ms", "give 1ms or more, or 0")
    return duration


def _retries(of: Statement, flags: Flags) -> int:
    text = flags.text("retries")
    if text is None:
        return 0
    digits = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > 10 or int(digits) > _MAX_RETRIES:
        raise of.flag_error(flags.word("retries"), f"--retries={text} is no number", "give a number of failures: 3")
    if text.startswith("-") and int(digits) > 0:
        raise of.flag_error(flags.word("retries"), f"--retries={text} is negative", "give a number of failures: 3")
    return int(digits)
