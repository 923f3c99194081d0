"""Whether this host can run commands in namespaces, and if not, why not."""

import os

from builder.errors import Unsupported
from builder.sandbox.capabilities import NUMBERS
from builder.sandbox.native import NativeRunner

OLDEST_KERNEL = (5, 12)
"""overlayfs with ``userxattr`` and ``volatile`` (5.11), ``mount_setattr`` (5.12)."""


def open_runner() -> NativeRunner:
    """A runner for this host. Raises Unsupported when it has none; call it before starting threads."""
    missing = why_not(os.uname(), _read("/proc/self/status"))
    if missing is not None:
        message, hint = missing
        raise Unsupported(f"RUN cannot be executed here: {message}", hint=hint)
    return NativeRunner()


def why_not(host: os.uname_result, status: str) -> tuple[str, str] | None:
    """(What is missing, what to do about it), from uname(2) and /proc/self/status; None when nothing is."""
    missing = unsuitable(host)
    if missing is None and not has_admin(status):
        return "this process lacks CAP_SYS_ADMIN", "run pybuild as root, or from its command line"
    return missing


def unsuitable(host: os.uname_result) -> tuple[str, str] | None:
    """What no privilege mends."""
    if host.sysname != "Linux" or host.machine not in {"x86_64", "aarch64"}:
        return f"this is {host.sysname} on {host.machine}", "build on Linux, on x86-64 or arm64"
    if _version(host.release) < OLDEST_KERNEL:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        return f"the kernel is {host.release}", f"use a kernel of at least {oldest}"
    return None


def has_admin(status: str) -> bool:
    """Whether a process may mount, in the user namespace it is in. ``status`` is its file in /proc."""
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> NUMBERS["SYS_ADMIN"] & 1)


def _version(release: str) -> tuple[int, ...]:
    """The first two numbers of ``6.18.44-generic``."""
    numbers = release.replace("-", ".").replace("+", ".").split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
