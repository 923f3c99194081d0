"""``pybuild images|inspect|history|tag|rmi``: what the store holds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from builder.cli.completers import directories
from builder.cli.completers import names as names_of_images
from builder.cli.session import current_host, has_admin, say
from builder.plan.pulling import store_name
from builder.report.timeline import clean
from builder.settings import full_name, store_root
from layers.errors import NotInStore, StoreError
from layers.image import ImageConfig
from layers.store import Store, StoredImage
from registry.reference import InvalidReference, Reference

_SHORT_ID = 12
_SHORT_TEXT = 60
_NONE = "<none>"

root_option = click.option(
    "--root", metavar="DIRECTORY", shell_complete=directories, help="Where the store is (default: PYBUILD_ROOT)."
)


def open_store(root: str | None) -> Store:
    """Who builds in a user namespace, and is outside of it now, leaves what only those inside can do to them."""
    return Store.open(store_root(root, current_host()), recover=has_admin())


def find_image(store: Store, text: str) -> StoredImage:
    """By name, else by id or the beginning of one. Raises NotInStore."""
    found = _by_name(store, text) or store.image(text)
    if found is None:
        raise NotInStore(f"there is no image {text} in the store", hint="pybuild images lists what is there")
    return found


def _by_name(store: Store, text: str) -> StoredImage | None:
    try:
        return store.image(store_name(Reference.parse(text).tagged()))
    except InvalidReference:
        return None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest text, two blanks between them."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    )


def _date(created: str | None) -> str:
    """RFC 3339 text without fractions, for people."""
    return created[:19].replace("T", " ") if created else ""


@click.command("images")
@root_option
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
@click.option("--no-trunc", is_flag=True, help="Print whole ids.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def images(root: str | None, quiet: bool, no_trunc: bool, as_json: bool) -> None:
    """List the images in the store, the newest first."""
    with open_store(root) as store:
        found = sorted(store.images(), key=lambda image: image.created_at, reverse=True)
    if as_json:
        say(json.dumps([_summary(image) for image in found], indent=2))
    elif quiet:
        for image in found:
            say(_id(image, no_trunc))
    else:
        rows = [row for image in found for row in _rows(image, no_trunc)]
        say(table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "LAYERS"), rows))


def _id(image: StoredImage, whole: bool) -> str:
    return str(image.id) if whole else image.id.hex[:_SHORT_ID]


def _rows(image: StoredImage, whole: bool) -> list[tuple[str, ...]]:
    rest = (_id(image, whole), _date(ImageConfig.parse(image.config).created), str(len(image.rootfs)))
    names = [Reference.parse(name) for name in image.names]
    return [(name._replace(tag=None, digest=None).familiar, name.tag or _NONE, *rest) for name in names] or [
        (_NONE, _NONE, *rest)
    ]


def _summary(image: StoredImage) -> dict[str, Any]:
    config = ImageConfig.parse(image.config)
    return {
        "id": str(image.id),
        "names": list(image.names),
        "created": config.created,
        "platform": str(config.platform),
        "layers": len(image.rootfs),
    }


@click.command("inspect")
@root_option
@click.argument("names", nargs=-1, required=True, shell_complete=names_of_images)
def inspect(root: str | None, names: tuple[str, ...]) -> None:
    """Show what the configs of images say, as JSON with the keys of "docker image inspect"."""
    with open_store(root) as store:
        found = [find_image(store, name) for name in names]
    say(json.dumps([_details(image) for image in found], indent=4))


def _details(image: StoredImage) -> dict[str, Any]:
    document: Mapping[str, Any] = json.loads(image.config)
    kept = {
        "Created": "created",
        "Author": "author",
        "Architecture": "architecture",
        "Variant": "variant",
        "Os": "os",
        "OsVersion": "os.version",
        "Config": "config",
    }
    names = [Reference.parse(name) for name in image.names]
    return {
        "Id": str(image.id),
        "RepoTags": [name.familiar for name in names if name.digest is None],
        "RepoDigests": [name.familiar for name in names if name.digest is not None],
        **{shown: document[key] for shown, key in kept.items() if key in document},
        "RootFS": {"Type": "layers", "Layers": [str(diff_id) for diff_id in ImageConfig.parse(image.config).diff_ids]},
    }


@click.command("history")
@root_option
@click.option("--no-trunc", is_flag=True, help="Print whole texts and digests.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("name", shell_complete=names_of_images)
def history(root: str | None, name: str, no_trunc: bool, as_json: bool) -> None:
    """Show how an image was made, the last step first, and which layer each step left."""
    with open_store(root) as store:
        config = ImageConfig.parse(find_image(store, name).config)
    entries = _history(config)
    if as_json:
        say(json.dumps(entries, indent=2))
        return
    rows = [
        (
            entry["layer"].partition(":")[2][:_SHORT_ID] if entry["layer"] and not no_trunc else entry["layer"] or "",
            _date(entry["created"]),
            _cut(entry["created_by"], no_trunc),
            _cut(entry["comment"], no_trunc),
        )
        for entry in entries
    ]
    say(table(("LAYER", "CREATED", "CREATED BY", "COMMENT"), rows))


def _history(config: ImageConfig) -> list[dict[str, Any]]:
    """Last first; ``layer`` is the diff id of what the step left, None for a step that only set metadata."""
    diff_ids = iter(config.diff_ids)
    entries = []
    for entry in config.history:
        layer = None if entry.empty_layer else next(diff_ids, None)
        entries.append(
            {
                "layer": str(layer) if layer is not None else None,
                "created": entry.created,
                "created_by": entry.created_by,
                "comment": entry.comment,
            }
        )
    return entries[::-1]


def _cut(text: str, whole: bool) -> str:
    text = clean(text.replace("\n", " ").replace("\t", " "))
    return text if whole or len(text) <= _SHORT_TEXT else text[: _SHORT_TEXT - 1] + "…"


@click.command("tag")
@root_option
@click.argument("source", shell_complete=names_of_images)
@click.argument("names", nargs=-1, required=True)
def tag(root: str | None, source: str, names: tuple[str, ...]) -> None:
    """Give image SOURCE (a name or id) more names. A name that another image had moves."""
    wanted = [full_name(name, "tag") for name in names]
    with open_store(root) as store:
        image = find_image(store, source)
        for name in wanted:
            store.tag(image.id, name)


@click.command("rmi")
@root_option
@click.option("-f", "--force", is_flag=True, help="Remove an image by id even if it has several names.")
@click.argument("names", nargs=-1, required=True, shell_complete=names_of_images)
def rmi(root: str | None, force: bool, names: tuple[str, ...]) -> None:
    """Remove names; an image goes with its last one. Its layers stay until "pybuild prune"."""
    with open_store(root) as store:
        for name in names:
            _remove(store, name, force=force)


def _remove(store: Store, text: str, *, force: bool) -> None:
    image = find_image(store, text)
    named = _by_name(store, text)
    if named is not None:
        gone = [store_name(Reference.parse(text).tagged())]
    elif len(image.names) > 1 and not force:
        raise StoreError(
            f"{text} has {len(image.names)} names: {', '.join(image.names)}",
            hint="remove them by name, or all of them with --force",
        )
    else:
        gone = list(image.names)
    for name in gone:
        store.untag(name)
        say(f"Untagged: {Reference.parse(name).familiar}")
    if set(gone) == set(image.names):
        store.remove_image(image.id)
        say(f"Deleted: {image.id}")


def size(count: int) -> str:
    """Bytes in the decimal units Docker uses."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"


COMMANDS: Mapping[str, click.Command] = {
    "images": images,
    "inspect": inspect,
    "history": history,
    "tag": tag,
    "rmi": rmi,
}
