"""Devices by name: which are meant, whether they are allowed, and what they bring."""

import json
from pathlib import Path
from typing import Any

import pytest

from builder.errors import BuildError, Span
from builder.grants import Grants
from builder.plan.mounts import Device
from builder.sandbox.spec import HostMount
from builder.solve.devices import Edits, edits

SPAN = Span("Dockerfile", 2, 2)
ALL = Grants(allowed=("device",))
SPEC: dict[str, Any] = {
    "cdiVersion": "0.6.0",
    "kind": "vendor.com/gpu",
    "containerEdits": {"env": ["VENDOR=1"]},
    "devices": [
        {
            "name": "0",
            "containerEdits": {"env": ["GPU=0"], "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}]},
        },
        {
            "name": "1",
            "annotations": {"org.mobyproject.buildkit.device.class": "fast"},
            "containerEdits": {
                "env": ["GPU=1"],
                "mounts": [
                    {"hostPath": "/etc", "containerPath": "/opt/etc", "options": ["ro", "rbind"]},
                    {"hostPath": "/etc/passwd", "containerPath": "/opt/passwd"},
                ],
            },
        },
    ],
}
FREE = {
    "kind": "vendor.com/free",
    "devices": [{"name": "a", "annotations": {"org.mobyproject.buildkit.device.autoallow": "true"}}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gpu.json").write_text(json.dumps(SPEC))
    (tmp_path / "free.json").write_text(json.dumps(FREE))
    return tmp_path


def found(folder: Path, name: str, *, required: bool = False, grants: Grants = ALL) -> Edits:
    return edits((Device(name, required),), grants, SPAN, (str(folder), str(folder / "none")))


@pytest.mark.parametrize(
    ("name", "gpus"),
    [
        ("vendor.com/gpu=0", ["0"]),
        ("vendor.com/gpu", ["0"]),
        ("vendor.com/gpu=fast", ["1"]),
        ("vendor.com/gpu=*", ["1"]),
        ("vendor.com/gpu=9", []),
        ("other.com/gpu=0", []),
    ],
)
def test_names(name: str, gpus: list[str], folder: Path) -> None:
    env = dict(found(folder, name).env)
    assert [env[key] for key in ("GPU",) if key in env] == gpus
    assert ("VENDOR" in env) == bool(gpus)


def test_nodes_and_mounts(folder: Path) -> None:
    assert found(folder, "vendor.com/gpu=*").mounts == (
        HostMount("/dev/gpu0", "/dev/null", directory=False, read_only=False, devices=True),
        HostMount("/opt/etc", "/etc", directory=True, read_only=True),
        HostMount("/opt/passwd", "/etc/passwd", directory=False, read_only=False),
    )


@pytest.mark.parametrize(
    "right", ["device", "device=vendor.com/gpu=0", "device=vendor.com/gpu", "device=vendor.com/gpu=*"]
)
def test_allowed(right: str, folder: Path) -> None:
    assert found(folder, "vendor.com/gpu=0", grants=Grants(allowed=(right,))).env
    assert found(folder, "vendor.com/free=a", grants=Grants()) == Edits((), ())


@pytest.mark.parametrize("allowed", [(), ("network.host",), ("device=vendor.com/gpu=1",)])
def test_not_allowed(allowed: tuple[str, ...], folder: Path) -> None:
    with pytest.raises(BuildError, match=r"vendor\.com/gpu=0 is not allowed") as caught:
        found(folder, "vendor.com/gpu=0", grants=Grants(allowed=allowed))
    assert caught.value.hint == "whoever builds has to allow it: --allow device=vendor.com/gpu=0"


def test_required(folder: Path) -> None:
    with pytest.raises(BuildError, match=r"vendor\.com/gpu=9 is required, and is not there"):
        found(folder, "vendor.com/gpu=9", required=True)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"hooks": [{"hookName": "createContainer"}]}, "asks for hooks, which is not supported yet"),
        ({"additionalGids": [5], "intelRdt": {"closID": "x"}}, "asks for additionalGids and intelRdt"),
        ({"mounts": [{"hostPath": "x", "containerPath": "/x", "type": "tmpfs"}]}, "asks for a mount of type tmpfs"),
        ({"deviceNodes": [{"path": "/dev/null", "uid": 7}]}, "asks for another uid for /dev/null than the host's"),
        ({"deviceNodes": [{"path": "/etc/passwd"}]}, "/etc/passwd of vendor.com/odd=a is no device"),
    ],
)
def test_what_is_not_supported(part: dict[str, Any], message: str, folder: Path) -> None:
    document = {"kind": "vendor.com/odd", "devices": [{"name": "a", "containerEdits": part}]}
    (folder / "odd.json").write_text(json.dumps(document))
    with pytest.raises(BuildError, match=message):
        found(folder, "vendor.com/odd=a")


@pytest.mark.parametrize(
    ("name", "text"), [("x.json", "{"), ("x.json", "[]"), ("x.json", '{"kind": "a/b"}'), ("x.yaml", "")]
)
def test_bad_files(name: str, text: str, folder: Path) -> None:
    (folder / name).write_text(text)
    with pytest.raises(BuildError, match=name) as caught:
        found(folder, "vendor.com/gpu=0")
    assert caught.value.hint
