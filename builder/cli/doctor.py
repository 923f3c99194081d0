"""``pybuild doctor``: what this host lacks for builds, and the command that mends it."""

import json
import time
from collections.abc import Mapping, Sequence

import click

from builder.cli.doctor_checks import PROBLEM, Finding, judge
from builder.cli.images import root_option
from builder.cli.session import current_host, say

_clock = time.time  # noqa: TID251 - whether it is right is one of the questions


@click.command("doctor")
@root_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def doctor(root: str | None, as_json: bool) -> None:
    """Say what this host lacks for builds, and how to mend it. Ends with 1 when builds cannot run."""
    from builder.cli.doctor_facts import gather

    findings = judge(gather(current_host(), root, _clock()))
    if as_json:
        say(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for line in lines(findings):
            say(line)
    if any(finding.status == PROBLEM for finding in findings):
        click.get_current_context().exit(1)


def lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, a second one for what mends it, and the verdict."""
    wide = max(len(finding.check) for finding in findings)
    found = []
    for finding in findings:
        found.append(f"{finding.status:7}  {finding.check:{wide}}  {finding.message}")
        if finding.command:
            found.append(f"{'':7}  {'':{wide}}  -> {finding.command}")
    able = all(finding.status != PROBLEM for finding in findings)
    return [*found, "builds can run here" if able else "builds cannot run here"]


COMMANDS: Mapping[str, click.Command] = {"doctor": doctor}
