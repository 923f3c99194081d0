"""``RUN --network`` and ``--security`` from inside of the step."""

import json
from collections.abc import Iterator
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


INSECURE = """FROM busybox
RUN --security=insecure grep -h 'Cap[EB]\\|Seccomp:' /proc/self/status | tr -d '\\t '; echo; ls /dev; \
    touch /proc/sys/kernel/hostname && echo writable; mknod /null c 1 3 && echo x > /null && rm /null && echo opened; \
    mkdir /tmp/m && mount -t tmpfs none /tmp/m && umount /tmp/m && rmdir /tmp/m && echo mounted; \
    grep -c ' /sys/fs/cgroup/[^ ]* cgroup rw' /proc/mounts; grep -o ' /sys sysfs rw' /proc/mounts | tail -1
USER 7
RUN --security=insecure --network=none grep CapEff /proc/self/status; grep -c : /proc/net/dev
USER 0
RUN touch /proc/sys/kernel/hostname || mount -t tmpfs none /tmp || echo back in the sandbox
"""


def test_insecure(bench: Bench, tmp_path: Path) -> None:
    refused = attempt(bench, tmp_path, INSECURE)
    assert refused.code == 1 and "RUN --security=insecure is not allowed" in refused.stderr
    assert "--allow security.insecure" in refused.stderr
    found = output(bench, tmp_path, INSECURE, "--allow=security.insecure")
    own = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in own.splitlines() if line.startswith("CapEff"))
    assert f"CapEff:{effective}\n" in found and f"CapBnd:{effective}\n" in found and "Seccomp:0\n" in found
    assert {"kmsg", "null", "ptmx"} <= set(found.split())
    for text in ("writable\n", "opened\n", "mounted\n", " /sys sysfs rw\n", "back in the sandbox\n"):
        assert text in found, found
    assert "CapEff:\t0000000000000000\n1\n" in found


@pytest.fixture
def device() -> Iterator[str]:
    """A device that is /dev/zero by another name."""
    folder = Path("/var/run/cdi")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pybuild-test.json"
    node = {"path": "/dev/nothing", "hostPath": "/dev/zero"}
    edits = {
        "env": ["FOUND=it"],
        "deviceNodes": [node],
        "mounts": [{"hostPath": "/etc/hostname", "containerPath": "/h"}],
    }
    document = {"kind": "pybuild.test/zero", "devices": [{"name": "a", "containerEdits": edits}]}
    path.write_text(json.dumps(document))
    yield "pybuild.test/zero=a"
    path.unlink()
    if made:
        folder.rmdir()


def test_devices(bench: Bench, tmp_path: Path, device: str) -> None:
    text = f"""FROM busybox
RUN --device={device} --device=pybuild.test/none head -c 3 /dev/nothing | wc -c; \
    echo $FOUND; cmp /h /etc/hostname; ls /h
RUN ls /dev/nothing /h; echo ${{FOUND-gone}}
"""
    refused = attempt(bench, tmp_path, text)
    assert refused.code == 1 and f"--allow device={device}" in refused.stderr
    found = output(bench, tmp_path, text, f"--allow=device={device}")
    assert found.startswith("3\nit\n") and "\n/h\n" in found and found.endswith("gone\n")
    assert "ls: /dev/nothing: No such file" in found and "ls: /h: No such file" in found
