import errno

import pytest

from builder.sandbox.reasons import APPARMOR_SWITCH, CLONE_SWITCH, LIMIT, no_namespace, single_id

PLENTY = {LIMIT: "28633"}


@pytest.mark.parametrize(
    ("number", "switches", "filtered", "message", "hint"),
    [
        (errno.ENOSPC, {LIMIT: "0"}, False, f"({LIMIT} is 0)", f"sudo sysctl -w {LIMIT}="),
        (errno.ENOSPC, PLENTY, False, "used up", f"sudo sysctl -w {LIMIT}="),
        (errno.EPERM, {CLONE_SWITCH: "0", **PLENTY}, True, f"{CLONE_SWITCH} is 0", f"sudo sysctl -w {CLONE_SWITCH}=1"),
        (errno.EPERM, {CLONE_SWITCH: "1", APPARMOR_SWITCH: "1"}, False, "AppArmor", f"sysctl -w {APPARMOR_SWITCH}=0"),
        (errno.EPERM, PLENTY, True, "seccomp filter", "--security-opt seccomp=unconfined"),
        (errno.EPERM, PLENTY, False, "may not make", "build as root"),
        (errno.EACCES, {**PLENTY, APPARMOR_SWITCH: "0"}, True, "may not make", "build as root"),
        (errno.EINVAL, {}, False, "no user namespaces", "CONFIG_USER_NS"),
    ],
)
def test_what_refuses_a_namespace_and_what_mends_it(
    number: int, switches: dict[str, str], filtered: bool, message: str, hint: str
) -> None:
    reason = no_namespace(number, switches, filtered=filtered)
    assert message in reason.message
    assert hint in reason.hint


def test_a_missing_range_is_mended_by_one_that_is_free() -> None:
    reason = single_id("alice", range_missing=True, first_free=165536, failure=None)
    assert "alice has no subordinate ids" in reason.message
    assert reason.hint == "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice"


def test_a_missing_program_is_named_with_its_packages() -> None:
    reason = single_id("alice", range_missing=False, first_free=0, failure="newgidmap is not installed")
    assert "newgidmap is not installed" in reason.message
    assert "uidmap" in reason.hint
