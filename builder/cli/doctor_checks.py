"""What a host lacks for builds, judged from facts: one function each, and the command that mends it. Pure.

A *problem* keeps builds from running; a *warning* costs something, or concerns registries only.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from layers.tuples import NamedTuple

OK, WARNING, PROBLEM = "ok", "warning", "problem"

LITTLE_SPACE = 5 << 30
NO_SPACE = 200 << 20
"""Bytes: an image of a common language with its build tools needs 1 to 2 GB; below the second not even a base fits."""
FEW_INODES = 50_000
ENOUGH_IDS = 65536
"""Subordinate ids: those of a distribution's image, up to nobody (65534)."""
RELEASED = 1767225600
"""2026-01-01: a clock before it is wrong, and no certificate is valid for it."""

_VOLUME = "docker run -v pybuild:{store} ..., or --root DIRECTORY on another file system"
_LOOSE = "docker run --privileged, or --security-opt seccomp=unconfined --security-opt apparmor=unconfined"


class Finding(NamedTuple):
    """``command`` is what to type, or to change, to mend it; "" when there is nothing to mend."""

    check: str
    status: str
    message: str
    command: str = ""


class Ids(NamedTuple):
    """``uids`` and ``gids`` are counts of subordinate ids in /etc/subuid and /etc/subgid, ``free`` where a range can
    begin; ``programs`` are those of newuidmap and newgidmap that are found."""

    uids: int = 0
    gids: int = 0
    programs: tuple[str, ...] = ()
    free: int = 100000


class Place(NamedTuple):
    """``path`` is the store's, which need not be there; the rest is of the nearest directory that is."""

    path: str
    writable: bool
    filesystem: str
    """As in /proc/self/mountinfo: ``ext4``, ``overlay``..."""
    free: int
    inodes: int | None
    """Free ones; None on a file system that does not count them."""
    overlay: str | None
    """Why no overlay could be mounted on it; None: it could, or it was not tried."""


class Programs(NamedTuple):
    """``modules``: third-party ones that do not import, with the reason; ``helpers``: of credentials, not on PATH."""

    modules: tuple[tuple[str, str], ...] = ()
    helpers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """``refusal``, ``notice`` and ``start`` are what a trial of the sandbox says of this host, message and hint: why no
    user namespace can be entered, what that one lacks, why no command can be started in it. ``container``: what runs
    this process (``docker``, ``podman``...), "" for nobody. ``apparmor``: the profile. ``docker_config`` and
    ``registries``: why these files cannot be read. ``authorities``: the file of trusted certificates, "" for none.
    """

    system: str
    machine: str
    release: str
    oldest: tuple[int, int]
    user: str
    uid: int
    refusal: tuple[str, str] | None
    notice: tuple[str, str] | None
    start: tuple[str, str] | None
    ids: Ids
    container: str
    seccomp: bool
    apparmor: str
    place: Place
    programs: Programs
    docker_config: str | None
    registries: str | None
    authorities: str
    now: float


def kernel(facts: Facts) -> Finding:
    if facts.system != "Linux" or facts.machine not in {"x86_64", "aarch64"}:
        return Finding(
            "kernel", PROBLEM, f"this is {facts.system} on {facts.machine}", "build on Linux, on x86-64 or arm64"
        )
    version = tuple(int(number) for number in re.findall(r"\d+", facts.release)[:2])
    if version < facts.oldest:
        oldest = ".".join(map(str, facts.oldest))
        return Finding("kernel", PROBLEM, f"Linux {facts.release} is older than {oldest}", "boot a newer kernel")
    return Finding("kernel", OK, f"Linux {facts.release} on {facts.machine}")


def privileges(facts: Facts) -> Finding:
    """Root, or user namespaces for everybody else."""
    who = "root" if facts.uid == 0 else f"user {facts.user}"
    if facts.refusal is None:
        return Finding("privileges", OK, who)
    message, hint = facts.refusal
    if facts.uid == 0 and facts.container:
        command = hint if "container" in hint else "docker run --privileged"
        return Finding("privileges", PROBLEM, f"root in {facts.container}, but {message}", command)
    return Finding("privileges", PROBLEM, f"{who}: {message}", hint)


def subordinate_ids(facts: Facts) -> Finding | None:
    """For those who build in a user namespace: without, images may have one owner."""
    if facts.uid == 0:
        return Finding("subordinate ids", WARNING, *facts.notice) if facts.notice is not None else None
    missing = [name for name in ("newuidmap", "newgidmap") if name not in facts.ids.programs]
    cost = "every file of an image belongs to one user"
    if missing:
        return Finding(
            "subordinate ids", WARNING, f"without {' and '.join(missing)} {cost}", "sudo apt-get install uidmap"
        )
    if min(facts.ids.uids, facts.ids.gids) < ENOUGH_IDS:
        span = f"{facts.ids.free}-{facts.ids.free + ENOUGH_IDS - 1}"
        command = f"sudo usermod --add-subuids {span} --add-subgids {span} {facts.user}"
        said = f"{facts.ids.uids} in /etc/subuid and {facts.ids.gids} in /etc/subgid, of {ENOUGH_IDS} that images use"
        return Finding("subordinate ids", WARNING, said if facts.ids.uids else f"none: {cost}", command)
    if facts.notice is not None:
        return Finding("subordinate ids", WARNING, *facts.notice)
    return Finding("subordinate ids", OK, f"{facts.ids.uids} users, {facts.ids.gids} groups")


def commands(facts: Facts) -> Finding | None:
    """What else a RUN needs; where a namespace or an overlay is refused, that is said."""
    if facts.refusal is not None or facts.place.overlay is not None:
        return None
    if facts.start is not None:
        message, hint = facts.start
        return Finding("RUN", PROBLEM, f"no command can be started: {message}", hint)
    return Finding("RUN", OK, "a command can be started")


def store(facts: Facts) -> Finding:
    place = facts.place
    where = f"{place.path} ({place.filesystem})"
    if not place.writable:
        return Finding(
            "store", PROBLEM, f"{where} cannot be written by {facts.user}", "name another directory with --root"
        )
    if place.filesystem == "overlay" and (place.overlay is not None or facts.refusal is not None):
        return Finding(
            "store",
            PROBLEM,
            f"{where} lies on the container's own overlay, on which none can be mounted",
            _VOLUME.format(store=place.path),
        )
    if place.overlay is not None:
        guarded = facts.container and (facts.seccomp or facts.apparmor not in {"", "unconfined"})
        command = _LOOSE if guarded else _VOLUME.format(store=place.path)
        return Finding("store", PROBLEM, f"no overlay can be mounted on {where}: {place.overlay}", command)
    return Finding("store", OK, where)


def space(facts: Facts) -> Finding:
    free, inodes = facts.place.free, facts.place.inodes
    text = f"{free / (1 << 30):.1f} GiB free at {facts.place.path}"
    if free < NO_SPACE:
        return Finding("disk space", PROBLEM, text, "pybuild prune --all, or --root on a larger disk")
    if free < LITTLE_SPACE:
        return Finding("disk space", WARNING, text, "pybuild prune --all, or --root on a larger disk")
    if inodes is not None and inodes < FEW_INODES:
        return Finding(
            "disk space", WARNING, f"{text}, but only {inodes} inodes", "pybuild prune --all, or --root elsewhere"
        )
    return Finding("disk space", OK, text)


def container(facts: Facts) -> Finding | None:
    """What guards a container matters only where it keeps builds from running, which other checks find out."""
    if not facts.container:
        return None
    guards = ["a seccomp filter"] if facts.seccomp else []
    guards += [f"AppArmor's {facts.apparmor}"] if facts.apparmor not in {"", "unconfined"} else []
    text = f"{facts.container}, with {' and '.join(guards)}" if guards else facts.container
    if guards and (facts.refusal is not None or facts.place.overlay is not None):
        return Finding("container", PROBLEM, text, _LOOSE)
    return Finding("container", OK, text)


def modules(facts: Facts) -> Finding:
    if facts.programs.modules:
        names = " ".join(name.replace("_", "-") for name, _ in facts.programs.modules)
        text = "; ".join(f"{name}: {reason}" for name, reason in facts.programs.modules)
        return Finding("Python packages", PROBLEM, text, f"pip install --force-reinstall {names}")
    return Finding("Python packages", OK, "all there")


def credentials(facts: Facts) -> Finding:
    """Of registries: images in the store can be built from without."""
    if facts.docker_config is not None:
        return Finding(
            "credentials", WARNING, facts.docker_config, "correct the file, or set DOCKER_CONFIG to another directory"
        )
    if facts.programs.helpers:
        names = ", ".join(f"docker-credential-{name}" for name in facts.programs.helpers)
        return Finding(
            "credentials",
            WARNING,
            f"not on PATH, but named in Docker's config.json: {names}",
            "install them, or take them out of credsStore and credHelpers",
        )
    return Finding("credentials", OK, "Docker's config.json can be read")


def registries(facts: Facts) -> Finding:
    if facts.registries is not None:
        return Finding("registries", WARNING, facts.registries, "correct the file that is named, or move it away")
    if not facts.authorities:
        return Finding(
            "registries", WARNING, "no file of trusted authorities is found", "sudo apt-get install ca-certificates"
        )
    return Finding("registries", OK, f"authorities in {facts.authorities}")


def clock(facts: Facts) -> Finding:
    if facts.now < RELEASED:
        return Finding(
            "clock",
            WARNING,
            "it is set to a date before 2026: no certificate will be valid",
            "sudo timedatectl set-ntp 1",
        )
    return Finding("clock", OK, "plausible")


CHECKS: tuple[Callable[[Facts], Finding | None], ...] = (
    kernel,
    privileges,
    subordinate_ids,
    container,
    store,
    commands,
    space,
    modules,
    credentials,
    registries,
    clock,
)


def judge(facts: Facts) -> tuple[Finding, ...]:
    """What every check says that has something to say."""
    return tuple(finding for check in CHECKS if (finding := check(facts)) is not None)
