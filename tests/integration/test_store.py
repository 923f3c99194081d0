"""The store under real conditions: kernel overlays, several processes at once, kill -9 at any moment, prune beside."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.compress import NONE, Compression
from layers.digest import CacheKey, Digest, LayerId, Rootfs
from layers.entry import BytesSource, Entry, FileSource, Kind
from layers.store import Store
from layers.tree import Tree
from tests.conftest import REPOSITORY

SEED = 20261122
GZIP = Compression("gzip", 6)


@pytest.fixture(autouse=True)
def _no_background_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layers.durability.start", lambda root: None)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode)


def file(path: bytes, data: bytes) -> Entry:
    return Entry(path, Kind.FILE, 0o644, size=len(data), source=BytesSource(data))


# Overlays


BASE = (
    directory(b"d"),
    file(b"d/deleted", b"1"),
    file(b"d/touched", b"2"),
    directory(b"d/sub"),
    file(b"d/sub/x", b"3"),
    directory(b"emptied", 0o700),
    file(b"emptied/x", b"4"),
    file(b"linked", b"5"),
    Entry(b"link", Kind.SYMLINK, 0o777, link=b"d/sub"),
    directory(b"tmp", 0o1777),
)

SCRIPT = """\
rm d/deleted && chmod 600 d/touched && chmod 600 d/touched
rm -r emptied && mkdir -m 750 emptied && echo new > emptied/y
ln linked other && mknod null c 1 3 && mkfifo fifo
echo data > tmp/file && rm tmp/file
mv d/sub moved && rm link && mkdir link && echo z > link/z
setfattr() { python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.note", b"kept")' "$1"; }; setfattr moved
cat d/touched > /dev/null && chown 5:6 moved/x
"""

LIST = """\
import os, stat, sys
for here, folders, files in os.walk("."):
    for name in sorted(folders + files):
        path = os.path.join(here, name)
        status = os.lstat(path)
        data = open(path, "rb").read() if stat.S_ISREG(status.st_mode) else b""
        link = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
        xattrs = [(n, os.getxattr(path, n, follow_symlinks=False)) for n in os.listxattr(path, follow_symlinks=False)]
        xattrs = [pair for pair in xattrs if not pair[0].startswith("user.overlay.")]
        print((path[2:], oct(status.st_mode), status.st_uid, status.st_gid, status.st_rdev, data, link, xattrs))
"""


def in_overlay(store: Store, rootfs: Rootfs, script: str) -> tuple[LayerId, str]:
    """Runs a script in a mounted workspace; gives the layer and what the kernel showed at the end."""
    space = store.workspace(rootfs)
    merged = Path(space.work).parent / "merged"
    merged.mkdir()
    options = f"lowerdir={':'.join(reversed(space.lowers))},upperdir={space.upper},workdir={space.work}"
    lister = Path(store.root).parent / "list.py"
    lister.write_text(LIST)
    shell = (
        f"set -e; cd {space.directory}; mount -t overlay overlay {merged}"
        f" -o {options},userxattr,volatile,index=off,metacopy=off; cd {merged}; {script}\n{sys.executable} {lister}"
    )
    shown = subprocess.run(["unshare", "--mount", "sh", "-c", shell], check=True, capture_output=True, text=True)
    return space.commit(), shown.stdout


def listing(tree: Tree, path: bytes = b"") -> Iterator[str]:
    """As LIST gives it, of a Tree."""
    types = {Kind.FILE: 0o100000, Kind.DIRECTORY: 0o040000, Kind.SYMLINK: 0o120000, Kind.CHAR: 0o020000}
    for entry in tree.children(path):
        mode = oct(types.get(entry.kind, 0o010000) | entry.mode)
        device = os.makedev(*entry.device) if entry.device else 0
        data = b""
        if isinstance(entry.source, FileSource):
            data = Path(os.fsdecode(entry.source.path)).read_bytes()
        link = entry.link.decode() if entry.link else ""
        xattrs = [(name.decode(), value) for name, value in entry.xattrs]
        yield str((entry.path.decode(), mode, entry.uid, entry.gid, device, data, link, xattrs))
        if entry.kind is Kind.DIRECTORY:
            yield from listing(tree, entry.path)


@pytest.mark.needs_root
def test_the_view_is_what_the_kernel_shows(root: str) -> None:
    """Of a layer as the kernel left it, and of the same layer packed, forgotten and unpacked."""
    with Store.open(root) as store:
        base = store.add_layer(BASE, ())
        top, shown = in_overlay(store, (base,), SCRIPT)
        expected = sorted(shown.splitlines())
        assert len(expected) == 13
        assert sorted(listing(store.tree((base, top), contents=True))) == expected
        diff_id = store.diff_id(top, None)
        again = store.import_layer(diff_id, store.blob(top, None, GZIP), (base,))
        assert sorted(listing(store.tree((base, again), contents=True))) == expected
        assert store.diff_id(again, None) == diff_id
        described = sorted(line.split(", b", 1)[0] for line in listing(store.tree((base, again))))
        assert described == sorted(line.split(", b", 1)[0] for line in expected)
        _, seen = in_overlay(store, (base, again), "true")
        assert sorted(seen.splitlines()) == expected
        assert store.check() == []


@pytest.mark.needs_root
def test_a_step_that_changes_nothing_is_an_empty_layer(root: str) -> None:
    with Store.open(root) as store:
        base = store.add_layer(BASE, ())
        top, _ = in_overlay(store, (base,), "chmod 1777 tmp; touch tmp/x; rm tmp/x; chmod 644 d/touched")
        assert store.diff_id(top, None) == store.diff_id(store.add_layer((), ()), None)


@pytest.mark.needs_root
def test_many_layers(root: str) -> None:
    with Store.open(root) as store:
        rootfs: Rootfs = ()
        for number in range(60):
            rootfs += (store.add_layer((file(b"f%02d" % number, b"x"), file(b"last", b"%d" % number)), rootfs),)
        top, shown = in_overlay(store, rootfs, "rm f07")
        assert len(shown.splitlines()) == 60
        assert sorted(listing(store.tree((*rootfs, top), contents=True))) == sorted(shown.splitlines())


# Several processes


WORK = """
import os, sys, random
from pathlib import Path
from layers.compress import NONE, Compression
from layers.digest import CacheKey, Digest
from layers.entry import BytesSource, Entry, Kind
from layers.errors import NotInStore
from layers.store import Store

root, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)

def entries(what):
    data = Digest.of(what.encode()).hex.encode()
    yield Entry(b"d", Kind.DIRECTORY, 0o755)
    for number in range(chance.randrange(1, 300) if what == "own" else 150):
        size = 200 if number else 300_000
        yield Entry(b"d/%03d" % number, Kind.FILE, 0o644, size=size, source=BytesSource((data * 5000)[:size]))

def build(store, name):
    key = CacheKey(Digest.of(name.encode()))
    found = store.find_steps([key]).get(key)
    if found is not None:
        rootfs = found.rootfs
    else:
        base = store.add_layer(entries(name), ())
        space = store.workspace((base,))
        Path(space.upper, "made").write_bytes(name.encode() * 50_000)
        top = space.commit()
        rootfs = (base, top)
        store.record_step(key, key, rootfs, top, 1.0)
    tree = store.tree(rootfs, contents=True)
    entry = tree.lookup(b"made")
    assert Path(os.fsdecode(entry.source.path)).read_bytes() == name.encode() * 50_000
    assert len(tree.children(b"d")) > 0
    store.blob(rootfs[1], chance.choice((None, 5)), Compression("gzip", 1))
    store.blob(rootfs[0], 5, Compression("zstd", 1))
    store.put_image(name.encode(), rootfs, (None, None), ("latest:" + name,))

print("ready", flush=True)
sys.stdin.readline()
for _ in range(rounds):
    with Store.open(root) as store:
        build(store, f"shared {chance.randrange(3)}")
        build(store, f"own {seed} {chance.randrange(3)}")
"""


def start(root: str, seed: int, rounds: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORK, root, str(seed), str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def names(path: str) -> list[str]:
    return sorted(found.name for found in Path(path).iterdir())


def rubbish(root: str) -> list[str]:
    return [name for folder in ("tmp", "leases") for name in names(f"{root}/{folder}")]


@pytest.mark.needs_root
def test_processes_building_the_same_and_different_things(root: str) -> None:
    processes = [start(root, seed, 6) for seed in range(4)]
    for process in processes:
        go(process)
    for process in processes:
        finish(process)
    assert rubbish(root) == []
    with Store.open(root) as store:
        assert store.check() == []
        assert {image.names[0] for image in store.images()} >= {"latest:shared 0", "latest:own 3 1"}


@pytest.mark.needs_root
def test_prune_beside_running_builds(root: str) -> None:
    processes = [start(root, seed, 12) for seed in range(2)]
    for process in processes:
        go(process)
    prunes = 0
    while any(process.poll() is None for process in processes):
        with Store.open(root) as store:
            for image in store.images()[::2]:
                if image.names:
                    store.untag(image.names[0])
            store.prune(all=True)
            prunes += 1
    for process in processes:
        finish(process)
    assert prunes > 5
    with Store.open(root) as store:
        assert store.check() == []
        for image in store.images():
            for name in image.names:
                store.untag(name)
        store.prune(all=True)
        assert store.check() == []
        assert not any(store.blobs)
    assert names(f"{root}/indexes") == []


def unfinished(root: str) -> list[str]:
    """What somebody is writing, or was when he died."""
    return sorted(str(path) for path in Path(root).glob("tmp/*/*"))


@pytest.mark.needs_root
@pytest.mark.slow
def test_kill_at_any_moment(root: str) -> None:
    """Nothing half-made is left after the next opening, every blob is whole, no record dangles, work goes on."""
    chance = random.Random(SEED)
    caught = 0
    for moment in range(40):
        process = start(root, moment % 3, 1000)
        go(process)
        deadline = time.monotonic() + 10
        while not unfinished(root) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        caught += bool(unfinished(root))
        with Store.open(root) as store:
            assert unfinished(root) == []
            assert store.check() == []
            recorded = store._context.layers.with_snapshot()
            folders = set(names(f"{root}/snapshots")) - {"empty"}
            assert folders == {str(layer) for layer in recorded}
            if moment % 5 == 4:
                store.prune(all=True)
                assert store.check() == []
        assert rubbish(root) == []
    assert caught > 10
    process = start(root, 1, 2)
    go(process)
    finish(process)


@pytest.mark.needs_root
def test_two_processes_unpacking_one_layer(root: str) -> None:
    """Stores of one process count as processes: both find the layer without a snapshot and unpack it."""
    with Store.open(root) as one, Store.open(root) as two:
        layer = one.add_layer((file(b"%04d" % number, b"x") for number in range(2000)), ())
        key = CacheKey(Digest.of(b"k"))
        one.record_step(key, key, (layer,), layer, 1.0)
        assert two.find_steps([key])
        counts = []
        threads = [
            threading.Thread(target=lambda s=s: counts.append(len(s.tree((layer,), contents=True).children(b""))))
            for s in (one, two)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [2000, 2000]
        assert one.check() == []
        assert one.blob(layer, None, NONE) == two.blob(layer, None, NONE)
    assert rubbish(root) == []
