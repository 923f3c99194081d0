"""``pybuild context ls``: what a build would see of its context."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from builder.cli.completers import directories
from builder.cli.flags import StrictCommand
from builder.cli.images import size
from builder.cli.session import Session, current_host, say
from builder.cli.sources import Inputs, Staging, read_files
from builder.plan.contextlist import Listed, listing
from builder.settings import absolute, store_root
from layers.entry import Kind

_WIDTH = 4
_SIZE_WIDTH = 8


@click.group("context", context_settings={"help_option_names": ["-h", "--help"]})
def context() -> None:
    """Show what a build sees of its context."""


@context.command("ls", cls=StrictCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-f", "--file", metavar="FILE", help="Dockerfile, whose own ignore file may replace .dockerignore.")
@click.option("--ignorefile", multiple=True, metavar="FILE", help="Instead of .dockerignore; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
@click.option("--root", metavar="DIRECTORY", help="Where the store is (default: PYBUILD_ROOT).")
@click.option("-D", "--debug", is_flag=True, help="Show tracebacks.")
@click.argument("path", default=".", shell_complete=directories)
@click.pass_obj
def ls(session: Session, /, **given: Any) -> None:
    """Print what is in the context PATH (default: the working directory), what is not, and the line that decided."""
    session.debug = given["debug"]
    host = current_host()
    if not Path(absolute(host.cwd, given["path"])).is_dir():
        session.enter_namespace()  # where what is unpacked can have any owner
    staging = session.resources.enter_context(
        Staging(store_root(given["root"], host), session.connector(host.environ), host.environ)
    )
    asked = Inputs(given["path"], given["file"], given["ignorefile"], host.cwd, needs_dockerfile=False)
    files = read_files(asked, staging)
    matcher = None
    if files.ignores:
        from builder.dockerfile.ignore import parse_ignores

        session.sources.update(files.ignores)
        matcher = parse_ignores(files.ignores)
    found = listing(files.context, matcher)
    for line in _json(found) if given["as_json"] else _text(found):
        say(line)


def _json(found: Iterable[Listed]) -> Iterator[str]:
    for item in found:
        rule = item.rule
        fields = {
            "path": item.path.decode(errors="surrogateescape"),
            "kind": item.kind.value if item.kind is not None else "socket",
            "size": item.size,
            "state": item.state,
            "pattern": rule.source if rule is not None else None,
            "file": rule.path if rule is not None else None,
            "line": rule.line if rule is not None else None,
        }
        yield json.dumps(fields)


def _text(found: Iterable[Listed]) -> Iterator[str]:
    """A line a name, then the sums. What is ignored as a whole is one line, without its contents."""
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for item in found:
        if item.kind is not Kind.DIRECTORY or item.state == "out":
            counts[item.state] += 1
            sizes[item.state] += item.size or 0
        yield _line(item)
    left = f"{counts['out']} left out ({size(sizes['out'])} without what is in directories)"
    yield f"{counts['in']} in the context ({size(sizes['in'])}), {left}"


def _line(item: Listed) -> str:
    name = item.path.decode(errors="backslashreplace") + ("/" if item.kind is Kind.DIRECTORY else "")
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
    amount = size(item.size) if item.size is not None else ""
    line = f"{item.state:<{_WIDTH}} {amount:>{_SIZE_WIDTH}}  {shown}"
    if item.kind is None:
        return f"{line}  (a socket)"
    if item.rule is None:
        return line
    return f"{line}  ({item.rule.path}:{item.rule.line}: {item.rule.source})"


COMMANDS: Mapping[str, click.Command] = {"context": context}
