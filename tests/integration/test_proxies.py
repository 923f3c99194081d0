"""Proxies in the environment of RUN: where they come from, and that nothing of them stays in the image."""

import json
from pathlib import Path

import pytest

from tests.support.builds import Bench, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

DOCKERFILE = "FROM busybox\nRUN env | grep -i _proxy | sort > /seen\nRUN cat /seen\n"


def seen(bench: Bench, context: Path, *flags: str, env: dict[str, str]) -> list[str]:
    out = context.parent / "out"
    bench.build("--no-cache", "-o", f"type=local,dest={out}", *flags, context, env=env)
    return (out / "seen").read_text().split()


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "context", {"Dockerfile": DOCKERFILE})


@pytest.fixture
def config(tmp_path: Path) -> str:
    text = json.dumps({"proxies": {"default": {"httpProxy": "http://config:1"}, "tcp://h:1": {"noProxy": "far"}}})
    write_tree(tmp_path / "docker", {"config.json": text})
    return str(tmp_path / "docker")


def test_of_the_environment(bench: Bench, context: Path) -> None:
    env = {"http_proxy": "http://env:1", "NO_PROXY": "near"}
    expected = ["HTTP_PROXY=http://env:1", "NO_PROXY=near", "http_proxy=http://env:1", "no_proxy=near"]
    assert seen(bench, context, env=env) == expected
    assert seen(bench, context, "--build-arg", "NO_PROXY=", env=env) == expected[::2]


def test_of_docker(bench: Bench, context: Path, config: str) -> None:
    env = {"DOCKER_CONFIG": config, "HTTP_PROXY": "http://env:1"}
    assert seen(bench, context, env=env) == ["HTTP_PROXY=http://config:1", "http_proxy=http://config:1"]
    given = seen(bench, context, "--build-arg", "http_proxy=http://given:1", env=env)
    assert given == ["HTTP_PROXY=http://given:1", "http_proxy=http://given:1"]
    daemon = seen(bench, context, env={"DOCKER_CONFIG": config, "DOCKER_HOST": "tcp://h:1"})
    assert daemon == ["NO_PROXY=far", "no_proxy=far"]


def test_they_are_no_part_of_keys_and_image(bench: Bench, context: Path, config: str) -> None:
    first = bench.build("-t", "app", context, env={"DOCKER_CONFIG": config})
    second = bench.build("-t", "app", context, env={"HTTP_PROXY": "http://user:word@env:1"})
    assert first.executed()
    assert not second.executed()
    assert "_PROXY" not in bench.pybuild("inspect", "app").upper()


def test_one_that_is_declared_is(bench: Bench, context: Path, config: str) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nARG HTTP_PROXY\nRUN true\n")
    bench.build("-t", "app", context, env={"DOCKER_CONFIG": config})
    assert "ARG HTTP_PROXY=http://config:1" in bench.pybuild("history", "--no-trunc", "app")
