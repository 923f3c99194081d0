"""Runs a program as an ordinary user: ``python -m tests.support.as_user USER PATH... -- PROGRAM ARGUMENT...`` as root.

The PATHs are visible to it even below a directory that is closed to others (Python in root's home, pytest's temporary
directories): such a directory is replaced, in a mount namespace of its own, by one that holds nothing else.
"""

import os
import pwd
import stat
import sys
from pathlib import Path

from builder.sandbox.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, bind, mount, unshare


def closed(path: Path) -> Path | None:
    """The outermost directory above ``path`` that others cannot go through."""
    for directory in reversed(path.parents):
        if not directory.stat().st_mode & stat.S_IXOTH:
            return directory
    return None


def reveal(paths: list[Path]) -> None:
    hidden = {path: directory for path in paths if (directory := closed(path)) is not None}
    if not hidden:
        return
    unshare(CLONE_NEWNS)
    mount(b"", b"/", b"", MS_REC | MS_PRIVATE)
    sources = {path: os.open(path, os.O_PATH) for path in hidden}
    for directory in set(hidden.values()):
        mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, b"mode=755")
    for path, source in sources.items():
        path.mkdir(parents=True, exist_ok=True)
        bind(b"/proc/self/fd/%d" % source, os.fsencode(path), MS_REC)
        os.close(source)


def main(user: str, *rest: str) -> None:
    split = rest.index("--")
    reveal([Path(path).resolve() for path in rest[:split]])
    account = pwd.getpwnam(user)
    os.initgroups(user, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    program = rest[split + 1 :]
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(*sys.argv[1:])
