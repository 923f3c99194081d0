"""Each guard of the archive code is taken away in a copy of it; the archive it is against must then do its harm.

A guard without such a test is one nobody would miss if it broke.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import REPOSITORY
from tests.support.hostile import ATTACKS

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]


class Guard(NamedTuple):
    module: str
    present: str
    absent: str
    attack: str


GUARDS = (
    Guard("descent", "os.O_DIRECTORY | os.O_NOFOLLOW", "os.O_DIRECTORY", "file-below-absolute-link"),
    Guard("descent", "os.O_DIRECTORY | os.O_NOFOLLOW", "os.O_DIRECTORY", "parent-replaced-by-link"),
    Guard("descent", "os.O_DIRECTORY | os.O_NOFOLLOW", "os.O_DIRECTORY", "deletion-through-link"),
    Guard("descent", "os.O_DIRECTORY | os.O_NOFOLLOW", "os.O_DIRECTORY", "hard-link-through-link"),
    Guard(
        "descent",
        "if len(self._chain) > 1:\n            self.place.leave()",
        "if True:\n            self.place.leave()",
        "file-below-dotdot-link",
    ),
    Guard("descent", "if followed > MAX_LINKS:", "if False:", "links-in-a-circle"),
    Guard("descent", "if len(self._chain) > MAX_DEPTH:", "if False:", "300-directories-deep"),
    Guard("descent", "if not overlayfmt.is_whiteout(status):", "if False:", "file-as-parent"),
    Guard(
        "descent",
        "self._implicit(Entry(path, Kind.DIRECTORY, 0o755), name, opaque=True)",
        "self._implicit(Entry(path, Kind.DIRECTORY, 0o755), name, opaque=False)",
        "parent-implied-after-its-deletion",
    ),
    Guard("descent", "case Kind.SYMLINK:", "case Kind.FIFO:", "parent-is-a-link-below"),
    Guard(
        "descent",
        "if overlayfmt.is_reserved_xattr(name):\n            continue",
        "if False:\n            continue",
        "overlay-attributes",
    ),
    Guard(
        "descent",
        "follow_symlinks=isinstance(file, int)",
        "follow_symlinks=True",
        "link-with-attributes-for-the-outside",
    ),
    Guard(
        "descent",
        "    owners.give(fd, entry.uid, entry.gid)\n    os.fchmod(fd, entry.mode)\n",
        "    os.fchmod(fd, entry.mode)\n    owners.give(fd, entry.uid, entry.gid)\n",
        "setuid-kept-after-change-of-owner",
    ),
    Guard("unpack", "os.O_EXCL | os.O_NOFOLLOW", "0", "file-over-link"),
    Guard("unpack", 'b".." in path.split(b"/")', "False", "dotdot"),
    Guard("unpack", "if len(path) > MAX_PATH:", "if False:", "path-of-4999-bytes"),
    Guard("unpack", "    refuse_whiteout(entry)\n", "", "device-0-0"),
    Guard("unpack", "    refuse_whiteout(entry)\n", "", "block-device-0-0"),
    Guard(
        "unpack",
        "dst_dir_fd=directory, follow_symlinks=False",
        "dst_dir_fd=directory, follow_symlinks=True",
        "hard-link-to-link",
    ),
    Guard("unpack", "if stat.S_ISREG(status.st_mode):", "if True:", "hard-link-to-link"),
    Guard("unpack", "or overlayfmt.is_whiteout(status)", "", "hard-link-to-deletion-mark"),
    Guard(
        "unpack",
        "dir_fd=place.fd, follow_symlinks=False)\n            if entry.kind",
        "dir_fd=place.fd)\n            if entry.kind",
        "link-with-the-outside's-mode-owner-and-time",
    ),
    Guard("unpack", "if entry.kind is not Kind.SYMLINK:", "if True:", "link-with-the-outside's-mode-owner-and-time"),
    Guard(
        "unpack",
        "dir_fd=place.fd, follow_symlinks=False)\n\n    def _whiteout",
        "dir_fd=place.fd)\n\n    def _whiteout",
        "link-with-the-outside's-mode-owner-and-time",
    ),
    Guard(
        "unpack",
        "status = os.stat(name, dir_fd=place.fd, follow_symlinks=False)\n            if stat.S_ISDIR",
        "status = os.stat(name, dir_fd=place.fd)\n            if stat.S_ISDIR",
        "directory-over-link",
    ),
    Guard("unpack", "entry.mtime_ns, opaque=True)", "entry.mtime_ns, opaque=False)", "directory-deleted-then-made"),
    Guard("unpack", "if link != entry.path:", "if True:", "hard-link-over-itself"),
    Guard("unpack", "for was in self._descent.children_below():", "for was in ():", "root-opaque"),
    Guard("tarread", 'if deleted in {b"", b".", b".."}:', "if False:", "deletion-of-dotdot"),
    Guard("tarread", "if part.startswith(WHITEOUT_PREFIX):", "if False:", "file-below-deletion-mark"),
    Guard("tarread", "if part.startswith(_AUFS_PREFIX):", "if False:", "aufs-leftovers"),
    Guard("tarread", "if not path:", "if False:", "root-replaced-by-link"),
    Guard("tarread", "if headers > limits.headers:", "if False:", "headers-that-only-describe"),
    Guard("tarread", "if total > limits.content:", "if False:", "sizes-beyond-the-limit-together"),
    Guard("tarread", "if size > tarmeta.MAX_DESCRIPTION:", "if False:", "pax-header-of-8-gib"),
    Guard("tarread", "if second and second != _ZERO_BLOCK:", "if False:", "empty-block-in-the-middle"),
    Guard("tarread", "if limit < 0:", "if False:", "goes-on-behind-its-end"),
    Guard("tarread", "if block and len(block) < BLOCK:", "if False:", "ends-inside-a-header"),
    Guard("tarmeta", "number(stored) not in {summed, signed_checksum(block)}", "False", "wrong-checksum"),
    Guard("tarmeta", "if size_value < 0:", "if False:", "size-negative"),
    Guard("tarmeta", "0 if typeflag in HEADER_ONLY else size_value", "size_value", "size-on-a-directory-hides-nothing"),
    Guard("tarmeta", "if member.typeflag in HEADER_ONLY:", "if False:", "size-on-a-hard-link-hides-nothing"),
    Guard(
        "tarmeta",
        'if b"\\0" in name or len(name) > 255 or len(value) > 1 << 16:',
        "if False:",
        "attribute-name-with-zero-byte",
    ),
    Guard("tarmeta", 'if b"\\0" in value:', "if False:", "zero-byte-in-pax-path"),
    Guard("tarmeta", "if not value.isdigit() or len(value) > 19:", "if False:", "pax-size-in-words"),
    Guard("tarmeta", "if abs(seconds) > _LATEST:", "if False:", "time-beyond-time"),
    Guard("tarmeta", "if not 0 <= value < _NO_ID:", "if False:", "owner-minus-one"),
    Guard("tarmeta", "if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):", "if False:", "device-beyond-linux"),
    Guard("tarheader", 'digits.translate(None, b"01234567")', "False", "size-in-words"),
    Guard("tarheader", 'body[end - 1 : end] != b"\\n" or ', "", "pax-record-longer-than-its-header"),
    Guard("tarheader", 'body[end - 1 : end] != b"\\n" or ', "", "pax-record-without-newline"),
    Guard("tarheader", "or not equals or not key", "", "pax-record-of-length-zero"),
    Guard("tarheader", "or not key", "", "pax-header-with-a-lie-about-itself"),
    Guard(
        "tarsparse",
        "if not (end <= offset <= offset + length <= self.size) or length < 0:",
        "if False:",
        "sparse-pieces-overlap",
    ),
    Guard("tarsparse", "if found.stored != left:", "if False:", "sparse-data-without-pieces"),
    Guard("tarsparse", "if len(rest) > BLOCK or used >= size:", "if False:", "sparse-map-without-end"),
    Guard("tarsparse", 'if b"\\0" in path:', "if False:", "zero-byte-in-sparse-name"),
    Guard("tarsparse", "if len(numbers) % 2:", "if False:", "sparse-half-a-piece"),
    Guard("tarsparse", "if not text.isdigit() or len(text) > 19:", "if False:", "sparse-number-in-words"),
)


def _run(attack: str, directory: Path, code: Path) -> int:
    """Runs one attack with the packages below ``code``; 0 when it is held off."""
    directory.mkdir()
    try:
        return subprocess.run(
            [sys.executable, "-m", "tests.support.attack", attack, str(directory)],
            cwd=code,
            env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            timeout=20,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return -1


@pytest.fixture
def code(tmp_path: Path) -> Path:
    copy = tmp_path / "code"
    shutil.copytree(REPOSITORY / "layers", copy / "layers", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "tests").symlink_to(REPOSITORY / "tests")
    return copy


def test_a_whole_copy_holds_attacks_off(code: Path, tmp_path: Path) -> None:
    assert _run("file-below-absolute-link", tmp_path / "run", code) == 0


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.module}:{guard.present[:40]}:{guard.attack}")
def test_guard_is_needed(guard: Guard, code: Path, tmp_path: Path) -> None:
    assert any(attack.name == guard.attack for attack in ATTACKS)
    module = code / "layers" / f"{guard.module}.py"
    source = module.read_text()
    assert guard.present in source, "the guard is written otherwise now: change its line here"
    module.write_text(source.replace(guard.present, guard.absent))
    assert _run(guard.attack, tmp_path / "run", code) != 0
