import subprocess
import sys
from pathlib import Path

import pytest

from layers.digest import BlobDigest, Digest
from registry.asking import Asker
from registry.auth import Credential
from registry.errors import CredentialError, SettingsError
from registry.reference import Reference
from registry.session import Session
from tests.conftest import REPOSITORY
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.certificates import Authority
from tests.support.images import make_image, make_layer
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
        assert fake.log[-1].status == 200
        assert any(name.lower() == "authorization" for name in fake.log[-1].headers)


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


def test_questions_do_without_requests(authority: Authority) -> None:
    """Over plain HTTP and TLS, with a login and with a token."""
    image = make_image(make_layer({"a": b"a"}))
    code = (
        "import sys; from registry.pull import Puller; from registry.reference import Reference\n"
        "from layers.image import Platform\n"
        "from registry.auth import Credential; from registry.endpoints import HostSettings\n"
        "from tests.support.registries import session\n"
        "host, ca = sys.argv[1:]\n"
        "with session({host: Credential('me', 'pass')}, {host: HostSettings(ca=(ca,) if ca else ())}) as ours:\n"
        "    name = Reference.parse(host + '/x:1')\n"
        "    print(Puller(ours).lookup(name), Puller(ours).resolve(name, Platform('linux', 'amd64')).digest)\n"
        "assert not {'requests', 'urllib3'} & set(sys.modules), 'imported'\n"
    )
    for kind in ("none", "basic", "bearer"):
        for tls in (False, True):
            gate = Gate(kind, {"me": "pass"})
            with FakeRegistry(gate, tls=authority.issue() if tls else None).running() as fake:
                digest = fake.put_image("x", image, "1")
                done = subprocess.run(
                    [sys.executable, "-c", code, fake.host, str(authority.ca) if tls else ""],
                    check=True,
                    cwd=REPOSITORY,
                    timeout=60,
                    capture_output=True,
                    text=True,
                )
                assert done.stdout.split() == [digest, digest]


def test_once_requests_is_there_it_takes_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connections are kept; those of before are closed."""
    retired: list[Asker] = []
    retire = Asker.retire

    def noted(asker: Asker) -> None:
        retired.append(asker)
        retire(asker)

    monkeypatch.setattr(Asker, "retire", noted)
    image = make_image(make_layer({"a": b"a"}))
    seen: list[int] = []

    def note(handler: faults.Handler, real: faults.Real) -> None:
        seen.append(handler.connection.getpeername()[1])
        handler.answer(*real())

    with FakeRegistry().running() as fake, session() as ours:
        fake.put_image("x", image, "1")
        fake.fault(" ", note)
        (source,) = ours.sources(Reference.parse(f"{fake.host}/x:1"))
        source.head_manifest("1")
        source.head_manifest("1")
        assert not retired
        response, _ = source.open_blob(BlobDigest(Digest.parse(image.layers[0].digest)))
        response.read(1 << 20)
        assert len(retired) == 1
        source.head_manifest("1")
    first, *rest = seen
    assert rest == [first, first, rest[2], rest[2]]
    assert rest[2] != first


def test_what_is_led_to_an_odd_address_goes_by_requests() -> None:
    """As always it is escaped."""
    with FakeRegistry().running() as fake, session() as ours:
        fake.put_image("x", make_image(make_layer({"a": b"a"})), "1", "a%20b%C3%A9")
        fake.fault("HEAD /v2/x/manifests/1$", faults.redirect("/v2/x/manifests/a b\u00e9"))
        (source,) = ours.sources(Reference.parse(f"{fake.host}/x:1"))
        assert source.head_manifest("1") is not None
