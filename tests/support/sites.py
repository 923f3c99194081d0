"""A registry as a person meets it: Debian's docker-registry, and a home that may or may not know how to get in."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.conftest import REPOSITORY
from tests.support.certificates import Authority
from tests.support.registries import PASSWORD, USER, docker_registry

_TIMEOUT_S = 120


class Site(NamedTuple):
    """A registry, and the home of somebody who may or may not know its authority and a password."""

    host: str
    home: Path
    ca: Path

    @property
    def env(self) -> dict[str, str]:
        """XDG_RUNTIME_DIR is where Podman would look for credentials."""
        home = str(self.home)
        return {"HOME": home, "XDG_CONFIG_HOME": f"{home}/config", "XDG_RUNTIME_DIR": home, "DOCKER_CONFIG": home}

    @property
    def certificates(self) -> Path:
        return self.home / "config" / "docker" / "certs.d" / self.host

    @property
    def credentials(self) -> Path:
        """Where ``login`` keeps them: Docker's file, which skopeo and Podman read as well."""
        return self.home / "config.json"

    def trust(self) -> "Site":
        self.certificates.mkdir(parents=True)
        (self.certificates / "ca.crt").write_bytes(self.ca.read_bytes())
        return self

    def login(self, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "builder", "login", "-u", USER, "--password-stdin", self.host],
            input=password,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **self.env},
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )


@contextmanager
def private_site(directory: Path, authority: Authority) -> Iterator[Site]:
    """With TLS by ``authority``, and htpasswd; nobody is logged in yet."""
    with docker_registry(directory / "registry", authority.issue()) as host:
        yield Site(host, directory / "home", authority.ca)
