"""``pybuild plan``."""

from collections.abc import Mapping
from typing import Any

import click

from builder.cli.building import make_request
from builder.cli.completers import directories
from builder.cli.flags import StrictCommand, taking
from builder.cli.options import PLAN
from builder.cli.session import Session, current_host, say


@click.command("plan", cls=StrictCommand, context_settings={"help_option_names": ["-h", "--help"]})
@taking(PLAN)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("path", shell_complete=directories)
@click.pass_obj
def plan(session: Session, /, **given: Any) -> None:
    """Show the steps that building directory PATH would take, and which of them are cached. Nothing is run."""
    session.debug = given["debug"]
    session.enter_namespace()
    host = current_host()
    request = make_request(session, given, host)

    from builder import api
    from builder.plan.render import plan_json, plan_text

    made, states = api.plan(request, connect=session.connector(host.environ))
    say((plan_json if given["as_json"] else plan_text)(made, states).rstrip("\n"))


COMMANDS: Mapping[str, click.Command] = {"plan": plan}
