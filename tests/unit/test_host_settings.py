"""fixtures/apps/host_settings.py, run as a program on machines that are set to this and that."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import FIXTURES

APPS = FIXTURES / "apps"


class Given(NamedTuple):
    """What a build stage gets, and what the program said."""

    pip: list[str]
    npm: list[str]
    authorities: bool
    said: str


def given(directory: Path, npm: dict[str, Any] | None = None, **pip: str) -> Given:
    """``npm``: what ``npm config list --json`` prints; None for a machine without npm. ``pip``: its environment."""
    apps = directory / "apps"
    (apps / "node").mkdir(parents=True)
    shutil.copy(APPS / "host_settings.py", apps)
    tools = directory / "bin"
    tools.mkdir()
    if npm is not None:
        (tools / "npm").write_text(f"#!/bin/sh\nexec /bin/cat {directory}/npm.json\n")
        (tools / "npm").chmod(0o755)
        (directory / "npm.json").write_text(json.dumps(npm))
    done = subprocess.run(
        [sys.executable, apps / "host_settings.py", "node"],
        env={"PATH": str(tools), "HOME": str(directory), "PIP_CONFIG_FILE": "/dev/null", **pip},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    host = apps / "node" / ".host"
    pip_lines, npm_lines = ((host / name).read_text().splitlines() for name in ("pip.conf", "npmrc"))
    authorities = (host / "ca.crt").exists()
    assert (pip_lines[-1] == "cert = /host/ca.crt") == authorities
    assert (npm_lines[-1:] == ["cafile = /host/ca.crt"]) == authorities
    assert pip_lines[0] == "[global]"
    kept = slice(None, -1 if authorities else None)
    return Given(pip_lines[1:][kept], npm_lines[kept], authorities, done.stderr)


def test_a_machine_without_settings(tmp_path: Path) -> None:
    found = given(tmp_path)
    assert (found.pip, found.npm, found.said) == ([], [], "")


def test_a_machine_with_mirrors(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("authorities")
    npm = {"registry": "https://npm.example/", "noproxy": [""], "proxy": None, "strict-ssl": True, "cache": "/c"}
    index = {"PIP_INDEX_URL": "https://pypi.example/simple", "PIP_FIND_LINKS": "/wheels", "PIP_CERT": str(bundle)}
    found = given(tmp_path, npm, PIP_EXTRA_INDEX_URL="file:///a https://more.example/simple", **index)
    assert found.pip == ["index-url = https://pypi.example/simple", "extra-index-url = https://more.example/simple"]
    assert found.npm == ["registry = https://npm.example/", "strict-ssl = true"]
    assert (tmp_path / "apps" / "node" / ".host" / "ca.crt").read_text() == "authorities"
    assert found.said == ""


def test_passwords_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    found = given(tmp_path, {"proxy": "http://me:s3cret@proxy.example"}, PIP_INDEX_URL="https://me:s3cret@pypi.example")
    assert (found.pip, found.npm) == ([], [])
    assert found.said.splitlines() == [
        f"{name} is left out: there is a password in it" for name in ("index-url", "proxy")
    ]


def test_locks_name_no_host() -> None:
    """Each package by its digest, from wherever a machine takes its packages."""
    lock = json.loads((APPS / "node" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
    requirements = re.sub(r"\\\n\s*", "", (APPS / "flask" / "requirements.txt").read_text()).splitlines()
    assert all(re.fullmatch(r"#.*|\w+==[\d.]+( --hash=sha256:[0-9a-f]{64})+", line) for line in requirements)


@pytest.mark.parametrize("app", ["flask", "node"])
def test_only_build_stages_copy_settings(app: str) -> None:
    stages = re.split(r"^FROM ", (APPS / app / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    assert [stage.partition("\n")[0].rpartition(" AS ")[2] for stage in stages if ".host" in stage] == ["build"]
