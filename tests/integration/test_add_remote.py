"""ADD of addresses and repositories, by the command line: what it makes, and what makes it run again."""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_inputs import archive, members
from tests.support.builds import Bench, Built
from tests.support.webserver import Page, Repository, Web, web

pytestmark = [pytest.mark.needs_root]

MODIFIED = {"Last-Modified": "Sun, 13 Sep 2020 12:26:40 GMT"}


class Place:
    def __init__(self, bench: Bench, server: Web, top: Path) -> None:
        self.bench = bench
        self.web = server
        self.out = top / "out.tar"
        self.context = top / "context"
        self.context.mkdir()
        self.served = top / "served"

    def attempt(self, text: str, *flags: str) -> Built:
        """``@`` in ``text`` is the server."""
        (self.context / "Dockerfile").write_text(text.replace("@", self.web.url("")))
        return self.bench.attempt(*flags, "-o", f"type=tar,dest={self.out}", self.context)

    def build(self, text: str, *flags: str) -> Built:
        built = self.attempt(text, *flags)
        assert built.code == 0, built.stderr
        return built

    def files(self, text: str) -> dict[str, tarfile.TarInfo]:
        self.build(text)
        return members(self.out)

    def content(self, name: str) -> bytes:
        with tarfile.open(self.out) as tar:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

    def repository(self) -> Repository:
        self.web.repositories = self.served
        return Repository(self.served, "r.git")


@pytest.fixture
def place(bench: Bench, tmp_path: Path) -> Iterator[Place]:
    with web() as server:
        yield Place(bench, server, tmp_path)


def test_a_file(place: Place) -> None:
    place.web.pages["/d/f"] = Page(b"data", MODIFIED)
    place.web.pages["/d/a%20b"] = Page(b"", {})
    found = place.files("FROM scratch\nADD @/d/f /sub/\nADD @/d/f?x=1 /named\nADD @/d/a%20b /sub/\n")
    for name in ("sub/f", "named"):
        file = found[name]
        assert (file.mode, file.uid, file.gid, file.mtime, file.size) == (0o600, 0, 0, 1_600_000_000, 4)
    assert found["sub/a b"].mtime == 0


def test_owner_mode_and_several_sources(place: Place) -> None:
    place.web.pages["/f"] = Page(b"one", MODIFIED)
    place.web.pages["/g"] = Page(b"two")
    (place.context / "h").write_text("local")
    (place.context / "f").write_text("local")
    found = place.files("FROM scratch\nADD --chown=7:8 --chmod=0751 @/f @/g h /d/\nADD f @/f /e/\nADD @/f f /g/\n")
    assert {(found[f"d/{name}"].uid, found[f"d/{name}"].mode) for name in "fgh"} == {(7, 0o751)}
    assert place.content("e/f") == b"one"
    assert place.content("g/f") == b"local"


def test_archives_stay_as_they_are_unless_asked(place: Place) -> None:
    place.web.pages["/x.tar.gz"] = Page(archive({"in": "i"}, mode="w:gz"))
    place.web.pages["/f.gz"] = Page(gzip.compress(b"plain"))
    lines = ("FROM scratch", "ADD @/x.tar.gz /a/", "ADD --unpack=true @/x.tar.gz @/f.gz /b/")
    found = place.files("\n".join((*lines, "ADD --unpack=false @/x.tar.gz /c/\n")))
    assert {name for name, member in found.items() if member.isfile()} == {"a/x.tar.gz", "b/in", "b/f.gz", "c/x.tar.gz"}
    assert found["b/in"].uid == 5


def test_only_what_changed_runs_again(place: Place) -> None:
    text = "FROM scratch\nADD @/f /\nADD @/g /\n"
    place.web.pages["/f"] = Page(b"one", {"ETag": '"1"', **MODIFIED})
    place.web.pages["/g"] = Page(b"two")
    steps = {title.replace("@", place.web.url("")) for title in ("ADD @/f /", "ADD @/g /")}
    assert place.build(text).executed() == steps
    assert place.build(text).executed() == set()
    assert place.web.of("/f")[1].headers["if-none-match"] == '"1"'
    place.web.pages["/f"] = Page(b"one", {"ETag": '"2"', **MODIFIED})
    assert place.build(text).executed() == set(), "another validator, the same file"
    place.web.pages["/f"] = Page(b"one", {"ETag": '"3"'})
    assert place.build(text).executed() == steps, "the time is the file's, and what follows stands on it"
    assert [state for state, _ in place.bench.plan(place.context).values()] == ["hit", "hit"]


def test_the_same_file_elsewhere_is_the_same_step(place: Place) -> None:
    place.web.pages["/a/f"] = place.web.pages["/b/f"] = Page(b"one", MODIFIED)
    place.build("FROM scratch\nADD @/a/f /\n")
    assert place.build("FROM scratch\nADD @/b/f /\n").executed() == set()


def test_checksums(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data", MODIFIED)
    right, wrong = (f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (b"data", b"other"))
    text = f"FROM scratch\nARG SUM={right}\nADD --checksum=$SUM @/f /\n"
    place.build(text)
    assert members(place.out)["f"].mtime == 1_600_000_000
    asked = len(place.web.asked)
    assert place.build(text).executed() == set()
    assert len(place.web.asked) == asked, "what is pinned and built needs no network"
    failed = place.attempt(f"FROM scratch\nADD --checksum={wrong} @/f /\n")
    assert failed.code == 1
    assert f"digest mismatch: {right}, expected {wrong}" in failed.stderr
    place.web.pages["/f"] = Page(b"other", MODIFIED)
    assert place.build(text).executed() == set()
    place.build(f"FROM scratch\nADD --checksum={wrong} @/f /\n")
    assert place.content("f") == b"other"


def test_no_file(place: Place) -> None:
    failed = place.attempt("FROM scratch\nADD @/none /\n")
    assert failed.code == 1
    assert "/none: the server answered 404" in failed.stderr
    assert '"first_line": 2' in failed.stderr


@pytest.mark.needs_tool("git")
def test_a_repository(place: Place) -> None:
    first = place.repository().commit({"f": "one", "d/g": "two", "d/x": "x", "l": "->d"})
    text = "FROM scratch\nADD @/git/r.git /a\nADD --exclude=x --chown=7:8 @/git/r.git#main:d /b/c\n"
    found = place.files(text)
    assert {name for name, member in found.items() if member.isfile()} == {"a/f", "a/d/g", "a/d/x", "b/c/g"}
    assert (found["a/f"].mode, found["a/f"].uid, found["b/c/g"].uid) == (0o644, 0, 7)
    assert found["a/l"].linkname == "d"
    found = place.files(f"FROM scratch\nADD --keep-git-dir=true @/git/r.git#{first} /a\n")
    assert "a/.git/HEAD" in found
    assert place.bench.plan(place.context).popitem()[1] == ("hit", None)


@pytest.mark.needs_tool("git")
def test_a_repository_runs_again_when_its_ref_moves(place: Place) -> None:
    repository = place.repository()
    first = repository.commit({"f": "one"})
    text = "FROM scratch\nADD @/git/r.git /a\n"
    place.build(text)
    assert place.build(text).executed() == set()
    assert place.build(f"FROM scratch\nADD @/git/r.git#{first} /a\n").executed() == set(), "the same commit"
    second = repository.commit({"f": "two"})
    assert len(place.build(text).executed()) == 1
    asked = len(place.web.asked)
    assert place.build(f"FROM scratch\nADD @/git/r.git#{second} /a\n").executed() == set()
    assert len(place.web.asked) == asked, "a commit that was built needs no network"
    failed = place.attempt(f"FROM scratch\nADD --checksum={first} @/git/r.git /a\n")
    assert failed.code == 1
    assert f"expected commit {first}, found {second}" in failed.stderr
    assert len(place.build(f"FROM scratch\nADD --checksum={second[:8]} @/git/r.git /b\n").executed()) == 1


@pytest.mark.needs_tool("git")
def test_nothing_stays_in_the_temporary_space(place: Place) -> None:
    place.repository().commit({"f": "one"})
    place.build("FROM scratch\nADD @/git/r.git /a\n")
    assert not list((place.bench.store / "tmp").iterdir())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ADD --checksum=sha256:00 @/f /", "invalid checksum 'sha256:00'"),
        (f"ADD --checksum={'0' * 64} @/f /", "invalid checksum"),
        (f"ADD --checksum=sha512:{'0' * 128} @/f /", "invalid checksum"),
        (f"ADD --checksum=sha256:{'0' * 64} @/f @/g /", "checksum can't be specified for multiple sources"),
        (f"ADD --checksum=sha256:{'0' * 64} Dockerfile /", "checksum can't be specified for a local source"),
        (f"ADD --checksum=sha256:{'0' * 64} @/x.git /", "invalid checksum"),
        ("ADD @/x.git#--upload-pack=touch /", "cannot be the name of a branch"),
        ("ADD @/x.git?colour=red /", "colour is no part of a git address"),
        ("ADD ssh://-oProxyCommand=touch/x /", "names no host"),
        ("COPY @/f /", "source can't be a URL for COPY"),
        ("COPY @/x.git /", "source can't be a git ref for COPY"),
    ],
)
def test_asked_for_wrongly(place: Place, line: str, problem: str) -> None:
    failed = place.attempt(f"FROM scratch\n{line}\n")
    assert failed.code == 1
    assert problem in failed.stderr
    assert '"first_line": 2' in failed.stderr
    assert not place.web.asked


@pytest.mark.needs_tool("git")
def test_credentials_are_secrets_of_the_build(place: Place, tmp_path: Path) -> None:
    place.repository().commit({"f": "one", "Dockerfile": "FROM scratch\nCOPY f /\n"})
    place.web.pages["/f"] = Page(b"data")
    place.web.secret = "Basic eC1hY2Nlc3MtdG9rZW46dG9wLXNlY3JldA=="  # x-access-token:top-secret
    (tmp_path / "token").write_text("top-secret\n")
    (tmp_path / "header").write_text(place.web.secret)
    git, http = (f"--secret=id={name},src={tmp_path}/{file}" for name, file in SECRETS)
    text = "FROM scratch\nADD @/git/r.git /a\nADD @/f /f\n"
    refused = place.attempt(text, http)
    assert "a private repository needs --secret id=GIT_AUTH_TOKEN" in refused.stderr
    assert "--secret id=HTTP_AUTH_TOKEN_HOST" in place.attempt(text, git).stderr
    place.build(text, git, http)
    place.bench.build(git, place.web.url("/git/r.git"))
    kept = b"".join(path.read_bytes() for path in place.bench.store.rglob("*") if path.is_file())
    assert b"top-secret" not in kept + place.out.read_bytes()
    assert b"eC1hY2Nlc3M" not in kept


SECRETS = (("GIT_AUTH_TOKEN", "token"), ("HTTP_AUTH_HEADER_127.0.0.1", "header"))
