"""Contexts that are no directory, and sources that are fetched, in builds of an ordinary user: as in those of root."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_inputs import archive, members, piped
from tests.support.users import UserBench, ordinary_user
from tests.support.webserver import Page, Repository, Web, web

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("git", "newuidmap", "useradd")]


@pytest.fixture(scope="module")
def theirs() -> Iterator[UserBench]:
    with ordinary_user(subordinate=True) as user:
        yield UserBench(user, user.home / "store")


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as found:
        yield found


def test_an_archive_keeps_its_owners(theirs: UserBench) -> None:
    text = "FROM scratch\nCOPY . /all/\nCOPY --chown=7:8 own /\n"
    out = theirs.user.home / "out.tar"
    built = piped(theirs, archive({"Dockerfile": text, "own": "o"}), "-o", f"type=tar,dest={out}", "-")
    assert built.code == 0, built.stderr
    found = members(out)
    assert (found["all/own"].uid, found["all/own"].gid, found["own"].uid) == (5, 6, 7)
    assert not list((theirs.store / "tmp").iterdir())


def test_what_is_fetched_is_roots(theirs: UserBench, server: Web, tmp_path: Path) -> None:
    server.repositories = tmp_path
    server.pages["/f"] = Page(b"data", {"ETag": "1"})
    server.secret = "Basic dTpw"  # u:p
    file = server.url("/f").replace("//", "//u:p@")
    text = f"FROM scratch\nCOPY f /\nADD {server.url('/git/r.git')} /r\nADD {file} /w\n"
    Repository(tmp_path, "r.git").commit({"Dockerfile": text, "f": "f"})
    (theirs.user.home / ".gitconfig").write_text('[credential]\n\thelper = "!echo username=u; echo password=p; :"\n')
    out = theirs.user.home / "out.tar"
    for _ in range(2):
        built = theirs.build("-o", f"type=tar,dest={out}", server.url("/git/r.git"))
        found = members(out)
        owners = {(found[name].uid, found[name].gid, found[name].mode) for name in ("f", "r/f")}
        assert owners == {(0, 0, 0o644)}
        assert (found["w"].uid, found["w"].mode) == (0, 0o600)
    assert built.executed() == set()
