import subprocess
import sys
from pathlib import Path

import pytest

from registry.auth import Credential
from registry.errors import CredentialError, SettingsError
from registry.reference import Reference
from registry.session import Session
from tests.conftest import REPOSITORY
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.registries import session


def test_http_is_imported_when_first_used() -> None:
    """A build that needs no registry does not pay for requests."""
    code = (
        "import sys; from registry.session import Session; from registry import pull, push\n"
        "from registry.reference import Reference\n"
        "with Session.of({'HOME': '/nonexistent'}) as s: s.sources(Reference.parse('r.example/x'))\n"
        "assert not {'requests', 'urllib3', 'ssl'} & set(sys.modules), 'imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60)


def test_credentials_of_the_files_are_used(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    with FakeRegistry(Gate("basic", {"me": "pass"})).running() as fake:
        with Session.of(environ) as ours:
            ours.credentials.store(fake.host, Credential("me", "pass"))
        with Session.of(environ) as ours:
            ours.sources(Reference.parse(f"{fake.host}/x"))[0].ping()


def test_files_with_mistakes(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("x = 5")
    with pytest.raises(SettingsError):
        Session.of({"HOME": str(tmp_path), "PYBUILD_CONFIG": str(tmp_path / "config.toml")})
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text("5")
    with pytest.raises(CredentialError):
        Session.of({"HOME": str(tmp_path)})


def test_login_keeps_a_refresh_token_where_there_is_one() -> None:
    gate = Gate("bearer", {"me": "pass"})
    with FakeRegistry(gate).running() as fake, session() as ours:
        kept = ours.login(fake.host, Credential("me", "pass"))
        assert kept == Credential(identity_token=next(iter(gate.refresh)))
        gate.kind = "basic"
        assert ours.login(fake.host, Credential("me", "pass")) == Credential("me", "pass")


def test_one_conversation_per_repository() -> None:
    with FakeRegistry().running() as fake, session() as ours:
        name = Reference.parse(f"{fake.host}/x:1")
        assert ours.sources(name)[0].client is ours.target(name).client
        for _ in range(3):
            ours.sources(name)[0].head_manifest("1")
        assert len(fake.requests("GET /v2/$")) == 1
