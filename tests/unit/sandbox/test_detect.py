import os

import pytest

from builder.sandbox.detect import why_not

ROOT = "Name:\tx\nCapEff:\t000001ffffffffff\n"
WHOLE = "         0          0 4294967295\n"


def host(release: str = "6.18.44", machine: str = "x86_64", system: str = "Linux") -> os.uname_result:
    return os.uname_result((system, "name", release, "version", machine))


@pytest.mark.parametrize("release", ["5.12", "5.12.0-rc1", "6.1.0-13-amd64", "10.0+"])
def test_root_on_a_recent_linux_can(release: str) -> None:
    assert why_not(host(release), ROOT, WHOLE) is None
    assert why_not(host(release, "aarch64"), ROOT, WHOLE) is None


@pytest.mark.parametrize(
    ("where", "status", "uid_map", "expected"),
    [
        (host(system="Darwin", machine="arm64"), ROOT, WHOLE, "this is Darwin on arm64"),
        (host(machine="riscv64"), ROOT, WHOLE, "this is Linux on riscv64"),
        (host("5.11.22"), ROOT, WHOLE, "the kernel is 5.11.22"),
        (host(), "CapEff:\t00000000a80425fb\n", WHOLE, "this process lacks CAP_SYS_ADMIN"),
        (host(), "CapEff:\t0000000000000000\n", WHOLE, "this process lacks CAP_SYS_ADMIN"),
        (host(), ROOT, "0 1000 1\n", "this process is in a user namespace"),
    ],
)
def test_what_is_missing_is_said(where: os.uname_result, status: str, uid_map: str, expected: str) -> None:
    found = why_not(where, status, uid_map)
    assert found is not None
    message, hint = found
    assert message == expected
    assert hint
