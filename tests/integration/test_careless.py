"""What goes wrong around a build: each time one message and an exit code, and a store as sound as before."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.store import Store
from tests.support.builds import Bench, write_tree
from tests.support.peers import run

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "context", {"Dockerfile": "FROM busybox\nCOPY Dockerfile /\n"})


def check(store: Path) -> None:
    with Store.open(str(store)) as opened:
        assert opened.check() == []
    assert not list((store / "tmp").iterdir())


def redirected(bench: Bench, shell: str, *arguments: str | Path) -> tuple[int, bytes]:
    """Exit code and standard error of ``pybuild build`` with the redirections ``shell``."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", *bench.command("build", *arguments)]
    done = subprocess.run(command, env=bench.environment(), capture_output=True, check=False, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("shell", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_closed_streams_do_not_matter_to_a_build(bench: Bench, context: Path, shell: str) -> None:
    assert redirected(bench, shell, context)[0] == 0
    check(bench.store)


@pytest.mark.parametrize("shell", [">&-", "<&- >&-", ">/dev/full"])
@pytest.mark.parametrize("flag", ["-q", "--output=-"])
def test_what_is_for_standard_output_is_not_lost_in_silence(bench: Bench, context: Path, shell: str, flag: str) -> None:
    """Without care the store's database takes the number of the closed stream, and the archive is written to it."""
    code, said = redirected(bench, shell, flag, context)
    assert code == 1
    assert said.splitlines()[-2 if b"hint" in said else -1].startswith(b"error: ")
    assert b"Traceback" not in said
    check(bench.store)


def test_what_does_not_heed_a_signal_is_ended(bench: Bench, context: Path, tmp_path: Path) -> None:
    """A pipe that nobody reads, 10 GB that are hashed: neither looks whether the build is cancelled."""
    os.mkfifo(tmp_path / "pipe")
    command = bench.command("build", "--progress=plain", "-o", f"type=tar,dest={tmp_path / 'pipe'}", context)
    with subprocess.Popen(command, env=bench.environment(), stderr=subprocess.PIPE) as build:
        assert build.stderr is not None
        for line in build.stderr:
            if b"exporting tar" in line:
                break
        build.send_signal(signal.SIGTERM)
        _, said = build.communicate(timeout=60)
    assert build.returncode == 128 + signal.SIGTERM
    assert said.endswith(b"error: the build was interrupted\n")
    check(bench.store)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    """A store with the base on a file system of 6 MB."""
    where = tmp_path / "small"
    where.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=6m", "small", where)
    try:
        bench = Bench(where / "store")
        bench.load("busybox", "busybox")
        yield bench
    finally:
        run("umount", where)


@pytest.mark.parametrize("step", ["COPY big /", "RUN dd if=/dev/zero of=/big bs=1M count=10", "ADD big /"])
def test_a_full_disk(small: Bench, tmp_path: Path, step: str) -> None:
    context = write_tree(tmp_path / "c", {"Dockerfile": f"FROM busybox\n{step}\n", "big": os.urandom(8 << 20)})
    built = small.attempt(context)
    assert built.code == 1
    assert "No space left on device" in built.stderr
    if step.startswith(("COPY", "ADD")):
        assert "pybuild prune" in built.stderr
    check(small.store)
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo there is room for this > /x\n")
    small.build(context)
    check(small.store)


def test_a_store_on_a_read_only_file_system(bench: Bench, context: Path) -> None:
    run("mount", "--bind", bench.store, bench.store)
    try:
        run("mount", "-o", "remount,bind,ro", bench.store)
        built = bench.attempt(context)
    finally:
        run("umount", bench.store)
    assert built.code == 1
    assert "is not writable" in built.stderr
    assert "--root" in built.stderr
    check(bench.store)


@pytest.mark.parametrize("kind", ["oci", "tar", "docker", "local", "oci,tar=false"])
def test_several_builds_write_the_same_output(bench: Bench, tmp_path: Path, kind: str) -> None:
    text = "FROM busybox\nRUN head -c 5000000 /dev/urandom > /x\n"
    context = write_tree(tmp_path / "c", {"Dockerfile": text})
    command = bench.command("build", "--no-cache", "-o", f"type={kind},dest={tmp_path / 'out'}", context)
    builds = [subprocess.Popen(command, env=bench.environment(), stderr=subprocess.PIPE) for _ in range(3)]
    for build in builds:
        _, said = build.communicate(timeout=120)
        assert build.returncode == 0, said.decode()
    assert {path.name for path in tmp_path.iterdir()} == {"store", "c", "out"}
    check(bench.store)


@pytest.mark.parametrize("name", [".dockerignore", "Dockerfile"])
def test_a_pipe_in_the_context_is_not_waited_for(bench: Bench, context: Path, name: str) -> None:
    (context / name).unlink(missing_ok=True)
    os.mkfifo(context / name)
    built = bench.attempt(context)
    assert built.code == 1
    assert f"{name} is not a regular file" in built.stderr


def test_an_output_that_cannot_be_written_is_found_before_the_build(bench: Bench, context: Path) -> None:
    for output in ("type=oci,dest=/dev/null/x", f"type=tar,dest={context}", "type=local,dest=/dev/null"):
        built = bench.attempt("-o", output, context)
        assert built.code == 1
        assert "error" in built.stderr
        assert not built.of("step-started")
    assert Path("/dev/null").is_char_device()
