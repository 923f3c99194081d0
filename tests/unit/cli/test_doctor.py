"""Each check's texts, on facts that are made up; what the gatherer reads off files."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.cli import doctor_facts
from builder.cli.doctor import lines
from builder.cli.doctor_checks import (
    OK,
    PROBLEM,
    WARNING,
    Facts,
    Finding,
    Ids,
    Place,
    Programs,
    judge,
)

GOOD = Facts(
    system="Linux",
    machine="x86_64",
    release="6.1.0-13-amd64",
    oldest=(5, 12),
    user="root",
    uid=0,
    refusal=None,
    notice=None,
    start=None,
    ids=Ids(),
    container="",
    seccomp=False,
    apparmor="unconfined",
    place=Place("/var/lib/pybuild", True, "ext4", 50 << 30, 1_000_000, None),
    programs=Programs(),
    docker_config=None,
    registries=None,
    authorities="/etc/ssl/ca.pem",
    now=1_800_000_000.0,
)
ANN = replace(GOOD, user="ann", uid=1000, ids=Ids(65536, 65536, ("newuidmap", "newgidmap")))
REFUSED = ("this process lacks CAP_SYS_ADMIN", "run pybuild as root")


def found(facts: Facts, check: str) -> Finding:
    (finding,) = [finding for finding in judge(facts) if finding.check == check]
    return finding


def place(**fields: Any) -> Place:
    return GOOD.place._replace(**fields)


@pytest.mark.parametrize("facts", [GOOD, ANN, replace(GOOD, container="docker", seccomp=True)])
def test_nothing_is_missing(facts: Facts) -> None:
    findings = judge(facts)
    assert all(finding.status == OK and not finding.command for finding in findings)
    assert lines(findings)[-1] == "builds can run here"


@pytest.mark.parametrize(
    ("facts", "check", "status", "message", "command"),
    [
        (replace(GOOD, release="5.11.22"), "kernel", PROBLEM, "Linux 5.11.22 is older than 5.12", "newer kernel"),
        (replace(GOOD, machine="riscv64"), "kernel", PROBLEM, "this is Linux on riscv64", "x86-64 or arm64"),
        (replace(GOOD, refusal=REFUSED), "privileges", PROBLEM, "root: this process lacks", "run pybuild as root"),
        (
            replace(GOOD, refusal=REFUSED, container="docker"),
            "privileges",
            PROBLEM,
            "root in docker, but this process lacks CAP_SYS_ADMIN",
            "docker run --privileged",
        ),
        (
            replace(ANN, refusal=("user namespaces are turned off", "sudo sysctl -w x=1")),
            "privileges",
            PROBLEM,
            "user ann: user namespaces are turned off",
            "sudo sysctl -w x=1",
        ),
        (
            replace(ANN, ids=Ids(65536, 65536, ("newuidmap",))),
            "subordinate ids",
            WARNING,
            "without newgidmap every file of an image belongs to one user",
            "sudo apt-get install uidmap",
        ),
        (
            replace(ANN, ids=ANN.ids._replace(uids=0, free=165536)),
            "subordinate ids",
            WARNING,
            "none: every file",
            "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann",
        ),
        (
            replace(ANN, ids=ANN.ids._replace(gids=1000)),
            "subordinate ids",
            WARNING,
            "65536 in /etc/subuid and 1000 in /etc/subgid",
            "usermod",
        ),
        (
            replace(GOOD, container="docker", seccomp=True, apparmor="docker-default", refusal=REFUSED),
            "container",
            PROBLEM,
            "docker, with a seccomp filter and AppArmor's docker-default",
            "--security-opt seccomp=unconfined",
        ),
        (
            replace(GOOD, place=place(filesystem="overlay", overlay="Invalid argument")),
            "store",
            PROBLEM,
            "lies on the container's own overlay",
            "docker run -v pybuild:/var/lib/pybuild",
        ),
        (
            replace(GOOD, place=place(filesystem="nfs4", overlay="Invalid argument")),
            "store",
            PROBLEM,
            "no overlay can be mounted on /var/lib/pybuild (nfs4): Invalid argument",
            "--root DIRECTORY on another file system",
        ),
        (
            replace(GOOD, container="docker", seccomp=True, place=place(overlay="Operation not permitted")),
            "store",
            PROBLEM,
            "Operation not permitted",
            "--privileged",
        ),
        (
            replace(GOOD, start=("mount proc on /proc: Operation not permitted", "unmask it")),
            "RUN",
            PROBLEM,
            "no command can be started: mount proc on /proc",
            "unmask it",
        ),
        (
            replace(GOOD, refusal=("no right", "run the container with --cap-add X"), container="docker"),
            "privileges",
            PROBLEM,
            "root in docker, but no right",
            "--cap-add X",
        ),
        (replace(ANN, notice=("a single id", "--cap-add")), "subordinate ids", WARNING, "a single id", "--cap-add"),
        (replace(GOOD, notice=("a single id", "--cap-add")), "subordinate ids", WARNING, "a single id", "--cap-add"),
        (replace(ANN, place=place(writable=False)), "store", PROBLEM, "cannot be written by ann", "--root"),
        (replace(GOOD, place=place(free=2 << 30)), "disk space", WARNING, "2.0 GiB free", "pybuild prune --all"),
        (replace(GOOD, place=place(free=1 << 20)), "disk space", PROBLEM, "0.0 GiB free", "pybuild prune --all"),
        (replace(GOOD, place=place(inodes=100)), "disk space", WARNING, "only 100 inodes", "prune"),
        (
            replace(GOOD, programs=Programs((("zlib_ng", "no such file"),))),
            "Python packages",
            PROBLEM,
            "zlib_ng: no such file",
            "pip install --force-reinstall zlib-ng",
        ),
        (
            replace(GOOD, docker_config="/x/config.json is not a JSON object"),
            "credentials",
            WARNING,
            "/x/config.json is not a JSON object",
            "DOCKER_CONFIG",
        ),
        (
            replace(GOOD, programs=Programs(helpers=("pass", "ecr-login"))),
            "credentials",
            WARNING,
            "docker-credential-pass, docker-credential-ecr-login",
            "install them",
        ),
        (replace(GOOD, registries="cannot read x"), "registries", WARNING, "cannot read x", "correct the file"),
        (replace(GOOD, authorities=""), "registries", WARNING, "no file of trusted", "install ca-certificates"),
        (replace(GOOD, now=0.0), "clock", WARNING, "before 2026", "timedatectl"),
    ],
)
def test_what_is_missing(facts: Facts, check: str, status: str, message: str, command: str) -> None:
    finding = found(facts, check)
    assert finding.status == status
    assert message in finding.message
    assert command in finding.command
    shown = "\n".join(lines(judge(facts)))
    assert f"-> {finding.command}" in shown
    assert shown.endswith("builds cannot run here" if status == PROBLEM else "builds can run here")


def test_roots_subordinate_ids_do_not_matter() -> None:
    assert "subordinate ids" not in {finding.check for finding in judge(GOOD)}


def test_helpers_are_looked_for_on_path(tmp_path: Path) -> None:
    there = tmp_path / "docker-credential-there"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    config = {"credsStore": "gone", "credHelpers": {"a": "there", "b": "gone", "c": 3}}
    assert doctor_facts._missing_helpers(config, {"PATH": str(tmp_path)}) == ("gone",)
    assert doctor_facts._missing_helpers({}, {}) == ()


def test_settings_that_name_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[registry."r.example"]\nca = ["gone.crt"]\n')
    environ = {"PYBUILD_CONFIG": str(tmp_path / "config.toml"), "HOME": str(tmp_path)}
    assert "the settings of r.example name" in (doctor_facts._registries(environ) or "")
    (tmp_path / "config.toml").write_text("[[[")
    assert "cannot read" in (doctor_facts._registries(environ) or "")


def test_the_file_system_of_a_directory() -> None:
    df = subprocess.run(["df", "--output=fstype", "/proc"], check=True, capture_output=True, text=True, timeout=60)
    assert df.stdout.split()[-1] == doctor_facts._filesystem(Path("/proc"))
