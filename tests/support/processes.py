"""Processes and mounts of builds, found in /proc: what must be gone when a build is, and what may still be there."""

import os
import time
from pathlib import Path

GRACE_S = 2.0
"""How long after its end something of a build may still be seen."""

SYNCER = b"layers.durability"
"""The process that a *finished* build leaves behind on purpose: it waits for the disk and holds nothing else."""


def leftovers(store: Path) -> list[str]:
    """Processes and mounts that still know the store (a step's own mount namespace names it in its mountinfo)."""
    found = []
    needle = os.fsencode(store)
    for process in Path("/proc").glob("[0-9]*"):
        if int(process.name) == os.getpid():
            continue
        try:
            if SYNCER in (process / "cmdline").read_bytes():
                continue
            for name in ("cmdline", "mountinfo"):
                if needle in (process / name).read_bytes():
                    found.append(f"{process.name} {name} {(process / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


def settle(store: Path) -> None:
    """Waits for the syncing process of a finished build, whose database must not be copied under its hands."""
    deadline = time.monotonic() + 60
    while syncing(store) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not syncing(store)


def syncing(store: Path) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if SYNCER in words and os.fsencode(store) in words:
            return True
    return False


def wait_until_gone(store: Path) -> None:
    deadline = time.monotonic() + GRACE_S
    while (left := leftovers(store)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left, left


def descendants(parent: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(process.name))
    found, todo = [], [parent]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found
