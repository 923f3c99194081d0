import pytest

from builder.dockerfile.devices import Device, parse_device
from builder.dockerfile.mounts import MountError


@pytest.mark.parametrize(
    ("value", "device"),
    [
        ("vendor.com/gpu=0", Device("vendor.com/gpu=0")),
        ("vendor.com/gpu=*,required", Device("vendor.com/gpu=*", True)),
        ("required=true,name=vendor.com/gpu", Device("vendor.com/gpu", True)),
        ("vendor.com/gpu=a:b,required=0", Device("vendor.com/gpu=a:b")),
    ],
)
def test_devices(value: str, device: Device) -> None:
    assert parse_device(value) == device


@pytest.mark.parametrize(
    "value", ["", "gpu", "/dev/fuse", "vendor.com/gpu=", "vendor.com/gpu=0,other=1", "required", "a/b=c,required=yes"]
)
def test_refused(value: str) -> None:
    with pytest.raises(MountError) as caught:
        parse_device(value)
    assert caught.value.hint
