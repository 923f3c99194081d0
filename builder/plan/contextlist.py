"""Which names of a directory a build sees, and which line of an ignore file decided: one name at a time.

What is ignored as a whole is named, and not looked into; of the rest only one directory a level is held.
"""

import os
import stat
from collections.abc import Iterator

from builder.dockerfile.ignore import Matcher, Rule
from builder.plan.hashing import unreadable
from layers.entry import Kind
from layers.listed import KINDS
from layers.tuples import NamedTuple


class Listed(NamedTuple):
    """``path`` is relative to the context's root. ``state``: ``in``, ``out``, or ``part`` (of an ignored directory
    that a later line may take something back from). ``size``: bytes of a file, else None. ``rule``: what decided."""

    path: bytes
    kind: Kind | None
    size: int | None
    state: str
    rule: Rule | None


def listing(root: str, matcher: Matcher | None) -> Iterator[Listed]:
    """Parents first, siblings in order of names. ``kind`` is None for what no context can hold.

    Raises PybuildError for what may not be read.
    """
    todo = [iter(_scan(os.fsencode(root), b""))]
    while todo:
        found = next(todo[-1], None)
        if found is None:
            todo.pop()
            continue
        path, status = found
        item = _judge(path, status, matcher)
        yield item
        if item.kind is Kind.DIRECTORY and item.state != "out":
            todo.append(iter(_scan(os.fsencode(root), path)))


def _scan(root: bytes, path: bytes) -> list[tuple[bytes, os.stat_result]]:
    host = root + b"/" + path if path else root
    prefix = path + b"/" if path else b""
    found = []
    try:
        with os.scandir(host) as names:
            for name in names:
                try:
                    found.append((prefix + name.name, name.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue  # gone since the directory was read
    except PermissionError as error:
        raise unreadable(host) from error
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found)


def _judge(path: bytes, status: os.stat_result, matcher: Matcher | None) -> Listed:
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    size = status.st_size if kind is Kind.FILE else None
    rule = matcher.rule(path) if matcher is not None else None
    if kind is None:
        return Listed(path, None, size, "out", rule)
    if matcher is None or rule is None or rule.takes_back:
        return Listed(path, kind, size, "in", rule)
    partly = kind is Kind.DIRECTORY and matcher.may_descend(path)
    return Listed(path, kind, size, "part" if partly else "out", rule)
