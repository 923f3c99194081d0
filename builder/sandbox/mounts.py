"""What a step asks to have mounted: opened while the host is still in sight, attached inside of the root.

A source is opened as a mount that is attached nowhere (open_tree(2)), so that no path leads from the new root to the
old one, and no link of either can point into the other. Only bind mounts, tmpfs and overlays: what a user namespace
may do as well.
"""

import os
import stat

from builder.sandbox import kernel, stubs
from builder.sandbox.job import Job, JobMount
from builder.sandbox.kernel import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    mount,
    open_mount,
    unmount,
)
from builder.sandbox.stage import ROOT

_PLACE = b"/" + ROOT
"""Where sources are mounted for a moment, to be opened. The root itself comes there later."""


def open_sources(job: Job) -> list[int]:
    """A descriptor of each of ``job.mounts``. The current directory changes. Raises OSError."""
    return [_opened(wanted) for wanted in job.mounts]


def attach(job: Job, opened: list[int]) -> None:
    """Mounts them, in order; the process's root directory is the step's. Raises OSError."""
    for wanted, descriptor in zip(job.mounts, opened, strict=True):
        target, directory = wanted[1], wanted[2]
        mode = _mode(target) if wanted[0] == "tmpfs" and not wanted[3] else None
        place = stubs.make(target, directory=directory)
        if os.path.isdir(place) != directory:
            kinds = (b"a directory", b"a file") if directory else (b"a file", b"a directory")
            text = b"%b cannot be mounted on %b, which is %b" % (kinds[0], target, kinds[1])
            raise NotADirectoryError(20, text.decode(errors="replace"))
        kernel.attach(descriptor, place)
        os.close(descriptor)
        if mode is not None:
            os.chmod(place, mode)


def _mode(target: bytes) -> int | None:
    """Of the directory that is there already: a tmpfs takes it over, as runc's do."""
    place = os.path.realpath(target)
    return stat.S_IMODE(os.stat(place).st_mode) if os.path.isdir(place) else None


def _opened(wanted: JobMount) -> int:
    kind, _, _, read_only, texts, numbers = wanted
    flags = MS_NODEV | (MS_RDONLY if read_only else 0)
    if kind == "tree":
        return _tree(texts[0], texts[1], texts[2], flags)
    if kind in {"host", "device"}:
        return open_mount(texts[0], flags & ~MS_NODEV if kind == "device" else flags)
    if kind == "tmpfs":
        return _tmpfs(numbers[0], flags)
    return _secret(texts[0], numbers, flags)


def _tree(directory: bytes, options: bytes, source: bytes, flags: int) -> int:
    os.chdir(directory)  # noqa: TID251  # a process of one thread, about to become the command
    mount(b"overlay", _PLACE, b"overlay", MS_NODEV, options)
    try:
        return open_mount(_PLACE + b"/" + source if source else _PLACE, flags)
    finally:
        unmount(_PLACE)


def _tmpfs(size: int, flags: int) -> int:
    options = b"mode=1777,size=%d" % size if size else b"mode=1777"
    mount(b"tmpfs", _PLACE, b"tmpfs", MS_NOSUID | MS_NODEV, options)
    try:
        return open_mount(_PLACE, flags | MS_NOSUID)
    finally:
        unmount(_PLACE)


def _secret(data: bytes, numbers: tuple[int, ...], flags: int) -> int:
    """On a tmpfs of its own, which holds nothing else and takes nothing more."""
    mode, uid, gid = numbers
    mount(b"tmpfs", _PLACE, b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=700,size=%d" % (len(data) + 8192))
    try:
        path = _PLACE + b"/secret"
        with open(path, "wb") as file:
            file.write(data)
            os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode & 0o777)
        return open_mount(path, flags | MS_NOSUID | (0 if mode & 0o111 else MS_NOEXEC))
    finally:
        unmount(_PLACE)
