"""``python -m tests.differential.remote --buildkit ADDRESS``: contexts, named contexts and sources of ADD that are
fetched over HTTP and by git from a server on loopback, through pybuild and a running BuildKit as new as the reference.
"""

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conftest import FIXTURES, REPOSITORY
from tests.differential.builders import BASE, CACHES_LIVE_S
from tests.differential.cases import Case
from tests.differential.judge import HUNG, Difference, Image, Judge, Outcome, compare, current_rules
from tests.integration.test_inputs import archive
from tests.support.buildkit import Buildkit
from tests.support.flatten import unfold
from tests.support.peers import run
from tests.support.webserver import Page, Repository, Web, web

ALL = "FROM scratch\nCOPY . /all/\nCOPY d /d\nCOPY --chown=7:8 own /own\n"
TREE = {"own": "o", ".dockerignore": "kept\n", "kept": "k", "d/": "", "d/f": "f", "d/g/": "", "d/g/h": "h"}
IMPLIED = {name: text for name, text in TREE.items() if not name.endswith("/")}
SEEN = "FROM base\nCOPY --from=n . /x/\nRUN --mount=from=n,target=/m cd /m && find . | sort > /seen\n"
EPOCH = "SOURCE_DATE_EPOCH=1700000000"
KEEP = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
TOKEN, HEADER = "T0K", "Bearer HH"
EXPLAINED = {
    r"\.git/(branches|description|hooks|info)\b": "of git's templates nothing is in a repository that is kept",
    r"\.git:content: 'gitdir: ": "the peer writes where its own cache was",
    r"\.git/index:content: ": "the index of a repository holds the times of this very checkout",
    r"\.git/(logs/)?refs/(tags|heads)/.*:presence: None != ": "the peer keeps refs that earlier builds have fetched",
    r"^dir:.*:mtime: 0 != now": "directories that an archive lacks are not dated by the clock (tests.integration)",
}
"""What differs and is meant to, by a pattern of the difference."""


class Fetched(NamedTuple):
    """A build as both are asked for it: ``flags`` and the words of ``context`` are pybuild's, ``options`` buildctl's.
    ``secret``: the Authorization that the server wants meanwhile."""

    name: str
    dockerfile: str
    flags: tuple[str, ...]
    options: tuple[str, ...]
    secret: str | None = None


class Site(NamedTuple):
    """What is on the server; directories of contexts are made in ``scratch``."""

    server: Web
    scratch: Path
    first: str
    second: str

    @property
    def git(self) -> str:
        return self.server.url("/git/r.git")

    def context(self, name: str, url: str, *flags: str, text: str = ALL, secret: str | None = None) -> Fetched:
        options = ("--opt", f"context={url}", *_options(flags))
        return Fetched(name, text, (*flags, url), options, secret)

    def directory(self, name: str, text: str, *flags: str, secret: str | None = None) -> Fetched:
        folder = self.scratch / name
        folder.mkdir()
        text = text.replace("@G", self.git).replace("@", self.server.url(""))
        (folder / "Dockerfile").write_text(text)
        (folder / "z").write_text("z")
        options = ("--local", f"context={folder}", "--local", f"dockerfile={folder}", *_options(flags))
        return Fetched(name, text, (*flags, str(folder)), options, secret)

    def named(self, name: str, url: str, text: str = SEEN, *flags: str) -> Fetched:
        return self.directory(name, text, f"--build-context=n={url}", *flags)


def _options(flags: Sequence[str]) -> Iterator[str]:
    names = {"--build-context": "context:{}", "--build-arg": "build-arg:{}", "--file": "filename={}"}
    for flag in flags:
        name, _, value = flag.partition("=")
        if name == "--secret":
            yield from (name, value)
        elif name == "--file" and value.startswith("/"):
            yield from ("--opt", "dockerfilekey=dockerfile", "--opt", f"filename={Path(value).name}")
            yield from ("--local", f"dockerfile={Path(value).parent}")
        else:
            yield from ("--opt", names[name].format(value))


def fill(server: Web, scratch: Path) -> Site:
    server.repositories = scratch / "served"
    repository = Repository(server.repositories, "r.git")
    files = {"Dockerfile": ALL, **IMPLIED, "sub/Dockerfile": ALL, "sub/own": "s", "sub/d/f": "f", "l": "->d"}
    files |= {"sub/.dockerignore": "own", "low/dockerfile": ALL, "low/own": "lo", "low/d/f": "x", "odd/Other": ALL}
    first = repository.commit({**files, "port": str(server.port)})  # no commit is one that the peer knows
    repository.git("tag", "-a", "-m", "m", "v1")
    for words in (("tag", "light"), ("branch", "side"), ("branch", "feature/x")):
        repository.git(*words)
    second = repository.commit({"own": "later"})
    for name, inner in (("outer", "r"), ("deep", "outer")):
        made = Repository(server.repositories, f"{name}.git")
        made.commit({"Dockerfile": "FROM scratch\nCOPY . /all/\n", "f": "f"})
        made.git("submodule", "--quiet", "add", server.url(f"/git/{inner}.git"), "mod/sub")
        made.commit({"g": "g"})
    dated = {"Last-Modified": "Sun, 13 Sep 2020 12:26:40 GMT", "ETag": '"1"'}
    tree = {"Dockerfile": ALL, "d/D": ALL, **TREE}
    server.pages |= {
        **{f"/c{suffix}": Page(archive(tree, mode=f"w{suffix}")) for suffix in ("", ":gz", ":bz2", ":xz")},
        "/implied": Page(archive({"Dockerfile": ALL, **IMPLIED})),
        "/low": Page(archive({"dockerfile": ALL, **TREE})),
        "/D": Page(b"FROM scratch\nCOPY context /\nLABEL a=b\n"),
        "/f": Page(b"data", dated),
        "/plain": Page(b"plain"),
        "/x.tar": Page(archive({"in": "i", "e/": "", "e/f": "g"}), dated),
        "/moved": Page(b"", {"Location": "/f"}, 302),
    }
    return Site(server, scratch, first, second)


def contexts(site: Site) -> Iterator[Fetched]:
    url, git = site.server.url, site.git
    for name in ("c", "c:gz", "c:bz2", "c:xz", "implied", "low", "D", "moved", "none"):
        yield site.context(f"http-{name.replace(':', '-')}", url(f"/{name}"))
    for name, file in (("in", "d/D"), ("missing", "d/No")):
        yield site.context(f"http-file-{name}", url("/c"), f"--file={file}")
    tails = (
        *(
            "",
            "#side",
            "#v1",
            "#light",
            "#feature/x",
            f"#{site.first}",
            f"#{site.first[:8]}",
            "#refs/heads/side",
            "#HEAD",
        ),
        *(
            "#heads/side",
            "#refs/tags/v1",
            "#:sub",
            "#main:sub",
            "#main:/sub/",
            "#main:sub/d",
            "#main:nowhere",
            "#main:l",
        ),
        *(
            "#main:own",
            "#main:../sub",
            "#nobranch",
            "?ref=side",
            "?branch=side",
            "?tag=v1",
            "?branch=v1",
            "?subdir=sub",
        ),
        *("?ref=side&subdir=sub", f"?commit={site.second}", f"?commit={site.first}", f"?tag=v1&checksum={site.first}"),
        *(f"?ref=side&commit={site.first[:7]}", f"?commit={site.first}&fetch-by-commit=true", "?keep-git-dir=true"),
        *(f"?commit={site.first[:9]}&fetch-by-commit=true", "?keep-git-dir=0", "?mtime=commit", "?mtime=checkout"),
        *(
            "?mtime=now",
            "?colour=red",
            "?ref=side#side",
            "?ref=side#main",
            "?ref=side&branch=main",
            "?ref=side&ref=side",
        ),
        *("?ref=", "?submodules=false", "#side:", "#side?subdir=sub", "#main:low"),
    )
    for number, tail in enumerate(tails):
        yield site.context(f"git-{number}{tail[:1]}", git + tail)
    for name, file in (("file", "sub/Dockerfile"), ("low", "low/Dockerfile"), ("other", "Other")):
        yield site.context(f"git-{name}", git + ("#main:odd" if name == "other" else ""), f"--file={file}")
    for value in ("1", "true", "True", "t", "0", "yes"):
        yield site.context(f"git-keep-{value}", git, f"--build-arg={KEEP}={value}")
    for query in ("", "?mtime=checkout"):
        yield site.context(f"git-epoch{query[:1]}", git + query, f"--build-arg={EPOCH}")
    own = site.scratch / "own"
    own.mkdir()
    (own / "Own").write_text("FROM scratch\nCOPY own /here\n")
    (own / "Own.dockerignore").write_text("own\n")
    for name, place in (("git", git), ("http", url("/c"))):
        yield site.context(f"{name}-absolute-file", place, f"--file={own}/Own")
    for number, tail in enumerate(("outer.git", "outer.git?submodules=false", "deep.git", "outer.git#main:mod")):
        yield site.context(f"modules-{number}", url(f"/git/{tail}"))


def named(site: Site) -> Iterator[Fetched]:
    url, git = site.server.url, site.git
    for number, path in enumerate(("/f", "/plain", "/x.tar", "/c:gz", "/moved", "/none", "/f?a=b", "/f/")):
        yield site.named(f"named-http-{number}", url(path))
    yield site.named("named-http-base", url("/x.tar"), "FROM n\nCOPY z /z\n")
    yield site.named("named-http-file", url("/f"), "FROM base\nCOPY --from=n context /a\nCOPY --from=n /context /b/\n")
    yield site.named("named-http-its-name", url("/f"), "FROM base\nCOPY --from=n f /a\n")
    tails = ("", "#side", "#main:sub", f"#{site.first}", "?ref=side&subdir=sub", "#nope")
    for number, tail in enumerate(tails):
        yield site.named(f"named-git-{number}", git + tail)
    yield site.named("named-git-base", git + "#main:sub", "FROM n\nCOPY z /z\n")
    yield site.named("named-git-below", git, "FROM base\nRUN --mount=from=n,source=sub/d,target=/m cat /m/f > /seen\n")
    kept = "FROM base\nCOPY --from=n .gi[t]/HEAD z* own /h/\n"
    yield site.named("named-git-kept", git + "?keep-git-dir=1", kept)
    yield site.named("named-git-not-kept", git, kept, f"--build-arg={KEEP}=1")
    yield site.named("named-git-epoch", git, "FROM base\nCOPY --from=n own /h/\n", f"--build-arg={EPOCH}")


def added(site: Site) -> Iterator[Fetched]:
    digest = hashlib.sha256(b"data").hexdigest()
    texts: Mapping[str, str] = {
        "url": "ADD @/f /a/\nADD @/f /b\nADD @/plain /c\nADD @/x.tar /d/\nADD @/f?x=1 /q/\nADD @/moved /r/",
        "url-unpack": "ADD --unpack=true @/x.tar /d/\nADD --unpack @/c:gz /e/\nADD --unpack=false @/x.tar /f/",
        "url-mode": "ADD --chmod=0644 @/f /a\nADD --chown=3:4 @/f /b\nADD --chmod=u=rw,go=r @/f /c",
        "url-sum": f"ARG S=sha256:{digest}\nADD --checksum=sha256:{digest} @/f /a\nADD --checksum=$S @/f /b",
        "url-sum-bad": f"ADD --checksum=sha256:{'0' * 64} @/f /a",
        "url-sum-of-two": f"ADD --checksum=sha256:{digest} @/f @/f /a/",
        "url-sum-local": f"ADD --checksum=sha256:{digest} z /a/",
        "url-none": "ADD @/none /a",
        "url-variable": "ARG H=@\nADD $H/f ${H}/plain /a/",
        "url-link": "ADD --link @/f /a/b/",
        "url-copy": "COPY @/f /a/b/",
        "url-and-file": "ADD @/f z /a/",
        **{
            f"git-{number}": f"ADD @G{tail} /a/"
            for number, tail in enumerate(
                ("", "#side", "#v1", "#main:sub", f"#{site.first}", "?ref=side&subdir=sub", "#nope", "?mtime=commit")
            )
        },
        "git-kept": "ADD --keep-git-dir=true @G#main /a",
        "git-kept-below": "ADD --keep-git-dir=true @G#main:sub /a",
        "git-sum": f"ADD --checksum={site.second} @G /a/\nADD --checksum={site.second[:6]} @G#main /b/",
        "git-sum-bad": f"ADD --checksum={site.first} @G#main /a/",
        "git-owner": "ADD --chown=3:4 --chmod=711 @G#side:sub /a/",
        "git-exclude": "ADD --exclude=d --exclude=l @G#side /a/",
        "git-link": "ADD --link @G#side:sub /a/",
        "git-several": "ADD @G#side @/git/outer.git z /a/",
        "git-modules": "ADD @/git/deep.git /a/\nADD @/git/deep.git?submodules=false /b/",
        "git-in-a-module": "ADD @/git/outer.git#main:mod/sub /c/",
    }
    for name, text in texts.items():
        yield site.directory(f"add-{name}", f"FROM scratch\n{text}\n")


def guarded(site: Site) -> Iterator[Fetched]:
    """By secrets of the build."""
    (site.scratch / "token").write_text(TOKEN)
    (site.scratch / "header").write_text(HEADER)
    basic = "basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    host, port = "127.0.0.1", site.server.port
    for number, (secret, name, file) in enumerate(
        (
            (basic, "GIT_AUTH_TOKEN", "token"),
            (basic, f"GIT_AUTH_TOKEN.{host}:{port}", "token"),
            (basic, f"GIT_AUTH_TOKEN.{host}", "token"),
            (HEADER, "GIT_AUTH_HEADER", "header"),
            (HEADER, "GIT_AUTH_HEADER.example.org", "header"),
            (f"Bearer {TOKEN}", f"HTTP_AUTH_TOKEN_{host}", "token"),
            (HEADER, f"HTTP_AUTH_HEADER_{host}", "header"),
            (HEADER, f"HTTP_AUTH_HEADER_{host}:{port}", "header"),
        )
    ):
        flag = f"--secret=id={name},src={site.scratch / file}"
        text = "FROM scratch\nADD @G#main:sub /a/\n" if name.startswith("GIT") else "FROM scratch\nADD @/f /a\n"
        yield site.directory(f"guarded-{number}", text, flag, secret=secret)


def outcome(build: Sequence[str] | None, peer: Buildkit, fetched: Fetched, file: Path) -> Outcome:
    """Of pybuild when there is a command to build with, else of the peer."""
    try:
        if build is None:
            peer.solve(file, *fetched.options)
        else:
            run(*build, "-o", f"type=oci,dest={file}", *fetched.flags, cwd=REPOSITORY)
        return Image(*unfold(file))
    except AssertionError as error:
        return str(error)
    except subprocess.TimeoutExpired as error:
        return f"{HUNG}: {error}"
    finally:
        file.unlink(missing_ok=True)


def unexplained(fetched: Fetched, outcomes: tuple[Outcome, Outcome], recent: int, judge: Judge) -> list[Difference]:
    case = Case(fetched.name, "written", fetched.dockerfile, "", fetched.flags)
    rulings = judge.judge(case, compare(*outcomes, recent))
    found = [ruling.difference for ruling in rulings if ruling.reason is None]
    return [one for one in found if not any(re.search(pattern, one.line) for pattern in EXPLAINED)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.differential.remote", description=__doc__)
    parser.add_argument("--buildkit", required=True, metavar="ADDRESS", help="a running BuildKit")
    parser.add_argument("--buildctl", default="buildctl", metavar="PATH", help="its client (%(default)s)")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this one; may be repeated")
    given = parser.parse_args(arguments)
    run(sys.executable, FIXTURES / "images" / "make.py", BASE)
    base = FIXTURES / "images" / "out" / BASE
    peer = Buildkit(given.buildctl, given.buildkit, base, "base")
    judge = Judge(current_rules())
    count = differing = 0
    with tempfile.TemporaryDirectory(prefix="differential-") as top, web() as server:
        scratch = Path(top)
        recent = int(time.time()) - CACHES_LIVE_S  # noqa: TID251 - of files that both make
        builder = (sys.executable, "-m", "builder")
        run(*builder, "load", "--root", scratch / "store", "-t", "base", "-i", base, cwd=REPOSITORY)
        build = (*builder, "build", "--root", str(scratch / "store"), "--progress", "plain", "--no-cache")
        site = fill(server, scratch)
        for fetched in (*contexts(site), *named(site), *added(site), *guarded(site)):
            if given.case and fetched.name not in given.case:
                continue
            server.secret = fetched.secret
            outcomes = tuple(outcome(command, peer, fetched, scratch / "image.tar") for command in (build, None))
            found = unexplained(fetched, (outcomes[0], outcomes[1]), recent, judge)
            count, differing = count + 1, differing + bool(found)
            if found:
                print(fetched.name, *fetched.flags, *(f"\n  {one.line[:300]}" for one in found[:8]), flush=True)
    print(f"{count} builds of what is fetched, {differing} with a difference that is not explained")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
