"""``pybuild save`` and ``pybuild load``: images to and from archives, without building."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import click

from builder.cli.completers import files
from builder.cli.completers import names as names_of_images
from builder.cli.images import find_image, open_store, root_option
from builder.cli.session import Session, current_host, say
from builder.plan.fetching import Fetcher
from builder.plan.pulling import Registries
from builder.settings import FlagError, UnsupportedFlag, absolute, full_name
from layers.atomic import Write, replacing, write_to
from layers.compress import default
from layers.digest import BlobDigest
from layers.dockerarchive import write_docker_archive
from layers.errors import NotInStore
from layers.image import Descriptor, ImageConfig, host_platform
from layers.load import load as load_images
from layers.manifest import encode_manifest, parse_manifest
from layers.media import OCI_CONFIG
from layers.ocilayout import OutputImage, write_archive
from layers.store import Store, StoredImage
from registry.reference import InvalidReference, Reference

_NO_DATE = "1970-01-01T00:00:00Z"


@click.command("save")
@root_option
@click.option("-o", "--output", metavar="FILE", shell_complete=files, help="Where to (default: standard output).")
@click.option(
    "--format",
    "kind",
    type=click.Choice(("docker", "oci")),
    default="docker",
    help='"docker load" takes docker (default); other tools take oci.',
)
@click.argument("names", nargs=-1, required=True, shell_complete=names_of_images)
@click.pass_obj
def save(session: Session, /, root: str | None, output: str | None, kind: str, names: tuple[str, ...]) -> None:
    """Write an image, under the names given, to an archive."""
    session.enter_namespace()
    if output in {None, "-"} and sys.stdout.isatty():
        raise FlagError("an archive is not written to a terminal", hint="redirect standard output, or use -o FILE")
    with (
        open_store(root) as store,
        Registries(session.connector(current_host().environ), session.interrupts.cancelled) as registries,
    ):
        store.supply.connect(Fetcher(store, registries))
        found = {image.id: image for image in (find_image(store, name) for name in names)}
        if len(found) > 1:
            raise UnsupportedFlag("saving several images into one archive", "save each to a file of its own")
        image = output_image(store, *found.values(), names=_names(store, names))
        store.supply.fetch(image.manifest.layers)
        with _target(output) as write:
            if kind == "oci":
                write_archive(image, store.blobs, write)
            else:
                tags = [Reference.parse(name).familiar for name in image.names]
                write_docker_archive(image, tags, store.blobs, write)


def _names(store: Store, given: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``given`` that are names, not ids or digests, in full."""
    found = []
    for text in given:
        try:
            name = Reference.parse(text).tagged()
        except InvalidReference:
            continue
        if name.digest is None and store.image(str(name)) is not None:
            found.append(str(name))
    return tuple(dict.fromkeys(found))


def output_image(store: Store, image: StoredImage, *, names: tuple[str, ...]) -> OutputImage:
    """With the manifest it came with, if it came with one; else layers that were never packed are packed now."""
    compression = default("gzip")
    kept = store.pulls.manifest(image.id)
    manifest = parse_manifest(kept[1], kept[0]) if kept is not None else None
    if manifest is None or not all(store.supply.can_have(layer) for layer in manifest.layers):
        pairs = zip(image.rootfs, image.clamps, strict=True)
        layers = [store.blob(layer, clamp, compression) for layer, clamp in pairs]
        manifest = encode_manifest(Descriptor(OCI_CONFIG, BlobDigest(image.id), len(image.config)), layers)
    config = ImageConfig.parse(image.config)
    return OutputImage(
        config=image.config,
        manifest=manifest,
        platform=config.platform,
        names=names,
        created=config.created or _NO_DATE,
    )


@contextmanager
def _target(output: str | None) -> Iterator[Write]:
    if output in {None, "-"}:
        yield write_to(sys.stdout.fileno())
    else:
        assert output is not None
        with replacing(absolute(current_host().cwd, output)) as write:
            yield write


@click.command("load")
@root_option
@click.option(
    "-i",
    "--input",
    "source",
    metavar="PATH",
    shell_complete=files,
    help="Archive or OCI layout (default: standard input).",
)
@click.option("-t", "--tag", "names", multiple=True, metavar="NAME[:TAG]", help="Give the image this name as well.")
@click.option("-q", "--quiet", is_flag=True, help="Print ids only.")
def load(root: str | None, source: str | None, names: tuple[str, ...], quiet: bool) -> None:
    """Read images from what "docker save" wrote, or an OCI layout (a directory or tar)."""
    wanted = [full_name(name, "--tag") for name in names]
    host = current_host()
    if source in {None, "-"} and sys.stdin.isatty():
        raise FlagError("there is no archive on standard input", hint="redirect it, or use -i FILE")
    path = "-" if source in {None, "-"} else absolute(host.cwd, source or "")
    with open_store(root) as store:
        found = load_images(store, path, platform=host_platform(host.machine))
        if wanted and len(found) != 1:
            raise NotInStore(f"{source or 'the archive'} holds {len(found)} images: which is to be {names[0]}?")
        for name in wanted:
            store.tag(found[0].id, name)
    for image in found:
        if quiet:
            say(str(image.id))
            continue
        for name in (*image.names, *wanted):
            say(f"Loaded image: {Reference.parse(name).familiar}")
        if not image.names and not wanted:
            say(f"Loaded image ID: {image.id}")


COMMANDS: Mapping[str, click.Command] = {"save": save, "load": load}
