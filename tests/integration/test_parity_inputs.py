"""Contexts from elsewhere and ADD of what is fetched, through pybuild and Debian's BuildKit: equal images.

What differs is listed in DIFFERENCES, each with its reason; a difference that is no longer seen fails too.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import FIXTURES, REPOSITORY
from tests.integration.test_inputs import archive
from tests.support.flatten import Flat, flatten
from tests.support.parity import Ledger, Listed, compare, load_listed
from tests.support.peers import DOCKER, Docker, dockerd
from tests.support.webserver import Page, Repository, Web, web

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_tool("dockerd", "git", "runc", "unshare"),
    pytest.mark.slow,
]

ALL = "FROM scratch\nCOPY . /all/\nCOPY d /d\nCOPY --chown=7:8 own /own\nADD own d/f /x/\n"
TREE = {"own": "o", ".dockerignore": "kept\n", "kept": "k", "d/": "", "d/f": "f", "d/g/": "", "d/g/h": "h"}
IMPLIED = {name: text for name, text in TREE.items() if not name.endswith("/")}
MODIFIED = {"Last-Modified": "Sun, 13 Sep 2020 12:26:40 GMT", "ETag": '"1"'}
ADD = "\n".join(
    (
        "FROM scratch",
        "ADD @/d/f /s/",
        "ADD @/d/f?x=1 /named",
        "ADD @/d/f/ /t/",
        "ADD @/ /root/",
        "ADD @/x.tar /tar/",
        "ADD @/moved /r/",
        "ADD @/a%20b @/a%2Fb own @/d/f /m/",
        "ADD --chown=7:8 @/d/f /own/x",
        "ADD @/plain /n",
        "ADD @/d/f /h2",
        "ADD own /h2",
        "",
    )
)


class Case(NamedTuple):
    """``context`` is the argument (``@`` is the server, ``DIR`` a directory with TREE); ``stdin`` goes to both."""

    context: str
    flags: tuple[str, ...] = ()
    stdin: bytes = b""


CASES = {
    "tar": Case("-", stdin=archive({"Dockerfile": ALL, **TREE})),
    "tar-implied": Case("-", stdin=archive({"Dockerfile": ALL, **IMPLIED})),
    "tar-gzip": Case("-", stdin=archive({"Dockerfile": ALL, **TREE}, mode="w:gz")),
    "tar-bzip2": Case("-", stdin=archive({"Dockerfile": ALL, **TREE}, mode="w:bz2")),
    "tar-xz": Case("-", stdin=archive({"Dockerfile": ALL, **TREE}, mode="w:xz")),
    "tar-file": Case("-", ("-f", "d/D"), archive({"d/D": ALL, **TREE})),
    "dockerfile": Case("-", stdin=b"FROM scratch\nLABEL a=b\nWORKDIR /x\n"),
    "dockerfile-of-directory": Case("DIR", ("-f", "-"), b"FROM scratch\nCOPY own d/f /\n"),
    "http-tar": Case("@/context.tar"),
    "http-tar-file": Case("@/context.tar", ("-f", "d/D")),
    "http-dockerfile": Case("@/D"),
    "git-branch": Case("@/git/r.git#side"),
    "git-tag": Case("@/git/r.git#v1"),
    "git-file": Case("@/git/r.git#main", ("-f", "sub/Dockerfile")),
    "add": Case("DIR", ("-f", "-"), b"ADD"),
}
OLD = "1.10 Directory source: mtime of source dir; the BuildKit of 2022 leaves the time of its own writing"
CLOCK = "directories that an archive lacks: equal archives give equal layers, so they are not dated by the clock"
ARCHIVES = ("tar", "tar-gzip", "tar-bzip2", "tar-xz", "tar-file", "http-tar", "http-tar-file")
DIFFERENCES = (
    *(Listed("docker", case, "file:d:mtime: 1600000000 != now", False, OLD) for case in ARCHIVES),
    Listed("docker", "tar-implied", "file:*:mtime: 0 != now", False, CLOCK),
)
"""Beside those of fixtures/parity that hold for all cases."""


class Place(NamedTuple):
    docker: Docker
    web: Web
    top: Path
    started: int


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    top = tmp_path_factory.mktemp("inputs")
    directory = top / "DIR"
    started = int(top.stat().st_mtime)
    for name, text in IMPLIED.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    for path in (directory, *directory.rglob("*")):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    with web() as server, dockerd(top / "dockerd", in_memory=True, on_the_network=True) as docker:
        server.repositories = top / "served"
        repository = Repository(server.repositories, "r.git")
        side = {"Dockerfile": ALL, **IMPLIED, "sub/Dockerfile": ALL, "sub/own": "s", "sub/d/f": "f", "l": "->d"}
        repository.commit(side)
        repository.git("tag", "-a", "-m", "m", "v1")
        repository.git("branch", "side")
        repository.commit({"own": "later"})
        server.pages["/context.tar"] = Page(archive({"Dockerfile": ALL, "d/D": ALL, **TREE}))
        server.pages["/D"] = Page(b"FROM scratch\nCOPY context /\n")
        server.pages["/d/f"] = server.pages["/d/f/"] = Page(b"data", MODIFIED)
        server.pages["/"] = Page(b"root")
        server.pages["/plain"] = Page(b"plain")
        server.pages["/x.tar"] = Page(archive({"in": "i"}), MODIFIED)
        server.pages["/moved"] = Page(b"", {"Location": "/d/f"}, 302)
        server.pages["/a%20b"] = server.pages["/a%2Fb"] = Page(b"ab")
        yield Place(docker, server, top, started)


def build(command: list[str], given: bytes) -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        input=given,
        cwd=REPOSITORY,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def images(name: str, case: Case, place: Place) -> tuple[Flat, Flat]:
    context = case.context.replace("@", place.web.url("")).replace("DIR", str(place.top / "DIR"))
    given = case.stdin if case.stdin != b"ADD" else ADD.replace("@", place.web.url("")).encode()
    ours, theirs = place.top / f"{name}.ours", place.top / f"{name}.theirs"
    store = ("--root", str(place.top / "store"))
    build(
        [sys.executable, "-m", "builder", "build", *store, *case.flags, "-o", f"type=oci,dest={ours}", context], given
    )
    build([DOCKER, "-H", place.docker.host, "build", "-q", *case.flags, "-t", name, context], given)
    place.docker.command("save", "-o", theirs, name)
    return flatten(ours), flatten(theirs)


@pytest.mark.parametrize("name", CASES)
def test_same_image(name: str, place: Place) -> None:
    ledger = Ledger((*load_listed(FIXTURES / "parity" / "differences.toml"), *DIFFERENCES))
    found = compare(*images(name, CASES[name], place), place.started)
    assert not ledger.unexplained("docker", name, found)
    expected = [entry for entry in DIFFERENCES if entry.case == name]
    assert all(any(entry.covers("docker", name, line) for line in found) for entry in expected), "not seen any more"
