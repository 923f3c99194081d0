"""Why this host does not let a user build, and the command that mends it. Pure: the facts are read by ``userns``.

Sources: user_namespaces(7), sysctl documentation of the kernel (user.txt), Debian's and Ubuntu's release notes.
"""

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING

from layers.tuples import NamedTuple

if TYPE_CHECKING:
    from builder.sandbox.spec import Identity
    from layers.idmap import IdMap

CLONE_SWITCH = "kernel.unprivileged_userns_clone"
"""Debian's and Arch's own switch; other kernels have none."""
LIMIT = "user.max_user_namespaces"
APPARMOR_SWITCH = "kernel.apparmor_restrict_unprivileged_userns"
"""Ubuntu's, since 23.10."""
SWITCHES = (CLONE_SWITCH, LIMIT, APPARMOR_SWITCH)

_COST = "files can only belong to root in a RUN, which cannot change to another user or owner (apt-get wants to)"
PACKAGES = "package uidmap on Debian and Ubuntu, shadow-utils on Fedora, shadow-uidmap on Alpine"


class Reason(NamedTuple):
    """What is wrong, and what to do about it."""

    message: str
    hint: str


def no_namespace(number: int, switches: Mapping[str, str], *, filtered: bool) -> Reason:
    """Why unshare(CLONE_NEWUSER), or what needs the rights it gives, failed with the error ``number``.

    ``switches``: the values of those SWITCHES that this kernel has; ``filtered``: this process is under a seccomp
    filter, as in containers.
    """
    if switches.get(LIMIT) == "0" or number == errno.ENOSPC:
        return Reason(
            f"user namespaces are used up or turned off ({LIMIT} is {switches.get(LIMIT, 'unknown')})",
            f"allow them: sudo sysctl -w {LIMIT}=28633 (in a file of /etc/sysctl.d to keep it), or build as root",
        )
    if switches.get(CLONE_SWITCH) == "0":
        return Reason(
            f"this kernel lets only root make user namespaces ({CLONE_SWITCH} is 0)",
            f"allow them: sudo sysctl -w {CLONE_SWITCH}=1 (in a file of /etc/sysctl.d to keep it), or build as root",
        )
    if switches.get(APPARMOR_SWITCH, "0") != "0":
        return Reason(
            f"AppArmor takes all rights from users in user namespaces ({APPARMOR_SWITCH} is 1)",
            f"allow them: sudo sysctl -w {APPARMOR_SWITCH}=0 (in a file of /etc/sysctl.d to keep it), give Python an"
            " AppArmor profile with the rule 'userns,', or build as root",
        )
    if filtered and number == errno.EPERM:
        return Reason(
            "the seccomp filter of this container refuses user namespaces",
            "run the container with --privileged, or with --security-opt seccomp=unconfined --security-opt"
            " systempaths=unconfined",
        )
    if number in {errno.EINVAL, errno.ENOSYS}:
        return Reason("this kernel has no user namespaces", "use one with CONFIG_USER_NS, or build as root")
    return Reason(
        "this process may not make a user namespace",
        "a security module or a chroot may be why; the kernel log says more. Or build as root",
    )


NO_SETFCAP = Reason(
    "root without CAP_SETFCAP may not be root of a user namespace",
    "run the container as an ordinary user (--user 1000), or with --cap-add SETFCAP, or with --privileged",
)


def single_id(name: str, first_free: int) -> Reason:
    """Why a build has one user id only, what that costs, and how to mend it. ``first_free``: where a range for the user
    can begin."""
    last = first_free + 65535
    why = f"user {name} has no subordinate ids in /etc/subuid and /etc/subgid"
    return Reason(
        f"building with a single user id: {why}. So {_COST}",
        f"sudo usermod --add-subuids {first_free}-{last} --add-subgids {first_free}-{last} {name}",
    )


def maps_refused(failure: str, *, no_new_privileges: bool, admin: bool) -> Reason:
    """As ``single_id``, where newuidmap or newgidmap failed with these words.

    ``no_new_privileges``: nothing this process starts can have more rights; ``admin``: it could have CAP_SYS_ADMIN.
    """
    if no_new_privileges:
        mend = "run the container without no-new-privileges (Kubernetes: allowPrivilegeEscalation: true)"
    elif not admin:
        mend = "run the container with --cap-add SYS_ADMIN or --privileged: newuidmap and newgidmap need that right"
    else:
        mend = f"install newuidmap and newgidmap, setuid root ({PACKAGES})"
    return Reason(f"building with a single user id: {failure}. So {_COST}", mend)


SINGLE_AROUND = Reason(
    f"building with a single user id, all that this user namespace has. So {_COST}",
    "run pybuild outside of it, or make it with more: unshare --map-root-user --map-auto",
)
"""Of a namespace that somebody else made."""

SINGLE = "this build has a single user id, so no command can change users or owners"
_MORE = "give the user subordinate ids (pybuild doctor shows the command), or build as root"


def missing_id(identity: "Identity", ids: "IdMap") -> Reason | None:
    """Why a command cannot run as somebody: a user or group that the user namespace does not have."""
    who = f"{identity.uid}:{identity.gid}"
    there = ids.has(identity.uid, identity.gid)
    if ids.single:  # supplementary groups are left out
        return None if there else Reason(f"{who} cannot run a command: {SINGLE}", _MORE)
    if there and all(ids.has(0, group) for group in identity.groups):
        return None
    groups = ",".join(map(str, identity.groups))
    what = f"{who} (in groups {groups}) is beyond the ids that this build has"
    return Reason(what, "widen the user's ranges in /etc/subuid and /etc/subgid, or build as root")


def missing_owner(uid: int, gid: int, ids: "IdMap") -> Reason | None:
    """Why a mounted file or directory cannot belong to somebody."""
    if ids.has(uid, gid):
        return None
    what = "this build has a single user id" if ids.single else "that is beyond the ids that this build has"
    return Reason(f"nothing that is mounted can belong to {uid}:{gid}: {what}", _MORE)


def failed_command(ids: "IdMap") -> str | None:
    """What may be behind any failure of a command."""
    if not ids.single:
        return None
    return f"{SINGLE}: if it wanted to, {_MORE}; apt-get can do with -o APT::Sandbox::User=root"


_OURS = (
    *("the sandbox", "mount ", "remount ", "unmount ", "unshare", "setns", "pivot_root", "join a new session keyring"),
    *("load the seccomp filter", "drop capability", "clear ambient capabilities", "capset"),
)
"""How errors begin of what is done before the command is started (``kernel``)."""


def failed_start(error: str) -> str | None:
    """What mends it when the kernel refuses a command its surroundings; None for what is the command's own fault."""
    if error.startswith("mount proc"):
        return (
            "a container hides parts of /proc, so that none can be mounted: run it with --privileged, or with"
            " --security-opt systempaths=unconfined"
        )
    if error.startswith(_OURS):
        return "pybuild doctor says what this host lacks; in a container, run that with --privileged"
    return None
