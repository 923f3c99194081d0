"""A registry on loopback that has the base images and, before each run, nothing else."""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.peers import run
from tests.support.registries import docker_registry

REPOSITORY = Path(__file__).resolve().parents[2]
BUSYBOX, DEBIAN = "busybox", "debian"
BASES = (BUSYBOX, DEBIAN)
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 1 << 20


class Layer(NamedTuple):
    """``blob`` is where the registry keeps its bytes; ``size`` counts them."""

    digest: str
    size: int
    blob: Path


def zlib_size(gzipped: Path, level: int = 6) -> int:
    """What zlib makes of the stream in this file. ValueError when the file is compressed otherwise."""
    inflate = zlib.decompressobj(_GZIP)
    deflate = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    size = 0
    with gzipped.open("rb") as file:
        while data := file.read(_CHUNK):
            while data:
                try:
                    size += len(deflate.compress(inflate.decompress(data)))
                except zlib.error as error:
                    raise ValueError(f"{gzipped}: {error}") from error
                data = inflate.unused_data
                if inflate.eof:  # the next member
                    inflate = zlib.decompressobj(_GZIP)
    return size + len(deflate.flush())


class Registry:
    """``data`` is the directory that a running docker-registry serves; it keeps nothing in memory."""

    def __init__(self, host: str, data: Path) -> None:
        self.host = host
        self._data = data
        self._pristine = data.with_name("pristine")

    def name(self, repository: str) -> str:
        return f"{self.host}/{repository}:latest"

    def keep(self) -> None:
        """What is in it now is what ``fresh`` goes back to."""
        shutil.copytree(self._data, self._pristine, copy_function=os.link)

    def fresh(self) -> None:
        shutil.rmtree(self._data / "docker")
        shutil.copytree(self._pristine, self._data, copy_function=os.link, dirs_exist_ok=True)

    def added(self, repository: str, base: str) -> list[Layer]:
        """The layers of an image that are not ``base``'s."""
        below = {layer.digest for layer in self._layers(base)}
        return [layer for layer in self._layers(repository) if layer.digest not in below]

    def _layers(self, repository: str) -> list[Layer]:
        raw = run("skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{self.name(repository)}")
        found = json.loads(raw)["layers"]
        blobs = self._data / "docker/registry/v2/blobs/sha256"
        return [
            Layer(layer["digest"], int(layer["size"]), blobs / digest[:2] / digest / "data")
            for layer in found
            for digest in [layer["digest"].partition(":")[2]]
        ]


def base_layout(name: str) -> Path:
    """The OCI layout of a base image, made when it is not there yet."""
    run(sys.executable, REPOSITORY / "fixtures/images/make.py", name)
    return REPOSITORY / "fixtures/images/out" / name


@contextmanager
def registry(directory: Path) -> Iterator[Registry]:
    with docker_registry(directory, None, htpasswd=False) as host:
        found = Registry(host, directory / "data")
        for name in BASES:
            image = f"docker://{found.name(name)}"
            run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{base_layout(name)}", image)
        found.keep()
        yield found
