"""``pybuild build``, as click reads it."""

from collections.abc import Mapping
from typing import Any

import click

from builder.cli.building import run_build
from builder.cli.completers import directories
from builder.cli.flags import REFUSED_SWITCHES, REFUSED_VALUES, StrictCommand, idle, refused, taking
from builder.cli.options import BUILD
from builder.cli.session import Session


@click.command("build", cls=StrictCommand, context_settings={"help_option_names": ["-h", "--help"]})
@taking(BUILD)
@idle
@refused(REFUSED_SWITCHES, REFUSED_VALUES)
@click.argument("path", shell_complete=directories)
@click.pass_obj
def build(session: Session, /, **given: Any) -> None:
    """Build an image from the Dockerfile in directory PATH; with -, from an archive or a Dockerfile on standard
    input."""
    run_build(session, given)


COMMANDS: Mapping[str, click.Command] = {"build": build}
