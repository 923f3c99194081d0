"""pull, push, login and logout, against the fake registry."""

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.images import make_image, make_layer
from tests.unit.cli.conftest import FakeApi, Run

BASE = make_image(make_layer({"etc/": None, "etc/a": b"one"}))


@pytest.fixture(autouse=True)
def home(context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without credentials and settings, and a context that needs no RUN."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_AUTH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    return tmp_path / "home"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(Gate("basic", {"me": "right"})).running() as registry:
        registry.put_image("team/base", BASE, "1")
        yield registry


def log_in(run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, password: str = "right") -> tuple[int, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
    ran = run("login", "-u", "me", "--password-stdin", fake.host)
    return ran.code, ran.out + ran.err


def test_login_and_logout(run: Run, fake: FakeRegistry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = log_in(run, fake, monkeypatch)
    config = home / ".docker" / "config.json"
    assert (code, text) == (0, f"Login succeeded; kept in {config}\n")
    assert fake.host in json.loads(config.read_text())["auths"]
    assert run("logout", fake.host).out == f"Removed the credentials for {fake.host} from {config}\n"
    assert json.loads(config.read_text())["auths"] == {}
    assert run("logout", fake.host).out == f"Not logged in to {fake.host}\n"


@pytest.mark.parametrize(
    "case",
    [
        ("me", b"\xff\xfe", "the password on standard input is not UTF-8 text"),
        ("me:and", b"right", "a user name cannot hold a colon"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_what_no_registry_can_be_sent(
    run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, case: tuple[str, bytes, str], errors: str
) -> None:
    user, given, said = case
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8", errors))
    ran = run("login", "-u", user, "--password-stdin", fake.host)
    assert (ran.code, said in ran.err) == (2, True)
    assert fake.log == []


def test_a_wrong_password_is_not_kept(
    run: Run, fake: FakeRegistry, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, text = log_in(run, fake, monkeypatch, "wrong")
    assert code == 1
    assert f"{fake.host} does not accept the password of user 'me'" in text
    assert "run 'pybuild login" in text
    assert "wrong\n" not in text
    assert not (home / ".docker").exists()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("-u", "me", "-p", "right"), "--password is not supported"),
        (("--password-stdin",), "needs a user name"),
        (("-u", "me"), "no terminal"),
        (("-u", "me", "--password-stdin"), "the password is empty"),
    ],
)
def test_how_not_to_log_in(
    run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], problem: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    ran = run("login", *args, fake.host)
    assert ran.code == 2
    assert problem in ran.err
    assert fake.log == []


def test_pull_push_and_build(run: Run, fake: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = f"{fake.host}/team/base:1"
    ran = run("pull", base)
    assert ran.code == 1
    assert f"run 'pybuild login {fake.host}'" in ran.err
    log_in(run, fake, monkeypatch)
    assert run("pull", base).out == f"{base}: {BASE.digest}\n"
    assert run("pull", "-q", base).out == f"{BASE.id}\n"

    Path("Dockerfile").write_text(f"FROM {base}\nLABEL a=b\n")
    digest = tmp_path / "digest"
    app = f"{fake.host}/team/app:1"
    ran = run("-t", app, "--push", "--digest-file", str(digest), "--metadata-file", str(tmp_path / "metadata"), ".")
    assert ran.code == 0
    assert f"pushing {app}\n" in ran.err
    assert ("team/app", digest.read_text()) in fake.manifests
    assert json.loads((tmp_path / "metadata").read_text())["containerimage.digest"] == digest.read_text()

    again = f"{fake.host}/team/again:2"
    run("tag", app, again)
    assert run("push", again, app).out == f"{again}: {digest.read_text()}\n{app}: {digest.read_text()}\n"
    assert fake.manifests["team/again", "2"].raw == fake.manifests["team/app", "1"].raw


def test_a_pull_is_whole(run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log_in(run, fake, monkeypatch)
    assert run("pull", f"{fake.host}/team/base:1").code == 0
    assert len(fake.requests(f"GET .*/blobs/{BASE.layers[0].digest}")) == 1
    fake.fault("", faults.reset)
    saved = tmp_path / "saved.tar"
    assert run("save", "--format", "oci", "-o", str(saved), f"{fake.host}/team/base:1").code == 0
    with tarfile.open(saved) as archive:
        index = json.load(archive.extractfile("index.json") or io.BytesIO())
    assert index["manifests"][0]["digest"] == BASE.digest


@pytest.mark.parametrize("where", ["same", "other"])
def test_what_is_pushed_unchanged_keeps_its_digest(
    run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The very bytes of the manifest, although they are not those that pybuild would write."""
    log_in(run, fake, monkeypatch)
    # Looked up by a build, never fetched; then pushed by another process.
    Path("Dockerfile").write_text(f"FROM {fake.host}/team/base:1\nCMD x\n")
    run(".")
    with FakeRegistry().running() as second:
        target = f"{(fake if where == 'same' else second).host}/copied/base:1"
        run("tag", f"{fake.host}/team/base:1", target)
        fake.log.clear()
        ran = run("push", target)
        assert ran.out == f"{target}: {BASE.digest}\n"
        there = fake if where == "same" else second
        assert there.manifests["copied/base", "1"].raw == BASE.manifest
    assert len(fake.requests(f"GET .*/blobs/{BASE.layers[0].digest}")) == (0 if where == "same" else 1)


def test_an_image_known_by_its_digest(run: Run, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(run, fake, monkeypatch)
    name = f"{fake.host}/team/base@{BASE.digest}"
    assert run("pull", name).out == f"{name}: {BASE.digest}\n"
    assert [line.split()[:2] for line in run("images").out.splitlines()[1:]] == [[f"{fake.host}/team/base", "<none>"]]
    (found,) = json.loads(run("inspect", name).out)
    assert (found["RepoTags"], found["RepoDigests"]) == ([], [name])
    run("prune")
    assert run("inspect", name).code == 0
    # A tag beside a digest is a remark.
    assert run("rmi", name.replace("@", ":1@")).out == f"Untagged: {name}\nDeleted: {BASE.id}\n"
    assert run("inspect", name).code == 1
    run("pull", name)
    run("prune", "--all")
    assert run("inspect", name).code == 1


def test_what_is_not_there_is_not_pushed(run: Run, fake: FakeRegistry) -> None:
    ran = run("push", f"{fake.host}/team/app:1")
    assert (ran.code, fake.log) == (1, [])
    assert f"there is no image {fake.host}/team/app:1 in the store" in ran.err


def test_a_digest_file_needs_a_digest(run: Run) -> None:
    ran = run("--digest-file", "x", ".")
    assert ran.code == 2
    assert "add --push or -o type=oci" in ran.err


def test_a_push_needs_a_tag(run: Run) -> None:
    ran = run("--push", ".")
    assert ran.code == 2
    assert "there is no name to push to" in ran.err


@pytest.mark.parametrize(
    ("words", "policy"),
    [
        (("--pull",), "always"),
        (("--pull=true",), "always"),
        (("--pull=false",), "missing"),
        (("--pull=newer",), "newer"),
        ((), "missing"),
    ],
)
def test_pull_policies(run: Run, api: FakeApi, words: tuple[str, ...], policy: str) -> None:
    assert run(*words, ".").code == 0
    assert api.requests[0].pull == policy


def test_a_base_that_needs_a_login(run: Run, fake: FakeRegistry) -> None:
    Path("Dockerfile").write_text(f"FROM {fake.host}/team/base:1\n")
    ran = run(".")
    assert ran.code == 1
    assert "Dockerfile:1\n" in ran.err
    assert "wants to know who you are to pull team/base" in ran.err
    assert f"run 'pybuild login {fake.host}'" in ran.err
