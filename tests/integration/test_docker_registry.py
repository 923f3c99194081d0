"""Debian's docker-registry passes the suite that the fake passes: TLS with an authority of our own, and htpasswd."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.endpoints import HostSettings
from tests.suites.registry_suite import Place, RegistrySuite
from tests.support.certificates import Authority
from tests.support.registries import docker_registry

pytestmark = pytest.mark.needs_tool("docker-registry")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    authority = Authority(Path(tmp_path_factory.mktemp("authority")))
    with docker_registry(Path(tmp_path_factory.mktemp("registry")), authority.issue()) as host:
        yield Place(host, HostSettings(ca=(str(authority.ca),)), private=True, tls=True)


class TestDockerRegistry(RegistrySuite):
    """All of it."""
