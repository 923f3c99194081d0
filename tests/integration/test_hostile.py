"""Dockerfiles, contexts and bases that mean harm: a clear end, nothing outside of the store touched, nothing left."""

import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from layers.store import Store
from tests.support import images
from tests.support.attack import fingerprint
from tests.support.builds import Bench, Built, write_tree
from tests.support.images import FileSpec, make_image, make_index, make_layer
from tests.support.peers import run

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

BUSYBOX = Path("/bin/busybox")


@pytest.fixture
def outside(tmp_path: Path, bench: Bench) -> Iterator[Path]:
    """A directory that links and paths point to. It is unchanged afterwards, and the build has left nothing."""
    target = write_tree(tmp_path / "outside", {"file": "mine", "below/file": "mine"})
    before = fingerprint(target, without=bench.store)
    mounts = Path("/proc/self/mountinfo").read_text()
    yield target
    assert fingerprint(target, without=bench.store) == before
    assert Path("/proc/self/mountinfo").read_text() == mounts
    with Store.open(str(bench.store)) as store:
        assert store.check() == []
    assert not list((bench.store / "tmp").iterdir())


def ended(built: Built, *said: str) -> None:
    assert built.code == 1
    assert "Traceback" not in built.stderr
    assert "internal error" not in built.stderr
    for text in said:
        assert text in built.stderr


def build_root(bench: Bench, root: Path, *lines: str) -> Built:
    """A base without anything but busybox and what is in ``root`` runs a command."""
    (root / "bin").mkdir(exist_ok=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    text = "\n".join(["FROM scratch", "COPY root/ /", *lines, "RUN echo it ran"])
    (root.parent / "Dockerfile").write_text(text + "\n")
    return bench.attempt(root.parent)


def test_commands_cannot_touch_the_host(bench: Bench, outside: Path, tmp_path: Path) -> None:
    disk = outside.stat().st_dev
    attacks = {
        "mount": "mount -t tmpfs none /mnt",
        "remount": "mount -o remount,rw,bind /proc/sys",
        "umount": "umount /proc/sys",
        "unshare": "unshare -m true",
        "user namespace": "unshare -U true",
        "setns": "nsenter -t 1 -m true",
        "disk": f"mknod /disk b {os.major(disk)} {os.minor(disk)} && head -c 1 /disk",
        "disk in dev": f"mknod /dev/disk b {os.major(disk)} {os.minor(disk)} && head -c 1 /dev/disk",
        "memory": "mknod /mem c 1 1 && head -c 1 /mem",
        # What would succeed in a broken sandbox changes nothing: values are written as they are.
        "core pattern": "x=$(cat /proc/sys/kernel/core_pattern) && echo $x > /proc/sys/kernel/core_pattern",
        "sysrq": "echo h > /proc/sysrq-trigger",
        "sys": "x=$(cat /sys/kernel/mm/ksm/run) && echo $x > /sys/kernel/mm/ksm/run",
        "cgroup": "echo $$ > /sys/fs/cgroup/memory/cgroup.procs || echo $$ > /sys/fs/cgroup/cgroup.procs",
        "hosts": "echo x >> /etc/hosts",
        "resolv.conf": "rm /etc/resolv.conf",
        "host name": "hostname other",
        "descriptors": 'test "$(ls /proc/self/fd | wc -l)" -gt 4',
        "cwd": f"cd /proc/1/cwd/../../../../..{outside}",
        "root of 1": f"test -e /proc/1/root{outside}",
    }
    script = "".join(
        f"if ( {attack} ) >/dev/null 2>&1; then echo 'could: {name}'; fi\n" for name, attack in attacks.items()
    )
    text = f"FROM busybox\nRUN <<E\n{script}E\nRUN kill -9 -1 2>/dev/null; (setsid sleep 1000 &); echo survived\n"
    built = bench.build(write_tree(tmp_path / "c", {"Dockerfile": text}))
    said = "".join(event["data"] for event in built.of("step-output"))
    assert said.split() == ["survived"]


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("target", ["/etc", "../../../../../../tmp", None])
def test_mount_points_that_are_no_directories(
    bench: Bench, outside: Path, tmp_path: Path, name: str, target: str | None
) -> None:
    root = write_tree(tmp_path / "c/root", {"etc/f": ""})
    if target is None:
        (root / name).write_text("")
    else:
        (root / name).symlink_to(target)
    ended(build_root(bench, root), f"/{name} in the root filesystem is not a directory")


@pytest.mark.parametrize("up", ["", "../../../../../../.."])
def test_links_of_the_base_lead_nowhere_outside(bench: Bench, outside: Path, tmp_path: Path, up: str) -> None:
    """Those below which files are mounted, directories are made and files are copied."""
    root = write_tree(tmp_path / "c/root", {"etc/f": ""})
    (root / "etc/hosts").symlink_to(f"{up}{outside}/file")
    (root / "etc/resolv.conf").symlink_to(f"{up}{outside}/new")
    (root / "link").symlink_to(f"{up}{outside}")
    (root / "proc").mkdir()
    (root / "tmp").mkdir()
    write_tree(tmp_path / "c", {"file": "evil"})
    lines = ("WORKDIR /link/made", "COPY file /link/file", "ADD file /link/below/", "COPY <<E /link/new\nevil\nE")
    built = build_root(bench, root, *lines, "RUN echo evil > /link/file; rm -rf /link/below; mkdir /link/x")
    assert built.code == 0, built.stderr
    local = bench.attempt("-o", f"type=local,dest={tmp_path / 'local'}", tmp_path / "c")
    assert local.code == 0, local.stderr
    assert (tmp_path / "local/link").is_symlink()


def test_circles_of_links(bench: Bench, outside: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "c/root", {"etc/f": ""})
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    ended(build_root(bench, root, "WORKDIR /a/x"), "circle")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))])
def test_accounts_that_are_no_files(bench: Bench, outside: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    root = write_tree(tmp_path / "c/root", {"etc/f": ""})
    make(root / "etc/passwd")
    ended(build_root(bench, root, "USER somebody"), "unable to find user somebody")
    assert build_root(bench, clean(root), "COPY --chown=a:b root/etc/f /g").code == 0


def clean(root: Path) -> Path:
    shutil.rmtree(root / "bin")
    return root


def test_accounts_without_an_end(bench: Bench, outside: Path, tmp_path: Path) -> None:
    root = write_tree(tmp_path / "c/root", {"etc/f": ""})
    (root / "etc/passwd").touch()
    os.truncate(root / "etc/passwd", 11 << 20)
    ended(build_root(bench, root, "USER somebody"), "etc/passwd", "more than 10485760 bytes")


BASE: dict[str, FileSpec] = {"bin": None, "bin/sh": BUSYBOX.read_bytes() if BUSYBOX.exists() else b""}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"Env": ["A=\0"]}, "'Env' holds a NUL"),
        ({"WorkingDir": "/a\0b"}, "'WorkingDir' holds a NUL"),
        ({"User": "\0"}, "'User' holds a NUL"),
        ({"Shell": ["\0"]}, "'Shell' holds a NUL"),
        ({"Env": ["=x"]}, "a variable without a name"),
        ({"WorkingDir": "/" + "a" * 300}, "File name too long"),
        ({"User": "\ud800"}, "unable to find user"),
        ({"OnBuild": ["RUN a\nRUN b"]}, "not one instruction"),
        ({"OnBuild": ["FROM x"]}, "cannot be a trigger"),
        ({"OnBuild": ["COPY ../../../../../../etc/passwd /p"]}, "not found in the build context"),
        ({"Env": {"A": "B"}}, "'Env' is not a list"),
    ],
)
def test_configs_of_bases(bench: Bench, outside: Path, tmp_path: Path, config: dict[str, Any], said: str) -> None:
    image = make_image(make_layer(BASE), **config)
    layout = images.write_tree(tmp_path / "layout", images.layout_files(make_index(images.entry(image)), image))
    for step in ("RUN true", "WORKDIR x", "COPY Dockerfile x/"):
        context = write_tree(tmp_path / "c", {"Dockerfile": f"FROM evil\n{step}\nRUN true\n"})
        ended(bench.attempt("--build-context", f"evil=oci-layout://{layout}", context), said)


def test_special_files_of_a_context(bench: Bench, outside: Path, tmp_path: Path) -> None:
    context = write_tree(
        tmp_path / "c", {"Dockerfile": "FROM busybox\nCOPY . /d/\nCOPY socket /s\nRUN ls /d; test -f /s\n"}
    )
    os.mkfifo(context / "fifo")
    os.mknod(context / "disk", stat.S_IFBLK | 0o666, os.makedev(254, 0))
    (context / "dangling").symlink_to("nowhere")
    (context / "out").symlink_to(outside)
    (context / "self").symlink_to(".")
    (context / "a\nb").touch()
    (Path(os.fsdecode(bytes(context) + b"/\xff\x1b[2J"))).touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(context / "socket"))
        built = bench.build(context)
    said = "".join(event["data"] for event in built.of("step-output"))
    assert {"fifo", "disk", "dangling", "out", "self", "socket"} <= set(said.split())
    for line, why in (
        ("COPY out/file /", "not found"),
        ("ADD out /x", "which is not there"),
    ):
        (context / "Dockerfile").write_text(f"FROM busybox\n{line}\n")
        ended(bench.attempt(context), why)


def test_a_device_that_would_delete(bench: Bench, outside: Path, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "c", {"Dockerfile": "FROM busybox\nCOPY gone /bin/sh\nRUN true\n"})
    os.mknod(context / "gone", stat.S_IFCHR, 0)
    ended(bench.attempt(context), "which marks deleted files")


@pytest.mark.parametrize("depth", [300, 2000])
def test_deep_trees(bench: Bench, outside: Path, tmp_path: Path, depth: int) -> None:
    context = write_tree(tmp_path / "c", {"Dockerfile": "FROM busybox\nCOPY . /d/\n"})
    here = os.open(context, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    try:
        ended(bench.attempt(context), "lies in more than 256 directories")
    finally:
        run("rm", "-rf", context)  # shutil.rmtree, with which pytest tidies up, calls itself for every level


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ENV A=0123456789\n" + "ENV A=$A$A$A$A$A$A$A$A$A$A\n" * 12, "expand to more than"),
        (f"ENV B={'a' * 50_000}\nENV A=${{B//a/{'x' * 10_000}}}\n", "expand to more than"),
        ("ENV A=" + "${B:-" * 10_000 + "\n", "nested more than"),
        ('COPY ["Dockerfile", "/a\\u0000b"]\n', "holds a NUL character"),
        ('RUN ["\\u0000"]\n', "holds a NUL character"),
        ('RUN [""]\n', "first word is empty"),
        ("LABEL a=" + "x" * 70_000 + "\n", "the limit is 65535"),
        ("CMD " + "[" * 20_000 + "\n", "nothing but strings"),
        ("RUN true " + ("x" * 60_000 + "\\\n") * 20 + "\n", "Argument list too long"),
        ("EXPOSE 1-99999999999\n", "out of range"),
        ("USER 4294967295\nRUN true\n", "out of range"),
    ],
)
def test_bombs(bench: Bench, outside: Path, tmp_path: Path, text: str, said: str) -> None:
    context = write_tree(tmp_path / "c", {"Dockerfile": "FROM busybox\n" + text})
    ended(bench.attempt(context), said)
