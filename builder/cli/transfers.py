"""``pybuild pull`` and ``pybuild push``: images from and to registries, without building."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click

from builder.cli.archives import output_image
from builder.cli.building import write_file
from builder.cli.completers import names as names_of_images
from builder.cli.images import find_image, open_store, root_option
from builder.cli.options import MODES
from builder.cli.progress import choose, renderer
from builder.cli.session import Session, current_host, say
from builder.events import Emit
from builder.output.registry import RegistryPush
from builder.output.target import Progress
from builder.plan.fetching import Fetcher
from builder.plan.pulling import Images, Registries, Reports
from builder.report.hub import Hub
from builder.settings import absolute, full_name
from layers.compress import default
from layers.digest import Digest
from layers.image import Platform, host_platform
from layers.store import StoredImage
from registry.reference import Reference

_clock = time.time  # noqa: TID251 - events and look-ups are dated with it
_progress = click.option("--progress", type=click.Choice(MODES), help="How progress is shown (default: auto).")
_quiet = click.option("-q", "--quiet", is_flag=True, help="Print results only.")


@contextmanager
def _shown(session: Session, given: Mapping[str, Any]) -> Iterator[Emit]:
    """Where events go; inside, what the user does to stop is heard."""
    terminal = sys.stderr.isatty()
    mode = choose(given["progress"], current_host().environ, quiet=given["quiet"], terminal=terminal)
    session.json = mode == "json"
    show = renderer(mode, current_host().environ, debug=False)
    with session.interrupts, Hub(show, on_failure=session.interrupts.cancelled.set) as hub:
        yield hub.emit


@click.command("pull")
@root_option
@click.option("--platform", metavar="OS/ARCHITECTURE", help="Whose image to take (default: this machine's).")
@_progress
@_quiet
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def pull(session: Session, /, **given: Any) -> None:
    """Fetch images from registries into the store, where FROM finds them."""
    host = current_host()
    own = host_platform(host.machine)
    wanted = own if given["platform"] is None else _platform(given["platform"])
    references = [Reference.parse(name) for name in given["names"]]
    with (
        open_store(given["root"]) as store,
        Registries(session.connector(host.environ), session.interrupts.cancelled) as registries,
        _shown(session, given) as emit,
    ):
        store.supply.connect(Fetcher(store, registries))
        images = Images(store, registries, own, Reports(emit, _clock))
        found = [images.pull(reference, wanted) for reference in references]
        for reference, known in zip(references, found, strict=True):
            images.complete(reference, known)
    for reference, known in zip(references, found, strict=True):
        say(str(known.image.id) if given["quiet"] else f"{reference.tagged().familiar}: {known.digest}")


def _platform(text: str) -> Platform:
    try:
        return Platform.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--platform") from error


@click.command("push")
@root_option
@click.option("--digest-file", metavar="FILE", help="Write the digest of the last image's manifest to a file.")
@_progress
@_quiet
@click.argument("names", nargs=-1, required=True, shell_complete=names_of_images)
@click.pass_obj
def push(session: Session, /, **given: Any) -> None:
    """Send images of the store to the registries that their names say."""
    session.enter_namespace()
    wanted = tuple(dict.fromkeys(full_name(name, "push") for name in given["names"]))
    host = current_host()
    pushed: dict[str, Digest] = {}
    with (
        open_store(given["root"]) as store,
        Registries(session.connector(host.environ), session.interrupts.cancelled) as registries,
    ):
        store.supply.connect(Fetcher(store, registries))
        groups: dict[Digest, tuple[StoredImage, list[str]]] = {}
        for name in wanted:
            image = find_image(store, name)
            groups.setdefault(image.id, (image, []))[1].append(name)
        compression = default("gzip")
        with _shown(session, given) as emit:
            targets = []
            for image, called in groups.values():
                target = RegistryPush(called, registries, store.supply.origins, compression)
                target.check()
                targets.append((target, image, called))
            for target, image, called in targets:
                made = output_image(store, image, names=tuple(called))
                target.send(made, store, Progress("push", emit, _clock))
                pushed.update(dict.fromkeys(called, made.descriptor.digest))
    for name in wanted:
        say(str(pushed[name]) if given["quiet"] else f"{Reference.parse(name).familiar}: {pushed[name]}")
    if given["digest_file"] is not None:
        write_file(absolute(host.cwd, given["digest_file"]), str(pushed[wanted[-1]]))


COMMANDS: Mapping[str, click.Command] = {"pull": pull, "push": push}
