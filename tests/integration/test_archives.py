"""Layers beside other programs (GNU tar, umoci, the kernel's overlay), and archives that are large."""

import gzip
import io
import itertools
import json
import os
import resource
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.compress import default, open_reader
from layers.entry import BytesSource, Entry, Kind
from layers.errors import UnsafeArchive
from layers.overlayfmt import read_upper
from layers.pack import pack
from layers.tarfmt import Limits, read_tar, write_tar
from layers.unpack import unpack
from tests.conftest import REPOSITORY
from tests.support import rawtar
from tests.support.attack import show
from tests.support.trees import MemoryTree

pytestmark = pytest.mark.needs_root

S = 1_000_000_000
LONG = "/".join(["directory-" + "n" * 50] * 4)


def run(*args: str | Path, cwd: Path | None = None) -> bytes:
    done = subprocess.run([str(arg) for arg in args], cwd=cwd, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Everything a layer can hold, in whole seconds."""
    root = tmp_path / "tree"
    for name in ("bin", LONG, "empty", "sticky"):
        (root / name).mkdir(parents=True)
    (root / "sticky").chmod(0o1777)
    (root / "bin/su").write_bytes(b"#!" + os.urandom(200_000))
    os.chown(root / "bin/su", 70_000, 3_000_000)
    (root / "bin/su").chmod(0o6755)
    (root / "bin/linked").hardlink_to(root / "bin/su")
    (root / "bin/ping").write_bytes(b"p")
    os.setxattr(
        root / "bin/ping", "security.capability", bytes.fromhex("01000002002000000000000000000000" + "00000000")
    )
    os.setxattr(root / "bin/ping", "user.note", b"a=b\nc\0d")
    (root / LONG / ("f" * 150)).write_bytes(b"deep")
    (root / "n\u00e4me \n").write_bytes(b"unicode")
    (root / os.fsdecode(b"\xff\xfe")).write_bytes(b"bytes")
    (root / "link").symlink_to("x" * 150)
    os.mkfifo(root / "pipe", 0o640)
    os.mknod(root / "null", 0o20644, os.makedev(1, 3))
    with (root / "sparse").open("wb") as sparse:
        sparse.seek(5 << 20)
        sparse.write(b"data")
        sparse.truncate(9 << 20)
    for index, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, (index, index), follow_symlinks=False)
    return root


def entries(root: Path) -> Iterator[Entry]:
    return read_upper(str(root), MemoryTree())


def times(root: Path) -> dict[Path, float]:
    return {path.relative_to(root): path.lstat().st_mtime for path in root.rglob("*")}


@pytest.mark.needs_tool("tar")
def test_gnu_tar_reads_ours(tree: Path, tmp_path: Path) -> None:
    with (tmp_path / "a.tar").open("wb") as archive:
        write_tar(entries(tree), archive.write)
    copy = tmp_path / "copy"
    copy.mkdir()
    run("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf", tmp_path / "a.tar", "-C", copy)
    assert show(copy) == show(tree)
    assert times(copy) == times(tree)


@pytest.mark.needs_tool("tar")
@pytest.mark.parametrize(
    "options", [["-H", "gnu"], ["-H", "posix", "--xattrs", "--xattrs-include=*"]], ids=["gnu", "pax"]
)
@pytest.mark.parametrize(
    "sparse", [[], ["--sparse"], ["--sparse", "--sparse-version=0.1"]], ids=["full", "sparse", "0.1"]
)
def test_we_read_gnu_tars(tree: Path, tmp_path: Path, options: list[str], sparse: list[str]) -> None:
    if options[1] == "gnu":
        os.removexattr(tree / "bin/ping", "security.capability")
        os.removexattr(tree / "bin/ping", "user.note")
        os.utime(tree / "bin/ping", (1, 1))
    archive = run("tar", *options, *sparse, "--numeric-owner", "-cf", "-", "-C", tree, ".")
    copy = tmp_path / "copy"
    copy.mkdir()
    unpack(read_tar(io.BytesIO(archive).read), str(copy))
    assert show(copy) == show(tree)
    if options[1] == "gnu":
        assert {path: int(time) for path, time in times(copy).items()} == times(tree)


@pytest.mark.needs_tool("umoci")
def test_umoci_unpacks_ours(tree: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    run("umoci", "init", "--layout", image)
    run("umoci", "new", "--image", f"{image}:new")
    for name in ("user.note", "security.capability"):
        os.removexattr(tree / "bin/ping", name)
    changes = [
        [
            *entries(tree),
            Entry(b"zz", Kind.DIRECTORY, 0o755),
            Entry(b"zz/old", Kind.FILE, 0o644, source=BytesSource(b"")),
        ],
        [
            Entry(b"bin", Kind.DIRECTORY, 0o755),
            Entry(b"bin/ping", Kind.WHITEOUT),
            Entry(b"zz", Kind.DIRECTORY, 0o700),
            Entry(b"zz", Kind.OPAQUE),
            Entry(b"zz/new", Kind.FILE, 0o644, size=1, source=BytesSource(b"1")),
        ],
    ]
    for number, layer in enumerate(changes):
        with (tmp_path / f"{number}.tar").open("wb") as archive:
            write_tar(layer, archive.write)
        run("umoci", "raw", "add-layer", "--image", f"{image}:new", tmp_path / f"{number}.tar")
    run("umoci", "raw", "unpack", "--image", f"{image}:new", tmp_path / "bundle")
    expected = show(tree)
    del expected[b"bin/ping"]
    expected.update({b"zz": "dir 700 0:0", b"zz/new": "file 644 0:0 1"})
    assert show(tmp_path / "bundle") == expected


@pytest.mark.parametrize("seconds", [None, 3])
def test_the_kernel_reads_what_is_unpacked_and_we_read_what_it_writes(
    tree: Path, tmp_path: Path, seconds: int | None
) -> None:
    """A layer of every kind below, changes made through a real overlay mount, its upper packed and unpacked."""
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir()
    unpack(entries(tree), str(lower))
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr,index=off,metacopy=off"
    run("mount", "-t", "overlay", "overlay", "-o", options, merged)
    try:
        (merged / "bin/ping").unlink()
        run("rm", "-r", merged / "sticky")
        (merged / "sticky").mkdir()
        (merged / "sticky/new").write_bytes(b"new")
        run("cp", "-a", merged / "bin/su", merged / "empty/su")
        (merged / "null").chmod(0o644)  # a copy-up that changes nothing
        (merged / "unused").write_bytes(b"")
        (merged / "unused").unlink()
        expected = show(merged)
    finally:
        run("umount", merged)
    below = _tree_of(lower)
    layer = io.BytesIO()
    write_tar(read_upper(str(upper), below), layer.write, clamp=seconds)
    names = [(entry.path, entry.kind) for entry in read_tar(io.BytesIO(layer.getvalue()).read)]
    assert names == [
        (b"bin", Kind.DIRECTORY),
        (b"bin/ping", Kind.WHITEOUT),
        (b"empty", Kind.DIRECTORY),
        (b"empty/su", Kind.FILE),
        (b"sticky", Kind.DIRECTORY),
        (b"sticky", Kind.OPAQUE),
        (b"sticky/new", Kind.FILE),
    ]
    second = tmp_path / "second"
    second.mkdir()
    unpack(read_tar(io.BytesIO(layer.getvalue()).read), str(second), below=below)
    run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={second}:{lower},userxattr", merged)
    try:
        assert show(merged) == expected
    finally:
        run("umount", merged)


def _tree_of(root: Path) -> MemoryTree:
    tree = MemoryTree()
    for entry in read_upper(str(root), MemoryTree()):
        tree._put(entry)
    return tree


@pytest.mark.slow
def test_ten_gibibytes_of_zeros(tmp_path: Path) -> None:
    """A right result: a file of that size, which takes no space; or, below a limit, an error."""
    piece = zlib.compressobj(9, zlib.DEFLATED, 31)
    gigabyte = b"".join(piece.compress(bytes(1 << 20)) for _ in range(1 << 10)) + piece.flush()
    head = gzip.compress(rawtar.header(b"zeros", size=b"\x80" + (10 << 30).to_bytes(11, "big")))
    bomb = head + gigabyte * 10 + gzip.compress(rawtar.END)
    assert len(bomb) < 12 << 20
    unpack(read_tar(open_reader(io.BytesIO(bomb).read)), str(tmp_path))
    assert (tmp_path / "zeros").stat().st_size == 10 << 30
    assert (tmp_path / "zeros").stat().st_blocks * 512 < 1 << 20
    limited = read_tar(open_reader(io.BytesIO(bomb).read), limits=Limits(content=5 << 30))
    with pytest.raises(UnsafeArchive, match="zeros: the archive's files would take more than"):
        next(limited)


class _Endless:
    """An archive of ``count`` empty files, made as it is read."""

    def __init__(self, count: int) -> None:
        self.blocks = (rawtar.header(b"%d" % number) for number in range(count))

    def read(self, size: int) -> bytes:
        return b"".join(itertools.islice(self.blocks, max(1, size // 512)))


@pytest.mark.slow
def test_a_million_entries(tmp_path: Path) -> None:
    """Read with bounded memory; refused, before much is written, where the limit is lower."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in read_tar(_Endless(1_000_000).read)) == 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10
    with pytest.raises(UnsafeArchive, match="more than 1000 headers"):
        unpack(read_tar(_Endless(1_000_000).read, limits=Limits(headers=1000)), str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1000


_PACK = """
import json, os, resource, sys
from layers.compress import default, open_reader
from layers.entry import Entry, FileSource, Kind
from layers.pack import pack
from layers.tarfmt import read_tar
from layers.unpack import unpack
source, blob, root, kind = sys.argv[1:]
entry = Entry(b"big", Kind.FILE, 0o644, size=os.path.getsize(source), source=FileSource(os.fsencode(source)))
with open(blob, "wb") as out:
    pack([entry], out.write, default(kind), seen=lambda entry, digest: None)
with open(blob, "rb") as stream:
    unpack(read_tar(open_reader(stream.read)), root, seen=lambda entry, digest: None)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_a_gibibyte_in_bounded_memory(tmp_path: Path, kind: str) -> None:
    """Packed and unpacked in a process of its own, under 200 MiB resident."""
    source = tmp_path / "source"
    noise = os.urandom(1 << 20)
    with source.open("wb") as out:
        for number in range(1 << 10):
            out.write(noise if number % 2 else b"%010d" % number * 104_857 + b"filled")
    (tmp_path / "root").mkdir()
    peak = json.loads(
        run(sys.executable, "-c", _PACK, source, tmp_path / "blob", tmp_path / "root", kind, cwd=REPOSITORY)
    )
    assert peak < 200 << 10
    run("cmp", source, tmp_path / "root/big")


def test_many_small_files_pack_the_same_twice(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(600):
        path = root / f"{number % 20}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * (number % 300))
    blobs = []
    for _ in range(2):
        out = io.BytesIO()
        packed = pack(entries(root), out.write, default("gzip"), clamp=0)
        blobs.append((packed, out.getvalue()))
    assert blobs[0] == blobs[1]
