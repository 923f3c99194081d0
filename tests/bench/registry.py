"""A registry on loopback that has the base images and, before each run, nothing else."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.peers import run
from tests.support.registries import docker_registry

REPOSITORY = Path(__file__).resolve().parents[2]
BUSYBOX, DEBIAN = "busybox", "debian"
BASES = (BUSYBOX, DEBIAN)


class Registry:
    """``data`` is the directory that a running docker-registry serves; it keeps nothing in memory."""

    def __init__(self, host: str, data: Path) -> None:
        self._host = host
        self._data = data
        self._pristine = data.with_name("pristine")

    def name(self, repository: str) -> str:
        return f"{self._host}/{repository}:latest"

    def keep(self) -> None:
        """What is in it now is what ``fresh`` goes back to."""
        shutil.copytree(self._data, self._pristine, copy_function=os.link)

    def fresh(self) -> None:
        shutil.rmtree(self._data / "docker")
        shutil.copytree(self._pristine, self._data, copy_function=os.link, dirs_exist_ok=True)

    def layer_bytes(self, repository: str) -> int:
        """Compressed bytes of all layers of an image."""
        raw = run("skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{self.name(repository)}")
        return sum(int(layer["size"]) for layer in json.loads(raw)["layers"])


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
