"""The user namespace that an ordinary user builds in, and the child of this process that stays outside of it.

::

    pybuild ──── outside (the real user: newuidmap, newgidmap, credential helpers)
    (root in its user namespace, by unshare(2): same process, so signals and exit codes are what they were)

Inside, 0 is the real user and 1, 2, ... are the subordinate ids that /etc/subuid and /etc/subgid give him: files of a
store have the ids that they have in images, and files for the user belong to him. Where he has none, 0 is all there is.
Supplementary groups are kept: what could be read and written before still can.
"""

import errno
import os
import pwd
from typing import NamedTuple

from builder.errors import Unsupported
from builder.sandbox import kernel, reasons, subids
from builder.sandbox.capabilities import NUMBERS
from builder.sandbox.outside import TOOLS, Maps, Outside, Run, write_map, write_once
from layers.idmap import Row, parse


class Entered(NamedTuple):
    outside: Outside
    notice: reasons.Reason | None
    """What the user should know: that he builds with a single id."""


class Wanted(NamedTuple):
    """``maps`` is None for a single id, ``notice`` says why."""

    user: str
    uid: int
    gid: int
    maps: Maps | None
    notice: reasons.Reason | None


def enter(run: Run) -> Entered:
    """Makes this process root of a new user namespace. Before its first thread. ``run`` is executed outside.

    Raises Unsupported where it cannot be done, with what mends it.
    """
    wanted = _wanted()
    outside = Outside(run)
    try:
        notice = _become_root(wanted, outside)
    except OSError as error:
        outside.close()
        reason = reasons.no_namespace(error.errno or 0, read_switches(), filtered=is_filtered())
        who = "an ordinary user" if wanted.uid else "root without CAP_SYS_ADMIN"
        message = f"{who} cannot build here: {reason.message} ({error.strerror})"
        raise Unsupported(message, hint=reason.hint) from error
    return Entered(outside, notice)


def _become_root(wanted: Wanted, outside: Outside) -> reasons.Reason | None:
    """Raises OSError."""
    notice = wanted.notice
    kernel.unshare(kernel.CLONE_NEWUSER)
    if wanted.maps is not None:
        failure = outside.map(os.getpid(), wanted.maps)
        if failure is not None and not wanted.maps.tools:
            raise PermissionError(errno.EPERM, failure)
        if failure is not None:
            notice = reasons.single_id(wanted.user, range_missing=False, first_free=0, failure=failure)
    if notice is not None:
        _map_self(wanted.uid, wanted.gid)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if read_switches().get(reasons.APPARMOR_SWITCH, "0") != "0":
        kernel.unshare(kernel.CLONE_NEWUTS)  # fails where the namespace came without rights
    return notice


def enter_alone() -> None:
    """Makes this process root of a new user namespace with a single id, without a child outside. Raises OSError."""
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    _map_self(uid, gid)


def refusal() -> reasons.Reason | None:
    """Why no user namespace can be entered, or nothing be mounted in one. Tried in a child process."""
    child = os.fork()
    if child == 0:
        number = errno.ENOSYS
        try:
            enter_alone()
            kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS)
            number = 0
        except OSError as error:
            number = error.errno or errno.EPERM
        finally:
            os._exit(number)
    _, status = os.waitpid(child, 0)
    number = os.waitstatus_to_exitcode(status)
    return reasons.no_namespace(number, read_switches(), filtered=is_filtered()) if number else None


def read_switches() -> dict[str, str]:
    """The settings of this kernel that have to do with user namespaces."""
    found = {}
    for name in reasons.SWITCHES:
        text = _read(f"/proc/sys/{name.replace('.', '/')}")
        if text is not None:
            found[name] = text.strip()
    return found


def is_filtered() -> bool:
    """Whether this process is under a seccomp filter."""
    return "\nSeccomp:\t2\n" in (_read("/proc/self/status") or "")


def _wanted() -> Wanted:
    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    effective = _effective_capabilities()
    if uid == 0 and all(effective >> NUMBERS[right] & 1 for right in ("SETUID", "SETGID")):
        uids, gids = (parse(_read(f"/proc/self/{which}_map") or "") for which in TOOLS)
        return Wanted(user, uid, gid, Maps(_same(uids), _same(gids), tools=False), None)
    texts = {which: _read(f"/etc/sub{which}") or "" for which in TOOLS}
    found = {which: subids.ranges(text, user, uid) for which, text in texts.items()}
    if all(found.values()):
        maps = Maps(subids.rows(uid, found["uid"]), subids.rows(gid, found["gid"]), tools=True)
        return Wanted(user, uid, gid, maps, None)
    first_free = max(map(subids.free, texts.values()))
    notice = reasons.single_id(user, range_missing=True, first_free=first_free, failure=None)
    return Wanted(user, uid, gid, None, notice)


def _same(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Every id of this namespace as itself in the next."""
    return tuple((first, first, count) for first, _, count in rows)


def _effective_capabilities() -> int:
    status = _read("/proc/self/status") or ""
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0"), 16)


def _map_self(uid: int, gid: int) -> None:
    """0 is this process's own user, and group, where the map was not made yet. Then there are no other groups."""
    if not _read("/proc/self/gid_map"):
        write_once("/proc/self/setgroups", "deny")
        write_map("/proc/self/gid_map", ((0, gid, 1),))
    if not _read("/proc/self/uid_map"):
        write_map("/proc/self/uid_map", ((0, uid, 1),))


def _read(path: str) -> str | None:
    """None for what is not there, or not for this user."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, PermissionError):
        return None
