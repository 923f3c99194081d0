"""Reads a file of a context that somebody else packed: its links lead nowhere but into the context."""

import os

from builder.plan.context import open_context
from builder.plan.contextmemory import NOTHING_KNOWN
from layers.errors import PybuildError
from layers.tree import read_file, resolve


def read_inside(directory: str, name: str, limit: int) -> bytes | None:
    """The file called ``name``, a path from the root of ``directory``; None when there is none. At most ``limit`` + 1
    bytes. Raises PybuildError for what is no file."""
    tree = open_context(directory, None, NOTHING_KNOWN)
    try:
        path = resolve(tree, os.fsencode(name))
        entry = tree.lookup(path)
        if entry is None:
            return None
        text = read_file(tree, path, limit)
    except (OSError, ValueError) as error:
        raise PybuildError(f"{name}: {error}", code="unreadable") from error
    if text is None:
        raise PybuildError(f"{name} is not a regular file", code="unreadable")
    return text
