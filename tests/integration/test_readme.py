"""README's main command and its examples for CI do what they say, as far as that can be seen on one machine."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import FIXTURES, REPOSITORY
from tests.support.builds import Bench, write_tree
from tests.support.certificates import Authority
from tests.support.peers import run
from tests.support.processes import settle
from tests.support.readme import blocks, commands, expressions
from tests.support.registries import PASSWORD, USER, free_port
from tests.support.sites import Site, private_site
from tests.support.users import ordinary_user

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("docker-registry", "skopeo", "busybox")]
_TIMEOUT_S = 300
INSTALL = """\
#!/bin/sh
test "$1 $2" = "install $PYBUILD" && ln {bin}/pybuild.uninstalled {bin}/pybuild
"""


class Machine(NamedTuple):
    """Where an example runs: in ``work``, as somebody who trusts the registry, with pybuild still to be installed."""

    site: Site
    prefix: list[str]
    env: Mapping[str, str]

    @property
    def work(self) -> Path:
        return self.site.home / "work"

    def shell(self, script: str, *flags: str, **variables: str) -> str:
        """Variables that are not there are errors."""
        done = subprocess.run(
            [*self.prefix, "bash", "--norc", "-eu", *flags, "-c", f"cd {self.work}\n{script}"],
            env={**self.env, **variables},
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def has(self, name: str) -> str:
        """The digest of what the registry has under a name."""
        known = ("--cert-dir", self.site.certificates, "--creds", f"{USER}:{PASSWORD}")
        return run("skopeo", "inspect", *known, "--format", "{{.Digest}}", f"docker://{name}").strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With the base of the examples' application."""
    directory = tmp_path_factory.mktemp("site")
    with private_site(directory, Authority(tmp_path_factory.mktemp("authority"))) as found:
        assert found.trust().login().returncode == 0
        bench = Bench(directory / "store")
        bench.load("busybox", f"{found.host}/team/base:1")
        bench.pybuild("push", f"{found.host}/team/base:1", env=found.env)
        settle(bench.store)
        yield found


@pytest.fixture
def machine(site: Site, tmp_path: Path) -> Iterator[Machine]:
    """Root's."""
    with machine_of(site, tmp_path / "home", [], dict(os.environ)) as found:
        yield found
    settle(tmp_path / "home" / "store")


@pytest.fixture
def runner(site: Site) -> Iterator[Machine]:
    """An ordinary user's, with subordinate ids."""
    with ordinary_user(subordinate=True) as user:
        with machine_of(site, user.home, user.prefix(), user.environment()) as found:
            run("chown", "-R", f"{user.name}:", user.home)
            yield found
        settle(user.home / "store")
        bench = [*user.prefix(), sys.executable, "-m", "builder", "prune", "--all", "--root", str(user.home / "store")]
        run(*bench, env=user.environment(), cwd=REPOSITORY)


@contextmanager
def machine_of(
    site: Site, home: Path, prefix: list[str], env: dict[str, str], *, trusts: bool = True
) -> Iterator[Machine]:
    there = site._replace(home=home)
    if trusts:
        there.trust()
    base = f"{site.host}/team/base:1"
    write_tree(home / "work", {"Dockerfile": f"FROM {base}\nCOPY file /\nRUN cat /file > /made\n", "file": "of work"})
    pybuild = f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -P -m builder "$@"\n'
    install = INSTALL.format(bin=home / "bin")
    sudo = f'#!/bin/sh\necho "$@" >> {home}/sudo\n'
    programs = {"pybuild.uninstalled": pybuild, "pip": install, "pipx": install, "sudo": sudo}
    for program in write_tree(home / "bin", programs).iterdir():
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    env |= {**there.env, "PATH": f"{home}/bin:{os.environ['PATH']}", "PYBUILD_ROOT": str(home / "store")}
    yield Machine(there, prefix, env)


def example(language: str, word: str) -> str:
    (found,) = [one.text for one in blocks() if (one.section, one.language) == ("In CI", language) and word in one.text]
    return found


def test_shell(machine: Machine) -> None:
    (machine.site.home / "bin" / "pybuild.uninstalled").rename(machine.site.home / "bin" / "pybuild")
    host = machine.site.host
    variables = {"REGISTRY": host, "REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD, "VERSION": "1.2"}
    said = machine.shell(example("sh", "$VERSION"), **variables)
    digest = (machine.work / "digest").read_text()
    assert f"to deploy: {host}/team/app@{digest}\n" in said
    assert machine.has(f"{host}/team/app:1.2") == machine.has(f"{host}/team/app:latest") == digest
    assert not json.loads(machine.site.credentials.read_text()).get("auths")


@pytest.mark.needs_tool("newuidmap", "useradd")
def test_github(runner: Machine) -> None:
    """Each step is a shell of its own (``bash -e -o pipefail``), on the variables of ``env`` and of GitHub."""
    text, host = example("yaml", "actions/checkout"), runner.site.host
    variables = {"REGISTRY": host, "REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD, "PYBUILD": "/somewhere"}
    assert set(expressions(text)) == set(variables)
    output = runner.site.home / "output"
    variables |= {"GITHUB_REPOSITORY": "team/repository", "GITHUB_SHA": "0" * 40, "GITHUB_REF_NAME": "main"}
    for command in commands(text):
        runner.shell(command, "-o", "pipefail", GITHUB_OUTPUT=str(output), **variables)
    name = f"{host}/team/repository"
    digest = (runner.work / "digest").read_text()
    assert output.read_text() == f"image={name}@{digest}\n"
    assert runner.has(f"{name}:main") == runner.has(f"{name}:{'0' * 40}") == digest
    assert (runner.site.home / "sudo").read_text() == "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0\n"


def test_gitlab(machine: Machine) -> None:
    """One shell for all lines."""
    host = machine.site.host
    script = "\n".join(commands(example("yaml", "script:")))
    variables = {"CI_REGISTRY": host, "CI_REGISTRY_USER": USER, "CI_REGISTRY_PASSWORD": PASSWORD}
    variables |= {"CI_REGISTRY_IMAGE": f"{host}/group/project", "CI_COMMIT_SHORT_SHA": "01234567", "PYBUILD": "/there"}
    machine.shell(script, "-o", "pipefail", **variables)
    digest = (machine.work / "digest").read_text()
    assert machine.has(f"{host}/group/project:01234567") == machine.has(f"{host}/group/project:latest") == digest
    assert not json.loads(machine.site.credentials.read_text()).get("auths")


def test_registry_by_hand(tmp_path: Path) -> None:
    """What fixtures/registry.sh ends with; the commands it prints are run as they are."""
    serve = (sys.executable, "-m", "tests.support.serve", str(tmp_path / "registry"), str(free_port()))
    with subprocess.Popen(serve, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        *printed, last = [process.stdout.readline() for _ in range(3)]
        host = last.removeprefix("listening on ").strip()
        site = Site(host, tmp_path / "home", tmp_path / "registry" / "ca.crt")
        with machine_of(site, tmp_path / "home", [], dict(os.environ), trusts=False) as machine:
            (site.home / "bin" / "pybuild.uninstalled").rename(site.home / "bin" / "pybuild")
            assert "Login succeeded" in machine.shell("".join(printed), XDG_CONFIG_HOME=str(site.home / ".config"))
        process.terminate()
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.needs_tool("mmdebstrap")
def test_quick_start(tmp_path: Path) -> None:
    """In a copy of this checkout whose .venv runs what is installed here; the base is made only if it is not there."""
    (command,) = [
        one.text for one in blocks() if (one.section, one.language) == ("Quick start", "sh") and "quick" in one.text
    ]
    copy = tmp_path / "copy"
    for folder in ("builder", "registry", "layers", "fixtures"):
        shutil.copytree(
            REPOSITORY / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "out", ".host")
        )
    run(sys.executable, FIXTURES / "images" / "make.py", "debian")
    (copy / "fixtures" / "images" / "out").symlink_to(FIXTURES / "images" / "out")
    programs = {"python": f'exec {sys.executable} "$@"', "pybuild": f'exec {sys.executable} -m builder "$@"'}
    for name, line in programs.items():
        program = write_tree(copy / ".venv" / "bin", {name: f"#!/bin/sh\n{line}\n"}) / name
        program.chmod(0o755)
    said = run("sh", "-euc", command, cwd=copy, env={"PYTHONPATH": str(copy)})
    (shown,) = [one.text for one in blocks() if (one.section, one.language) == ("Quick start", "text")]
    assert said.splitlines()[-1] == shown.splitlines()[-1] == "Hello, reader, from a static C program."
    for line in ("hello       1.0", "debian      bookworm", "COPY /hello /hello # buildkit"):
        assert line in said and line in shown
    settle(copy / "out" / "store")
    shutil.rmtree(copy)
