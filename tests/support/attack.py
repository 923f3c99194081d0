"""What a hostile archive is, and running one: it must give its error or its tree, and change nothing outside.

``python -m tests.support.attack NAME DIRECTORY`` runs one by itself, for the test that takes guards away.
"""

import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from layers.errors import PybuildError
from layers.tarread import LIMITS, Limits, read_tar
from layers.unpack import unpack
from tests.support.rawtar import END
from tests.support.trees import Content, MemoryTree

EVIL = b"evil"
WRITTEN = "file 644 0:0 evil"
"""``show`` of a file with EVIL in it."""
SECRET = b"nobody may read or write this"
Shown = dict[bytes, str]


class Attack(NamedTuple):
    """``members``: the archive without its end, given the path of the directory it wants to reach.

    ``error``: part of the message it must give; None when it must be unpacked, as ``tree`` says (path to ``show``'s
    words, directories left out unless they are told). ``below``: the layers below.
    """

    name: str
    members: Callable[[bytes], bytes]
    error: str | None = None
    tree: Callable[[bytes], Mapping[bytes, str]] | None = None
    below: Mapping[str, Content] | None = None
    limits: Limits = LIMITS
    end: bytes = END


def archive_of(members: bytes) -> Callable[[bytes], bytes]:
    """Members that don't depend on what is outside."""
    return lambda _: members


def tree_of(tree: Mapping[bytes, str]) -> Callable[[bytes], Mapping[bytes, str]]:
    """The same of a tree."""
    return lambda _: tree


def run(attack: Attack, directory: Path) -> None:
    """Raises AssertionError when the archive does what it wants."""
    outside = directory / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (outside / "secret").chmod(0o600)
    (outside / "subdirectory").mkdir()
    root = directory / "store" / "root"
    root.mkdir(parents=True)
    before = fingerprint(directory, without=root)
    archive = attack.members(os.fsencode(outside)) + attack.end
    below = MemoryTree(attack.below) if attack.below is not None else None
    message = None
    try:
        unpack(read_tar(io.BytesIO(archive).read, limits=attack.limits), str(root), below=below)
    except PybuildError as error:
        message = error.message
    assert fingerprint(directory, without=root) == before, "something outside changed"
    if attack.error is not None:
        assert message is not None, f"unpacked without an error: {show(root)}"
        assert attack.error in message, message
        return
    assert message is None, message
    expected = dict(attack.tree(os.fsencode(outside)) if attack.tree else {})
    shown = show(root)
    ignored = {path for path, what in shown.items() if what == "dir 755 0:0" and path not in expected}
    assert {path: what for path, what in shown.items() if path not in ignored} == expected


def show(root: Path) -> Shown:
    """Each file below a directory in words: kind, mode, owner and what makes it what it is."""
    return {os.fsencode(path.relative_to(root)): _words(path) for path in root.rglob("*")}


def _words(path: Path) -> str:
    status = path.lstat()
    mode = f"{stat.S_IMODE(status.st_mode):o} {status.st_uid}:{status.st_gid}"
    xattrs = "".join(
        f" {name}={os.getxattr(path, name, follow_symlinks=False)!r}"
        for name in sorted(os.listxattr(path, follow_symlinks=False))
    )
    match stat.S_IFMT(status.st_mode):
        case stat.S_IFDIR:
            return f"dir {mode}{xattrs}"
        case stat.S_IFLNK:
            return f"link {path.readlink()}{xattrs}"
        case stat.S_IFREG:
            content = path.read_bytes() if status.st_size < 1 << 20 else b"..."
            links = f" x{status.st_nlink}" if status.st_nlink > 1 else ""
            return f"file {mode}{links} {content.decode(errors='backslashreplace')}{xattrs}"
        case stat.S_IFCHR if status.st_rdev == 0:
            return "whiteout"
        case kind:
            return f"{kind:o} {mode} {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def fingerprint(directory: Path, *, without: Path) -> str:
    """Of all content and metadata below ``directory``, but for what is in ``without``."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_relative_to(without):
            continue
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        xattrs = [(name, os.getxattr(path, name)) for name in sorted(os.listxattr(path, follow_symlinks=False))]
        digest.update(
            repr(
                (
                    path,
                    status.st_mode,
                    (status.st_uid, status.st_gid, status.st_nlink, status.st_ino, status.st_size),
                    (status.st_mtime_ns, status.st_ctime_ns),
                    content,
                    xattrs,
                )
            ).encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def main() -> None:
    from tests.support.hostile import ATTACKS

    name, directory = sys.argv[1:]
    run(next(attack for attack in ATTACKS if attack.name == name), Path(directory))


if __name__ == "__main__":
    main()
