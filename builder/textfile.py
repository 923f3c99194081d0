"""Reads the files that say what to build, wherever they come from: a context may be anybody's."""

import os
import stat

from layers.errors import PybuildError

MAX_TEXT = 64 << 20
"""Bytes of the longest Dockerfile or ignore file: heredocs may be large, ``/dev/zero`` is not a Dockerfile."""


def read_text(path: str, *, special: bool = False) -> bytes:
    """A Dockerfile or an ignore file. ``special``: it may be a pipe, since the user named it.

    Raises PybuildError for what is no regular file, or longer than MAX_TEXT; OSError as open(2) does.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | (0 if special else os.O_NONBLOCK)
    descriptor = os.open(path, flags)
    try:
        if not special and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PybuildError(f"{path} is not a regular file", hint="remove it from the context", code="unreadable")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            text = file.read(MAX_TEXT + 1)
    finally:
        os.close(descriptor)
    if len(text) > MAX_TEXT:
        raise PybuildError(f"{path} has more than {MAX_TEXT >> 20} MiB", hint="COPY large files", code="unreadable")
    return text


def read_ignores(path: str) -> bytes | None:
    """An ignore file; None when there is none, or a directory in its place, as BuildKit has it. Raises as above."""
    try:
        return read_text(path)
    except FileNotFoundError:
        return None
    except PybuildError:
        if stat.S_ISDIR(os.stat(path).st_mode):  # noqa: PTH116 - text in
            return None
        raise
