import errno

import pytest

from builder.sandbox.reasons import (
    APPARMOR_SWITCH,
    CLONE_SWITCH,
    LIMIT,
    failed_command,
    failed_start,
    maps_refused,
    missing_id,
    missing_owner,
    no_namespace,
    single_id,
)
from builder.sandbox.spec import Identity
from layers.idmap import WHOLE, IdMap

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
    reason = single_id("alice", 165536)
    assert "alice has no subordinate ids" in reason.message
    assert reason.hint == "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 alice"


def test_a_missing_program_is_named_with_its_packages() -> None:
    reason = maps_refused("newgidmap is not installed", no_new_privileges=False, admin=True)
    assert "newgidmap is not installed" in reason.message
    assert "package uidmap" in reason.hint


@pytest.mark.parametrize(
    ("no_new_privileges", "admin", "hint"),
    [(True, True, "no-new-privileges"), (True, False, "no-new-privileges"), (False, False, "--cap-add SYS_ADMIN")],
)
def test_what_keeps_these_programs_from_their_rights(no_new_privileges: bool, admin: bool, hint: str) -> None:
    said = "newuidmap: write to uid_map failed: Operation not permitted"
    reason = maps_refused(said, no_new_privileges=no_new_privileges, admin=admin)
    assert said in reason.message
    assert hint in reason.hint


ONE = IdMap(((0, 1000, 1),), ((0, 1000, 1),))
MANY = IdMap(((0, 1000, 1), (1, 100000, 65536)), ((0, 1000, 1), (1, 100000, 65536)))


def identity(uid: int, gid: int, *groups: int) -> Identity:
    return Identity(uid, gid, groups, "/")


@pytest.mark.parametrize(
    ("ids", "who"),
    [
        (WHOLE, identity(4_000_000_000, 5)),
        (MANY, identity(65536, 65536, 1, 65536)),
        (MANY, identity(0, 0)),
        (IdMap(MANY.uids, ONE.gids), identity(1000, 0, 0, 10)),
        (ONE, identity(0, 0, 0, 10)),  # groups of root are left out where there can be none
    ],
)
def test_who_can_run_a_command(ids: IdMap, who: Identity) -> None:
    assert missing_id(who, ids) is None


@pytest.mark.parametrize(
    ("ids", "who", "message"),
    [
        (ONE, identity(1000, 0), "1000:0 cannot run a command: this build has a single user id"),
        (ONE, identity(0, 5), "0:5 cannot run a command"),
        (MANY, identity(65537, 0), "65537:0"),
        (MANY, identity(0, 65537), "beyond the ids"),
        (MANY, identity(0, 0, 0, 70000), "in groups 0,70000"),
    ],
)
def test_who_cannot_and_what_to_do(ids: IdMap, who: Identity, message: str) -> None:
    reason = missing_id(who, ids)
    assert reason is not None
    assert message in reason.message
    assert "subuid" in reason.hint or "subordinate" in reason.hint


@pytest.mark.parametrize(("ids", "uid", "told"), [(ONE, 33, "single"), (MANY, 70000, "beyond"), (WHOLE, 70000, None)])
def test_whose_a_mounted_file_can_be(ids: IdMap, uid: int, told: str | None) -> None:
    reason = missing_owner(uid, 0, ids)
    assert (reason is None) == (told is None)
    assert reason is None or (told or "") in reason.message


def test_a_failure_with_a_single_id_may_be_its_fault() -> None:
    assert failed_command(MANY) is failed_command(WHOLE) is None
    assert "single user id" in (failed_command(ONE) or "")


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("mount proc on /proc: Operation not permitted", "systempaths=unconfined"),
        ("mount overlay on /sys/root: Permission denied", "doctor"),
        ("the sandbox cannot be set up: unshare: Operation not permitted", "doctor"),
        ("capset: Operation not permitted", "--privileged"),
        ("join a new session keyring: Operation not permitted", "--privileged"),
        ("/bin/sh: No such file or directory", None),
    ],
)
def test_what_the_kernel_refuses_is_not_the_command_s_fault(error: str, hint: str | None) -> None:
    found = failed_start(error)
    assert (found is None) == (hint is None)
    assert (hint or "") in (found or "")
