"""The command line: a group whose default command is ``build``, and the one place that shows errors and exits.

Exit codes: 0 done; 1 it could not be done; 2 it was asked for wrongly; 128 + N stopped by signal N (130: Ctrl-C).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from builder.cli.commands import MODULES, SUMMARIES
from builder.cli.ownhelp import OwnHelp
from builder.cli.session import Session, Terminated, completion_wish, nobody_reads, unwinding
from builder.errors import Cancelled
from builder.settings import FlagError
from layers.errors import PybuildError, advice

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_FAILED = 1
_USAGE = 2
_SIGPIPE = 141


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


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code. Everything that goes wrong is shown here."""
    session = Session()
    with unwinding():
        try:
            wish = completion_wish()
            if wish:
                from builder.cli.completion import answer

                return answer(cli, wish)
            with cli.make_context("pybuild", list(sys.argv[1:] if args is None else args), obj=session) as ctx:
                cli.invoke(ctx)
        except BaseException as error:
            # Whatever it is, it ends here and becomes an exit code.
            return _ended(error, session)
    return 0


def _ended(error: BaseException, session: Session) -> int:
    match error:
        case click.exceptions.Exit():
            code = error.exit_code
        case click.ClickException():
            error.show()
            code = error.exit_code
        case Terminated():
            code = 128 + error.number
        case KeyboardInterrupt() | click.Abort():
            code = 130
        case PybuildError():
            code = _failed(error, session)
        case BrokenPipeError() if nobody_reads():
            code = _SIGPIPE
        case OSError():
            code = _failed(PybuildError(os_message(error), hint=advice(error), code="os"), session, cause=error)
        case _:
            code = _broken(error, session)
    return code


def _failed(error: PybuildError, session: Session, *, cause: OSError | None = None) -> int:
    number = session.interrupts.number
    if number is not None:
        # Steps that were killed by the cancellation end with errors of their own, which say nothing.
        error = Cancelled("the build was interrupted")
    if cause is not None:
        error.__cause__ = cause
    _show(error, session)
    if number is not None:
        return 128 + number
    return _USAGE if isinstance(error, FlagError) else _FAILED


def _show(error: PybuildError, session: Session) -> None:
    from builder.cli.errors import as_fields, describe

    text = json.dumps(as_fields(error)) if session.json else describe(error, session)
    try:
        click.echo(text, err=True)
    except OSError:
        # Standard error is gone: the exit code has to say it.
        return


def _broken(error: BaseException, session: Session) -> int:
    """A mistake of pybuild's own."""
    import traceback

    if session.debug:
        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    hint = "please report it, with what this prints when it is run again with --debug"
    _show(PybuildError(f"internal error: {type(error).__name__}: {error}", hint=hint, code="internal"), session)
    return _FAILED


def os_message(error: OSError) -> str:
    """``x: No such file or directory``, without the number."""
    names = [name for name in (error.filename, error.filename2) if name is not None]
    texts = [name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names]
    problem = error.strerror or str(error)
    return f"{' -> '.join(texts)}: {problem}" if texts else problem
