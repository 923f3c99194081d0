"""Images as layers with a manifest: ``type=oci`` (a tar or a layout directory) and ``type=docker`` (a tar)."""

from pathlib import Path

from builder.output.target import Finished, OutputError, Progress, check_directory, check_file, make_way, opened
from layers import gotime, media
from layers.compress import Compression
from layers.dockerarchive import write_docker_archive
from layers.image import Descriptor, ImageConfig
from layers.manifest import describe, encode_manifest
from layers.ocilayout import OutputImage, write_archive, write_directory
from layers.store import Store
from registry.reference import Reference


def output_image(image: Finished, store: Store, compression: Compression) -> OutputImage:
    """The image with its manifest; layers without a blob are packed."""
    config = describe(image.config, media.OCI_CONFIG)
    layers = [store.blob(layer, clamp, compression) for layer, clamp in zip(image.rootfs, image.clamps, strict=True)]
    annotations = [(given.key, given.value) for given in image.annotations if not given.descriptor]
    seconds = image.created if image.epoch is None else image.epoch
    return OutputImage(
        config=image.config,
        manifest=encode_manifest(config, layers, annotations),
        platform=ImageConfig.parse(image.config).platform,
        names=image.names,
        created=gotime.from_seconds(int(seconds), whole=True),
        annotations=tuple((given.key, given.value) for given in image.annotations if given.descriptor),
    )


def with_layers(image: Finished, store: Store, compression: Compression, progress: Progress) -> OutputImage:
    """As ``output_image``; layers that are at a registry still are fetched, several at once."""
    made = output_image(image, store, compression)
    store.supply.fetch(made.manifest.layers, progress.fetching)
    return made


class OciArchive:
    def __init__(self, dest: str, compression: Compression) -> None:
        self.compression = compression
        self._dest = dest

    def check(self) -> None:
        check_file(self._dest)

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor:
        made = with_layers(image, store, self.compression, progress)
        with opened(self._dest) as write:
            write_archive(made, store.blobs, progress.counting(write))
        return made.descriptor


class OciLayout:
    def __init__(self, dest: str, compression: Compression) -> None:
        self.compression = compression
        self._dest = dest

    def check(self) -> None:
        if self._dest == "-":
            raise OutputError("an image layout directory cannot go to standard output", hint="give it a dest=DIRECTORY")
        path = Path(self._dest)
        if path.exists() and not path.is_dir():
            raise OutputError(f"output {self._dest} is not a directory", hint="with tar=false a directory is written")
        check_directory(self._dest if path.exists() else str(path.absolute().parent), self._dest)

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor:
        made = with_layers(image, store, self.compression, progress)
        make_way(self._dest)
        write_directory(made, store.blobs, self._dest)
        return made.descriptor


class DockerArchive:
    def __init__(self, dest: str, compression: Compression) -> None:
        self.compression = compression
        self._dest = dest

    def check(self) -> None:
        check_file(self._dest)

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor:
        made = with_layers(image, store, self.compression, progress)
        with opened(self._dest) as write:
            write_docker_archive(made, repo_tags(image.names), store.blobs, progress.counting(write))
        return made.descriptor


def repo_tags(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names as Docker shows them."""
    return tuple(Reference.parse(name).familiar for name in names)
