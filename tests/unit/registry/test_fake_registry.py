"""The fake registry, in several shapes, passes the suite that the real one passes."""

from collections.abc import Iterator

import pytest

from registry.endpoints import HostSettings
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.suites.registry_suite import Place, RegistrySuite
from tests.support.certificates import Authority
from tests.support.registries import PASSWORD, USER


@pytest.fixture(params=["open", "basic", "bearer", "old-bearer", "tls-bearer"])
def place(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Place]:
    shape: str = request.param
    kind = shape.rpartition("-")[2]
    gate = Gate("none" if kind == "open" else kind, {USER: PASSWORD}, oauth2=shape != "old-bearer")
    gate.deleters = frozenset({USER})
    tls = shape.startswith("tls")
    settings = HostSettings(ca=(str(authority.ca),)) if tls else HostSettings()
    with FakeRegistry(gate, tls=authority.issue() if tls else None).running() as fake:
        yield Place(fake.host, settings, kind != "open", tls)


class TestFakeRegistry(RegistrySuite):
    """All of it."""
