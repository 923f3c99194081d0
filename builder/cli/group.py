"""The command line as click reads it: a group whose default command is ``build``."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from builder.cli.commands import MODULES, SUMMARIES
from builder.cli.ownhelp import OwnHelp
from builder.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Commands(OwnHelp, click.Group):
    """Imports a command's module when it is run, and takes everything that names no command for ``build``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUMMARIES:
            return None
        module = import_module(f"builder.cli.{MODULES.get(cmd_name, 'images')}")
        commands: Mapping[str, click.Command] = module.COMMANDS
        return commands[cmd_name]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A context that is called "context" can be built as it is: the command is followed by a word of its own.
        is_directory = args[:1] == ["context"] and args[1:2] not in (["ls"], ["-h"], ["--help"])
        if args and (is_directory or args[0] not in {*SUMMARIES, "-h", "--help", "--version"}):
            args = ["build", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        """Commands, without importing them; or a directory to build, for the command that need not be written."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, text in SUMMARIES.items() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="dir")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"pybuild {version('pybuild')}")
        except PackageNotFoundError:
            click.echo("pybuild, run from a checkout")
        ctx.exit()


@click.command("pybuild", cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version.")
def cli() -> None:
    """Builds images from Dockerfiles without a daemon. "pybuild -t app:1.0 ." is short for "pybuild build ..."."""


def run(words: Sequence[str], session: Session) -> int:
    """Runs one command; returns its exit code when click ends it. Raises what the command raises."""
    try:
        with cli.make_context("pybuild", list(words), obj=session) as ctx:
            cli.invoke(ctx)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0
