"""What keeps somebody from a registry, with Debian's docker-registry: one message each, before the first step runs."""

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.builds import Bench, write_tree
from tests.support.certificates import Authority, Pair
from tests.support.processes import settle
from tests.support.registries import PASSWORD, USER, docker_registry
from tests.support.sites import Site
from tests.support.tokenservice import ISSUER, SERVICE, Account, token_service

pytestmark = [pytest.mark.needs_tool("docker-registry", "busybox")]

ACCOUNTS = {
    USER: Account(PASSWORD, frozenset({"pull", "push"})),
    "reader": Account(PASSWORD, frozenset({"pull"})),
    "stranger": Account(PASSWORD, frozenset()),
}


class Town(NamedTuple):
    """A registry whose tokens come from a service of its own, with ``team/base:1`` in it; and a store with busybox."""

    site: Site
    bench: Bench
    pair: Pair

    def be(self, user: str, password: str = PASSWORD) -> None:
        """Nobody if ``user`` is empty."""
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        entries = {self.site.host: {"auth": secret}} if user else {}
        self.site.credentials.write_text(json.dumps({"auths": entries}))

    def told(self, *words: str | Path) -> str:
        """What a command that fails says, all of it."""
        bench = self.bench
        done = subprocess.run(
            bench.command(*words), env=bench.environment(self.site.env), check=False, capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr.replace(self.site.host, "HOST")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    directory = tmp_path_factory.mktemp("town")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    pair = authority.issue()
    bench = Bench(directory / "store")
    bench.load("busybox", "busybox")
    with token_service(pair, ACCOUNTS) as realm:
        tokens = {"realm": realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(authority.ca)}
        with docker_registry(directory / "registry", pair, more={"auth": {"token": tokens}}) as host:
            found = Town(Site(host, directory / "home", authority.ca).trust(), bench, pair)
            found.be(USER)
            base = f"{host}/team/base:1"
            bench.pybuild("tag", "busybox", base)
            bench.pybuild("push", base, env=found.site.env)
            yield found
    settle(bench.store)


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_tree(tmp_path, {"Dockerfile": "FROM busybox\nRUN echo never > /made\n"})


DENIED = """\
error: no permission to push to HOST/team/app: "authentication required"
hint: ask its owner for the right to push to it, or log in as another user: 'pybuild login HOST'
"""
WRONG = """\
error: HOST does not accept the password of user 'reader': "incorrect password"
hint: run 'pybuild login HOST' with the right password
"""
NOBODY = """\
error: HOST wants to know who you are
hint: check the name; if the repository is private, run 'pybuild login HOST'
"""


@pytest.mark.parametrize(
    ("user", "password", "message"),
    [("reader", PASSWORD, DENIED), ("stranger", PASSWORD, DENIED), ("reader", "wrong", WRONG), ("", "", NOBODY)],
)
def test_who_may_not_push(user: str, password: str, message: str, town: Town, context: Path) -> None:
    """Nothing but the message is shown: no step has begun."""
    town.be(user, password)
    app = f"{town.site.host}/team/app:1"
    assert town.told("build", "--push", "-t", app, context) == message
    town.bench.pybuild("tag", "busybox", app)
    assert town.told("push", app) == message


def test_who_may_not_pull(town: Town, context: Path) -> None:
    base = f"{town.site.host}/team/base:1"
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN echo never > /made\n")
    town.be("stranger")
    denied = "no permission to pull HOST/team/base"
    hint = "hint: ask its owner for the right to pull it, or log in as another user: 'pybuild login HOST'\n"
    assert town.told("pull", base) == f'error: {denied}: "authentication required"\n{hint}'
    assert town.told("build", "--pull", context).endswith(f": {denied}\n{hint}")  # a HEAD has no more to say
    town.be("reader")
    town.bench.pybuild("pull", base, env=town.site.env)


def test_names_that_are_not_there(town: Town, context: Path) -> None:
    town.be(USER)
    message = "hint: check the spelling of the name and the tag, and that it was pushed\n"
    for name in ("team/base:2", "team/none:1"):
        repository, _, tag = name.partition(":")
        (context / "Dockerfile").write_text(f"FROM {town.site.host}/{name}\nRUN echo never > /made\n")
        expected = f"HOST/{repository} has no tag {tag}\n{message}"
        assert town.told("pull", f"{town.site.host}/{name}") == f"error: {expected}"
        assert town.told("build", context).endswith(f"\nerror: HOST/{name}: {expected}")


def test_an_unknown_authority(town: Town, context: Path, tmp_path: Path) -> None:
    """Somebody else's home: the registry's authority is not known there."""
    away = town._replace(site=town.site._replace(home=tmp_path / "home"))
    away.site.home.mkdir()
    app = f"{town.site.host}/team/app:1"
    said = away.site.login().stderr.replace(town.site.host, "HOST")
    for told in (said, away.told("pull", app), away.told("build", "--push", "-t", app, context)):
        assert told.startswith("error: the certificate of HOST is not trusted: ")
        assert "/certs.d/HOST/ca.crt" in told


def test_a_registry_that_takes_no_pushes(town: Town, context: Path, tmp_path: Path) -> None:
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "data")}, "maintenance": {"readonly": {"enabled": True}}}
    with docker_registry(tmp_path / "registry", town.pair, more={"storage": storage}) as host:
        closed = town._replace(site=Site(host, tmp_path / "home", town.site.ca).trust())
        closed.be(USER)
        assert closed.told("build", "--push", "-t", f"{host}/team/app:1", context) == (
            "error: HOST answered 405 to the request to push to team/app\n"
            "hint: it takes no pushes: it may be read-only for now, or a mirror; push to another registry\n"
        )
