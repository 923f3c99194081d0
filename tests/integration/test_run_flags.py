"""``RUN --network`` and ``--security`` from inside of the step."""

from pathlib import Path

import pytest

from tests.support.builds import Bench, Built, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


def attempt(bench: Bench, context: Path, text: str, *arguments: str) -> Built:
    return bench.attempt(write_tree(context, {"Dockerfile": text}), *arguments)


def output(bench: Bench, context: Path, text: str, *arguments: str) -> str:
    built = attempt(bench, context, text, *arguments)
    assert built.code == 0, built.stderr
    return "".join(str(event["data"]) for event in built.of("step-output"))


DEVICES = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ls /sys/class/net; ls /sys/fs/cgroup | wc -l"


def test_no_network(bench: Bench, tmp_path: Path) -> None:
    text = f"""FROM busybox
RUN --network=none {DEVICES}; ping -c1 -W2 127.0.0.1 | grep -c '1 packets received'; \
    touch /sys/x; touch /sys/firmware/x; hostname
RUN ls /sys/fs/cgroup | wc -l
"""
    found = output(bench, tmp_path, text.replace("hostname", "hostname; true"))
    lines = found.splitlines()
    assert lines[:2] == ["lo", "lo"] and lines[3] == "1"
    assert lines[2] == lines[-1], "the same cgroups are seen"
    assert found.count("Read-only file system") == 2


def test_no_network_for_the_build(bench: Bench, tmp_path: Path) -> None:
    text = f"FROM busybox\nRUN {DEVICES}\n"
    assert output(bench, tmp_path, text, "--network=none").startswith("lo\nlo\n")
    assert "lo\n" in output(bench, tmp_path, text), "and the host's for the next one: it is in the key"


def test_the_hosts_network(bench: Bench, tmp_path: Path) -> None:
    text = f"FROM busybox\nRUN --network=host {DEVICES}\n"
    refused = attempt(bench, tmp_path, text)
    assert refused.code == 1 and "RUN --network=host is not allowed" in refused.stderr
    assert "--allow network.host" in refused.stderr
    assert "lo\n" in output(bench, tmp_path, text, "--allow", "network.host")
    assert attempt(bench, tmp_path, text, "--network=host").outcomes() == {f"RUN --network=host {DEVICES}": "recipe"}
