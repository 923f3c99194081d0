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

from builder.errors import Unsupported
from builder.sandbox import kernel, reasons, subids
from builder.sandbox.capabilities import NUMBERS
from builder.sandbox.outside import TOOLS, Maps, Outside, Run, write_map, write_once
from layers.idmap import Row, parse
from layers.tuples import NamedTuple


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
    who = "an ordinary user" if os.getuid() else "root without CAP_SYS_ADMIN"
    found = attempt(run)
    if isinstance(found, reasons.Reason):
        raise Unsupported(f"{who} cannot build here: {found.message}", hint=found.hint)
    return found


def attempt(run: Run) -> Entered | reasons.Reason:
    """As ``enter``; returns why it cannot be done."""
    filtered, status = is_filtered(), _status()
    wanted = _wanted(status)
    outside = Outside(run)
    try:
        notice = _become_root(wanted, outside, status)
    except OSError as error:
        outside.close()
        reason = reasons.no_namespace(error.errno or 0, read_switches(), filtered=filtered)
        if wanted.uid == 0 and error.errno == errno.EPERM and not filtered and not status.can("SETFCAP"):
            reason = reasons.NO_SETFCAP
        return reason._replace(message=f"{reason.message} ({error.strerror})")
    return Entered(outside, notice)


class Status(NamedTuple):
    """Of /proc/self/status: sets of capabilities as bits, and no_new_privs."""

    effective: int
    bounding: int
    no_new_privileges: bool

    def can(self, right: str) -> bool:
        return bool(self.effective >> NUMBERS[right] & 1)


def _become_root(wanted: Wanted, outside: Outside, status: Status) -> reasons.Reason | None:
    """Raises OSError."""
    notice = wanted.notice
    kernel.unshare(kernel.CLONE_NEWUSER)
    if wanted.maps is not None:
        failure = outside.map(os.getpid(), wanted.maps)
        if failure is not None and not wanted.maps.tools:
            raise PermissionError(errno.EPERM, failure)
        if failure is not None:
            admin = bool(status.bounding >> NUMBERS["SYS_ADMIN"] & 1)
            notice = reasons.maps_refused(failure, no_new_privileges=status.no_new_privileges, admin=admin)
    if notice is not None:
        _map_self(wanted.uid, wanted.gid)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if read_switches().get(reasons.APPARMOR_SWITCH, "0") != "0":
        kernel.unshare(kernel.CLONE_NEWUTS)  # fails where the namespace came without rights
    return notice


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


def _wanted(status: Status) -> Wanted:
    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    if uid == 0 and status.can("SETUID") and status.can("SETGID"):
        uids, gids = (parse(_read(f"/proc/self/{which}_map") or "") for which in TOOLS)
        return Wanted(user, uid, gid, Maps(_same(uids), _same(gids), tools=False), None)
    texts = {which: _read(f"/etc/sub{which}") or "" for which in TOOLS}
    found = {which: subids.ranges(text, user, uid) for which, text in texts.items()}
    if all(found.values()):
        maps = Maps(subids.rows(uid, found["uid"]), subids.rows(gid, found["gid"]), tools=True)
        return Wanted(user, uid, gid, maps, None)
    first_free = max(map(subids.free, texts.values()))
    return Wanted(user, uid, gid, None, reasons.single_id(user, first_free))


def _same(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Every id of this namespace as itself in the next."""
    return tuple((first, first, count) for first, _, count in rows)


def _status() -> Status:
    lines = (line.partition(":") for line in (_read("/proc/self/status") or "").splitlines())
    found = {name: value.strip() for name, _, value in lines}
    effective, bounding = (int(found.get(name, "0"), 16) for name in ("CapEff", "CapBnd"))
    return Status(effective, bounding, found.get("NoNewPrivs") == "1")


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
