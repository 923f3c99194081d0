import os

import pytest

from builder.sandbox.detect import why_not

ROOT = "Name:\tx\nCapEff:\t000001ffffffffff\n"


def host(release: str = "6.18.44", machine: str = "x86_64", system: str = "Linux") -> os.uname_result:
    return os.uname_result((system, "name", release, "version", machine))


@pytest.mark.parametrize("release", ["5.12", "5.12.0-rc1", "6.1.0-13-amd64", "10.0+"])
def test_root_on_a_recent_linux_can(release: str) -> None:
    assert why_not(host(release), ROOT) is None
    assert why_not(host(release, "aarch64"), ROOT) is None


@pytest.mark.parametrize(
    ("where", "status", "expected"),
    [
        (host(system="Darwin", machine="arm64"), ROOT, "this is Darwin on arm64"),
        (host(machine="riscv64"), ROOT, "this is Linux on riscv64"),
        (host("5.11.22"), ROOT, "the kernel is 5.11.22"),
        (host(), "CapEff:\t00000000a80425fb\n", "this process lacks CAP_SYS_ADMIN"),
        (host(), "CapEff:\t0000000000000000\n", "this process lacks CAP_SYS_ADMIN"),
    ],
)
def test_what_is_missing_is_said(where: os.uname_result, status: str, expected: str) -> None:
    found = why_not(where, status)
    assert found is not None
    message, hint = found
    assert message == expected
    assert hint
