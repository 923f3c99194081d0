"""``pybuild completion``: scripts that make shells complete commands, flags, image names and stages.

The scripts call pybuild with VARIABLE set whenever Tab is pressed. Bash cuts words at colons, of which names of images
are full: for it, the line is taken apart here instead.
"""

import os
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    split_arg_string,
)

from builder.cli.commands import SUMMARIES
from builder.cli.session import say
from layers.errors import PybuildError

VARIABLE = "_PYBUILD_COMPLETE"
PROGRAM = "pybuild"

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=',' read -r type value; do
        case $type in
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


def as_build(args: list[str], incomplete: str) -> list[str]:
    """``args`` with the command that need not be written."""
    if (args and args[0] not in SUMMARIES) or (not args and incomplete.startswith("-")):
        return ["build", *args]
    return args


class Zsh(ZshComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        return as_build(args, incomplete), incomplete


class Fish(FishComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        return as_build(args, incomplete), incomplete


class Bash(BashComplete):
    source_template = _BASH

    @staticmethod
    def _check_version() -> None:
        """The script works with bash 4.4 and later; the one it is written for need not be this host's."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return as_build(words, incomplete), incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        """Bash replaces what follows the last of its word breaks only."""
        found = super().get_completions(args, incomplete)
        value = incomplete.partition("=")[2] if incomplete.startswith("-") else incomplete
        last = max((value.rfind(mark) for mark in os.environ.get("COMP_WORDBREAKS", "") if mark in ":="), default=-1)
        for item in found:
            if item.type == "plain" and last >= 0 and item.value.startswith(value[: last + 1]):
                item.value = item.value[last + 1 :]
        return found


SHELLS: Mapping[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


@click.command("completion")
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script for SHELL. For bash: eval "$(pybuild completion bash)" in ~/.bashrc; for zsh the same in ~/.zshrc,
    after compinit; for fish: pybuild completion fish > ~/.config/fish/completions/pybuild.fish."""
    say(SHELLS[shell](ctx.find_root().command, {}, PROGRAM, VARIABLE).source().rstrip())


def answer(cli: click.Command, wish: str) -> int:
    """What the shell asks for (``bash_complete``), to standard output. Lines that make no sense have no answer."""
    shell, _, _ = wish.partition("_")
    if shell not in SHELLS:
        return 1
    try:
        text = SHELLS[shell](cli, {}, PROGRAM, VARIABLE).complete()
    except (PybuildError, click.ClickException, OSError, KeyError, ValueError):
        return 1
    if text:
        say(text)
    return 0


COMMANDS: Mapping[str, click.Command] = {"completion": completion}
