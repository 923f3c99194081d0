"""Commits and files out of repositories that a server on loopback has."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import Cancelled
from builder.fetch.git import Commit, Git
from builder.fetch.gitcommand import Command, GitError
from builder.fetch.giturl import GitSource, parse_git_url
from tests.support.webserver import Page, Repository, Web, web

pytestmark = pytest.mark.needs_tool("git")


class Place:
    """A server with a repository, and a store to fetch into."""

    def __init__(self, server: Web, top: Path, *init: str) -> None:
        self.web = server
        self.web.repositories = top / "served"
        self.repository = Repository(top / "served", "r.git", *init)
        self.first = self.repository.commit({"f": "one", "d/g": "two", "d/x.sh": "#!", "l": "->d/g", "out": "->/etc"})
        self.top = top
        self.secrets: dict[str, bytes] = {}
        self.cancelled = threading.Event()
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(top)}
        self.git = Git(str(top / "store"), Command(self.environ, self.cancelled, self.secrets.get))
        self._count = 0

    def source(self, tail: str = "") -> GitSource:
        found = parse_git_url(self.web.url("/git/r.git") + tail)
        assert found is not None
        return found

    def files(self, tail: str = "", *, keep_git_dir: bool = False) -> Path:
        source = self.source(tail)
        self._count += 1
        directory = self.top / f"out{self._count}"
        return Path(self.git.check_out(source, self.git.resolve(source), str(directory), keep_git_dir=keep_git_dir))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with web() as server:
        (tmp_path / "store").mkdir()
        yield Place(server, tmp_path)


def names(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir() or path.is_symlink())


def test_the_default_branch(place: Place) -> None:
    assert place.git.resolve(place.source()) == Commit(place.first, "refs/heads/main")
    found = place.files()
    assert names(found) == ["d/g", "d/x.sh", "f", "l", "out"]
    assert (found / "l").readlink() == Path("d/g")
    assert stat.S_IMODE((found / "f").stat().st_mode) == 0o644
    assert not (found / ".git").exists()


def test_refs(place: Place) -> None:
    repository = place.repository
    repository.git("tag", "light")
    repository.git("tag", "-a", "-m", "m", "heavy")
    repository.git("update-ref", "refs/pull/7/head", "HEAD")
    second = repository.commit({"f": "later"})
    tag = repository.git("rev-parse", "heavy")
    for ref in ("light", "heavy", "refs/tags/heavy", "pull/7/head", "refs/pull/7/head", place.first):
        assert place.git.resolve(place.source(f"#{ref}")).id == place.first
        assert (place.files(f"#{ref}") / "f").read_text() == "one"
    assert place.git.resolve(place.source("?branch=main")).id == second
    assert place.git.resolve(place.source(f"?tag=heavy&commit={tag[:5]}")).id == place.first
    assert place.git.resolve(place.source(f"?tag=heavy&commit={place.first[:3]}")).id == place.first
    for ref in ("HEAD", second[:10], "none", "refs/heads/none"):
        with pytest.raises(GitError, match=f"the repository has no {ref}"):
            place.git.resolve(place.source(f"#{ref}"))


def test_a_branch_is_preferred_to_a_tag(place: Place) -> None:
    place.repository.git("tag", "both")
    place.repository.git("branch", "both")
    second = place.repository.commit({"f": "later"})
    place.repository.git("branch", "-f", "both", "HEAD")
    place.repository.publish()
    assert place.git.resolve(place.source("#both")).id == second
    assert place.git.resolve(place.source("?tag=both")).id == place.first


def test_another_commit_than_the_checksum(place: Place) -> None:
    with pytest.raises(GitError, match="expected commit 0000, found"):
        place.git.resolve(place.source("?checksum=0000"))
    with pytest.raises(GitError, match="expected commit 0000, found"):
        place.git.resolve(place.source(f"?checksum=0000&ref={place.first}"))


def test_a_commit_that_is_there_needs_no_network(place: Place) -> None:
    place.files()
    asked = len(place.web.asked)
    assert (place.files(f"#{place.first}") / "f").read_text() == "one"
    assert len(place.web.asked) == asked


def test_an_old_commit(place: Place) -> None:
    for number in range(5):
        place.repository.commit({"f": str(number)})
    assert (place.files(f"#{place.first}") / "f").read_text() == "one"
    with pytest.raises(GitError, match="f" * 40):
        place.files("#" + "f" * 40)


def test_only_what_is_needed_is_fetched(place: Place) -> None:
    for number in range(5):
        place.repository.commit({"f": str(number)})
    place.files()
    (mirror,) = (path for path in (place.top / "store/git").iterdir() if path.suffix != ".lock")
    assert (mirror / "shallow").exists()


def test_subdirectories(place: Place) -> None:
    assert names(place.files("#main:d")) == ["g", "x.sh"]
    for subdir in ("f", "none", "l", "out", "out/x", ".git"):
        with pytest.raises(GitError, match="there is no directory"):
            place.files(f"#main:{subdir}")


def test_times_of_the_commit(place: Place) -> None:
    found = place.files("?mtime=commit")
    assert {path.lstat().st_mtime for path in (found, *found.rglob("*"))} == {1_600_000_000}


def test_the_git_directory(place: Place) -> None:
    found = place.files(keep_git_dir=True)
    assert (found / ".git/HEAD").read_text().strip() == place.first
    assert place.web.url("/git/r.git") in (found / ".git/config").read_text()
    assert (found / ".git/refs/heads/main").read_text().strip() == place.first
    assert not (found / ".git/hooks").exists()
    assert place.top.as_posix().encode() not in b"".join(
        path.read_bytes() for path in found.rglob("*") if path.is_file()
    )
    assert (found / ".git/logs/HEAD").read_bytes() == b""
    assert not (place.files("#main:d", keep_git_dir=True) / ".git").exists()


def test_the_git_directory_has_the_ref_that_was_asked_for(place: Place) -> None:
    place.repository.git("tag", "-a", "-m", "m", "heavy")
    place.repository.git("tag", "light")
    tag = place.repository.git("rev-parse", "heavy")
    place.repository.publish()
    place.files("#heavy")
    for tail, refs in (
        ("#heavy", {"tags/heavy": tag}),
        ("?tag=light", {"tags/light": place.first}),
        (f"#{place.first}", {}),
    ):
        top = place.files(tail, keep_git_dir=True) / ".git/refs"
        assert {
            str(path.relative_to(top)): path.read_text().strip() for path in top.rglob("*") if path.is_file()
        } == refs


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    with web() as server:
        place = Place(server, tmp_path, "--object-format=sha256")
        (tmp_path / "store").mkdir()
        assert len(place.first) == 64
        for tail in ("", f"#{place.first}"):
            for keeps in (False, True):
                found = place.files(tail, keep_git_dir=keeps)
                assert (found / "f").read_text() == "one"
                assert (found / ".git/HEAD").exists() == keeps


def submodule(place: Place, url: str) -> None:
    other = Repository(place.top / "served", "s.git")
    other.commit({"in": "sub"})
    place.repository.git("submodule", "--quiet", "add", str(other.path), "deep/s")
    place.repository.git("config", "-f", ".gitmodules", "submodule.deep/s.url", url)
    place.repository.commit({})


@pytest.mark.parametrize("url", ["../s.git", "http"])
def test_submodules(place: Place, url: str) -> None:
    submodule(place, place.web.url("/git/s.git") if url == "http" else url)
    found = place.files()
    assert (found / "deep/s/in").read_text() == "sub"
    assert (found / "deep/s/.git").read_text() == "gitdir: ../../.git/modules/deep/s\n"
    kept = place.files(keep_git_dir=True)
    assert (kept / "deep/s/.git").read_text() == "gitdir: ../../.git/modules/deep/s\n"
    settings = (kept / ".git/modules/deep/s/config").read_text()
    assert "worktree = ../../../../deep/s\n" in settings
    assert place.top.as_posix() not in settings
    assert '[submodule "deep/s"]\n\tactive = true\n' in (kept / ".git/config").read_text()
    assert names(place.files("?submodules=false")) == [".gitmodules", "d/g", "d/x.sh", "f", "l", "out"]


@pytest.mark.parametrize("url", ["/srv/s.git", "file:///srv/s.git", "ext::touch /tmp/x", "-u/x"])
def test_submodules_that_are_not_fetched(place: Place, url: str) -> None:
    submodule(place, url)
    with pytest.raises(GitError, match=r"the submodule deep/s is at .*, which is not fetched"):
        place.files()


def test_hooks_filters_and_settings_of_others_do_nothing(place: Place) -> None:
    trap = place.top / "trap"
    (place.top / ".gitconfig").write_text(
        f'[core]\n\thooksPath = {place.top}/hooks\n\tfsmonitor = touch {trap}\n[filter "x"]\n\tsmudge = touch {trap}\n'
    )
    (place.top / "hooks").mkdir()
    for hook in ("post-checkout", "reference-transaction"):
        (place.top / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {trap}\n")
        (place.top / "hooks" / hook).chmod(0o755)
    place.repository.commit({".gitattributes": "* filter=x\n"})
    place.files()
    place.files(keep_git_dir=True)
    assert not trap.exists()


def test_credentials(place: Place) -> None:
    place.web.secret = "Basic eC1hY2Nlc3MtdG9rZW46dA=="  # x-access-token:t
    with pytest.raises(GitError) as caught:
        place.files()
    assert caught.value.hint is not None
    assert "GIT_AUTH_TOKEN" in caught.value.hint
    place.secrets["GIT_AUTH_TOKEN"] = b"t\n"
    assert (place.files() / "f").exists()
    place.secrets.clear()
    place.secrets[f"GIT_AUTH_HEADER.127.0.0.1:{place.web.port}"] = place.web.secret.encode()
    place.repository.commit({"f": "later"})
    assert (place.files() / "f").read_text() == "later"


def test_a_credential_helper_of_the_user(place: Place) -> None:
    place.web.secret = "Basic dTpw"  # u:p
    (place.top / ".gitconfig").write_text('[credential]\n\thelper = "!echo username=u; echo password=p; :"\n')
    assert (place.files() / "f").exists()


def test_credentials_do_not_follow_a_redirect(place: Place) -> None:
    with web() as other:
        tail = "/git/r.git/info/refs?service=git-upload-pack"
        place.web.repositories = None
        place.web.pages["/git/r.git/info/refs"] = Page(b"", {"Location": other.url(tail)}, 302)
        place.secrets["GIT_AUTH_TOKEN"] = b"secret"
        with pytest.raises(GitError):
            place.files()
        assert any("authorization" in asked.headers for asked in place.web.asked)
        assert other.asked
        assert not any("authorization" in asked.headers for asked in other.asked)


def test_cancelled(place: Place) -> None:
    place.web.pages["/git/r.git/info/refs"] = Page(status=0)
    place.web.repositories = None
    timer = threading.Timer(0.3, place.cancelled.set)
    timer.start()
    with pytest.raises(Cancelled):
        place.files()
    timer.join()


def test_without_git(place: Place) -> None:
    place.environ["PATH"] = "/nonexistent"
    with pytest.raises(GitError, match="git is not installed"):
        place.files()
