"""``pybuild prune`` and ``pybuild du``: what takes space, and how to have it back."""

import os
from collections.abc import Mapping, Sequence

import click

from builder.cli.images import open_store, root_option, size
from builder.cli.session import Session, say
from builder.report.timeline import clean
from builder.settings import UnsupportedFlag
from layers.caches import disk_usage
from layers.gc import RECENT_SECONDS
from layers.store import Store

CACHE_MOUNTS = "exec.cachemount"
"""What BuildKit calls them; everything else it calls regular."""
_FOLDERS = (("Layers", "snapshots"), ("Blobs", "blobs"), ("Indexes", "indexes"))


@click.command("prune")
@root_option
@click.option(
    "-a",
    "--all",
    "everything",
    is_flag=True,
    help="Also what builds of the last week left to be used again, and images known by digests only.",
)
@click.option(
    "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="type=exec.cachemount, type=regular or id=ID."
)
@click.pass_obj
def prune(session: Session, /, root: str | None, everything: bool, filters: Sequence[str]) -> None:
    """Remove images without a name, the layers, blobs and cached steps that nothing needs any more, and cache mounts.

    With --filter type=exec.cachemount cache mounts only, all that no running build holds; id=ID chooses one of them.
    """
    kind, name = _chosen(filters)
    session.enter_namespace()
    with open_store(root) as store:
        freed = 0 if kind == CACHE_MOUNTS else _prune_layers(store, everything=everything)
        if kind != "regular":
            idle = 0 if everything or kind else RECENT_SECONDS
            count, bytes_ = store.caches().prune(idle=idle, id=name)
            freed += bytes_
            _tell(count, "cache mounts")
    say(f"Freed: {size(freed)}")


def _chosen(filters: Sequence[str]) -> tuple[str | None, str | None]:
    """(type, id of a cache mount). Raises UnsupportedFlag."""
    found: dict[str, str] = {}
    for text in filters:
        key, _, value = text.partition("=")
        if key not in {"type", "id"} or (key == "type" and value not in {CACHE_MOUNTS, "regular"}):
            raise UnsupportedFlag(f"--filter {text}", f"it is type={CACHE_MOUNTS}, type=regular or id=ID")
        found[key] = value
    if "id" in found:
        if found.get("type") == "regular":
            raise UnsupportedFlag("--filter id of anything but a cache mount", f"write type={CACHE_MOUNTS}")
        return CACHE_MOUNTS, found["id"]
    return found.get("type"), None


def _prune_layers(store: Store, *, everything: bool) -> int:
    report = store.prune(all=everything)
    _tell(report.images, "images")
    _tell(report.layers, "layers")
    _tell(report.blobs, "blobs")
    _tell(report.steps, "cached steps")
    return report.bytes


def _tell(count: int, what: str) -> None:
    if count:
        say(f"Removed {what}: {count}")


@click.command("du")
@root_option
@click.pass_obj
def du(session: Session, /, root: str | None) -> None:
    """Show what takes space on the disk: layers, blobs, and each cache mount."""
    session.enter_namespace()
    with open_store(root) as store:
        for name, folder in _FOLDERS:
            say(f"{name}: {size(disk_usage(os.path.join(store.root, folder)))}")  # noqa: PTH118 - text in, text out
        uses = sorted(store.caches().uses(), key=lambda use: (-use.bytes, use.path))
    say(f"Cache mounts: {size(sum(use.bytes for use in uses))}")
    for use in uses:
        say(f"  {size(use.bytes):>8}  {clean(use.id)}{' (in use)' if use.busy else ''}")


COMMANDS: Mapping[str, click.Command] = {"prune": prune, "du": du}
