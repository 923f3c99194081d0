"""The option --help, for commands whose start-up counts."""

import click


def _show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_HELP = click.Option(
    ["-h", "--help"],
    is_flag=True,
    expose_value=False,
    is_eager=True,
    help="Show this message and exit.",
    callback=_show,
)


class OwnHelp(click.Command):
    """click has ``gettext`` look for a translation of the option's text, whether it is shown or not: that imports
    ``locale`` and looks for a dozen files at every start."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return _HELP
