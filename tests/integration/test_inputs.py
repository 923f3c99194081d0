"""Contexts that are no directory, by the command line: what they give, and that nothing of them stays behind."""

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.builds import EPOCH, Bench, Built, parse, write_tree
from tests.support.flatten import flatten
from tests.support.webserver import Page, Repository, Web, web

pytestmark = [pytest.mark.needs_root]

DOCKERFILE = "FROM scratch\nCOPY . /all\nCOPY --chown=7:8 own /own\n"


def archive(files: Mapping[str, str], *, mode: str = "w") -> bytes:
    """Files of owner 5:6 and mode 0640, in the order given; what ends in a slash is a directory of mode 0751."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]  # any mode that writes
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.uid, member.gid, member.mode, member.mtime = len(text), 5, 6, 0o640, 1_600_000_000
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o751
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def piped(bench: Bench, data: bytes, *arguments: str | Path) -> Built:
    done = subprocess.run(
        bench.command("build", "--progress", "json", *arguments),
        check=False,
        capture_output=True,
        input=data,
        env=bench.environment(),
        cwd=REPOSITORY,
        timeout=60,
    )
    return parse(done.returncode, done.stderr)


def members(path: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(path) as tar:
        return {member.name: member for member in tar}


def leftovers(bench: Bench) -> list[str]:
    return [path.name for path in (bench.store / "tmp").iterdir()]


@pytest.mark.parametrize("compression", ["", ":gz", ":bz2", ":xz"])
def test_an_archive_on_standard_input(bench: Bench, tmp_path: Path, compression: str) -> None:
    files = {"Dockerfile": DOCKERFILE, "own": "o", ".dockerignore": "kept", "kept": "k"}
    built = piped(bench, archive(files, mode=f"w{compression}"), "-o", f"type=tar,dest={tmp_path}/out.tar", "-")
    assert built.code == 0, built.stderr
    found = members(tmp_path / "out.tar")
    assert {"all/kept", "all/own", "all/.dockerignore"} < found.keys()
    kept, own = found["all/kept"], found["own"]
    assert (kept.uid, kept.gid, kept.mode, kept.mtime) == (5, 6, 0o640, 1_600_000_000)
    assert (own.uid, own.gid) == (7, 8)
    assert leftovers(bench) == []


def test_a_build_from_an_archive_is_cached_by_content(bench: Bench) -> None:
    files = {"Dockerfile": DOCKERFILE, "own": "o"}
    assert piped(bench, archive(files), "-").code == 0
    assert piped(bench, archive(files, mode="w:gz"), "-").executed() == set()
    assert piped(bench, archive({**files, "own": "p"}), "-").executed() == {"COPY . /all", "COPY --chown=7:8 own /own"}


def test_a_dockerfile_on_standard_input(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    assert piped(bench, b"FROM scratch\nCOPY f /\n", "-f", "-", tmp_path).code == 0
    failed = piped(bench, b"FROM scratch\nCOPY f /\n", "-")
    assert failed.code == 1
    assert "f: not found in the build context" in failed.stderr
    assert '"path": "standard input", "first_line": 2' in failed.stderr


def test_an_archive_that_is_cut_off(bench: Bench) -> None:
    built = piped(bench, archive({"Dockerfile": DOCKERFILE, "own": "o" * 5000})[:3000], "-")
    assert built.code == 1
    assert "standard input: the archive is truncated" in built.stderr
    assert leftovers(bench) == []


def test_killed_while_it_unpacks(bench: Bench) -> None:
    data = archive({"Dockerfile": DOCKERFILE, "big": "x" * (8 << 20)})
    process = subprocess.Popen(
        bench.command("build", "-"), stdin=subprocess.PIPE, env=bench.environment(), cwd=REPOSITORY
    )
    assert process.stdin is not None
    process.stdin.write(data[: 4 << 20])
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not leftovers(bench) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert leftovers(bench)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdin.close()
    bench.pybuild("images")
    assert leftovers(bench) == []


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as found:
        yield found


def test_an_archive_over_http(bench: Bench, tmp_path: Path, server: Web) -> None:
    files = {"sub/D": DOCKERFILE, "own": "o"}
    server.pages["/x"] = Page(archive(files, mode="w:gz"), {"ETag": "1"})
    arguments = ("-f", "sub/D", "-o", f"type=tar,dest={tmp_path}/out.tar", server.url("/x"))
    bench.build(*arguments)
    assert members(tmp_path / "out.tar")["all/own"].uid == 5
    assert bench.build(*arguments).executed() == set()
    assert leftovers(bench) == []


def test_a_dockerfile_over_http(bench: Bench, tmp_path: Path, server: Web) -> None:
    (tmp_path / "f").write_text("f")
    server.pages["/D"] = Page(b"FROM scratch\nCOPY context /\n")
    bench.build(server.url("/D"))
    server.pages["/D"] = Page(b"FROM scratch\nCOPY f /\n")
    bench.build("-f", server.url("/D"), tmp_path)
    assert "/none: the server answered 404" in bench.attempt(server.url("/none")).stderr


@pytest.mark.needs_tool("git")
def test_a_repository(bench: Bench, tmp_path: Path, server: Web) -> None:
    server.repositories = tmp_path / "served"
    repository = Repository(server.repositories, "r.git")
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": "f", "f": "f", "d/Dockerfile": DOCKERFILE}
    first = repository.commit({**files, "d/own": "o", "d/out": "->/etc/passwd"})
    out = tmp_path / "out.tar"
    bench.build("-o", f"type=tar,dest={out}", server.url("/git/r.git"))
    found = members(out)
    assert "f" in found
    assert ".git/HEAD" not in found
    assert (found["f"].uid, found["f"].mode) == (0, 0o644)
    bench.build("-o", f"type=tar,dest={out}", server.url("/git/r.git#main:d"))
    assert {"all/own", "all/out", "own"} <= members(out).keys()
    repository.commit({"d/own": "changed"})
    asked = len(server.asked)
    assert bench.build(server.url(f"/git/r.git#{first}:d")).executed() == set()
    assert len(server.asked) == asked
    name = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
    for value, kept in (("=True", True), ("", True), ("=no", False), ("=1", True)):
        flag = f"--build-arg={name}{value}"
        bench.build(flag, "-o", f"type=tar,dest={out}", server.url("/git/r.git"), env={name: "t"})
        assert (".git/HEAD" in members(out)) == kept
    assert leftovers(bench) == []


@pytest.mark.needs_tool("git")
def test_files_of_a_repository_have_its_time_when_there_is_an_epoch(bench: Bench, tmp_path: Path, server: Web) -> None:
    """That of its commit, which is earlier; unless the address says otherwise."""
    server.repositories = tmp_path / "served"
    Repository(server.repositories, "r.git").commit({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
    image = tmp_path / "image.tar"
    for query, seconds in (("", 1_600_000_000), ("?mtime=checkout", int(EPOCH))):
        address = server.url(f"/git/r.git{query}")
        bench.build(f"--build-arg=SOURCE_DATE_EPOCH={EPOCH}", "-o", f"type=oci,dest={image}", "--no-cache", address)
        assert flatten(image).files["f"].mtime == seconds


@pytest.mark.needs_tool("git")
def test_a_dockerfile_of_this_machine_for_a_repository(bench: Bench, tmp_path: Path, server: Web) -> None:
    """Named from the root; its own ignore file is not applied to what is fetched."""
    server.repositories = tmp_path / "served"
    files = {"Dockerfile": "FROM scratch\nRUN no\n", "f": "f", "d/Dockerfile": "FROM scratch\nCOPY d /d/\n"}
    Repository(server.repositories, "r.git").commit(files)
    own = write_tree(tmp_path / "own", {"D": "FROM scratch\nCOPY f /\n", "D.dockerignore": "f\n"})
    bench.build("-f", own / "D", server.url("/git/r.git"))
    bench.build("-f", "d/Dockerfile", server.url("/git/r.git"))
    assert f"--file {own}/None: no such file" in bench.attempt("-f", own / "None", server.url("/git/r.git")).stderr


@pytest.mark.needs_tool("git")
def test_a_repository_over_gits_own_protocol(bench: Bench, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "served", "r.git")
    repository.commit({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        [
            *("git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr", "--export-all"),
            *(f"--base-path={tmp_path}/served", str(tmp_path / "served")),
        ],
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
        out = tmp_path / "out"
        bench.build("-o", out, f"git://127.0.0.1:{port}/r.git")
        assert (out / "f").read_text() == "f"
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


@pytest.mark.needs_tool("git")
@pytest.mark.parametrize(
    ("context", "problem"),
    [
        ("https://127.0.0.1:1/x.git#--upload-pack=touch", "cannot be the name of a branch"),
        ("https://127.0.0.1:1/x.git?colour=red", "colour is no part of a git address"),
        ("https://127.0.0.1:1/x.git", "Failed to connect"),
        ("file:///srv/x.git", "no such directory"),
        ("ext::sh -c touch% x", "no such directory"),
    ],
)
def test_addresses_that_lead_nowhere(bench: Bench, context: str, problem: str) -> None:
    failed = bench.attempt(context)
    assert failed.code in {1, 2}
    assert problem in failed.stderr


@pytest.mark.needs_tool("git")
def test_named_contexts(bench: Bench, tmp_path: Path, server: Web) -> None:
    """Each from another place; of those nobody uses nothing is asked."""
    server.repositories = tmp_path / "served"
    Repository(server.repositories, "r.git").commit({"d/g": "g", "d/.dockerignore": "g"})
    server.pages["/x.tar"] = Page(archive({"t": "t"}))
    server.pages["/d/one"] = Page(b"1")
    (tmp_path / "ctx").mkdir()
    (tmp_path / "dir").mkdir()
    for name in ("kept", "left"):
        (tmp_path / "dir" / name).write_text("f")
    (tmp_path / "dir/.dockerignore").write_text("left")
    (tmp_path / "ctx/Dockerfile").write_text(
        "FROM scratch AS made\nCOPY --from=dir . /dir/\nFROM scratch\nCOPY --from=repo . /repo/\n"
        "COPY --from=tar . /tar/\nCOPY --from=one . /one/\nCOPY --from=dir . /dir/\nCOPY --from=stage /dir /stage/\n"
    )
    contexts = {
        "dir": tmp_path / "dir",
        "repo": server.url("/git/r.git#main:d"),
        "tar": server.url("/x.tar"),
        "one": server.url("/d/one"),
        "stage": "target:made",
        "unused": server.url("/none"),
    }
    flags = [f"--build-context={name}={value}" for name, value in contexts.items()]
    bench.build(*flags, "-o", f"type=tar,dest={tmp_path}/out.tar", tmp_path / "ctx")
    found = members(tmp_path / "out.tar")
    files = {name for name, member in found.items() if member.isfile()}
    ignore = {"dir/.dockerignore", "repo/.dockerignore", "stage/.dockerignore"}
    assert files == {"dir/kept", "repo/g", "tar/context", "one/context", "stage/kept", *ignore}
    assert (found["one/context"].uid, found["one/context"].mode) == (0, 0o600)
    assert not server.of("/none")
    assert bench.build(*flags, tmp_path / "ctx").executed() == set()
    failed = bench.attempt(*flags[:1], f"--build-context=repo={server.url('/none')}", *flags[2:], tmp_path / "ctx")
    assert "/none: the server answered 404" in failed.stderr


@pytest.mark.needs_tool("busybox")
def test_a_directory_as_a_base(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "ctx").mkdir()
    (tmp_path / "root/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", tmp_path / "root/bin/sh")
    (tmp_path / "ctx/Dockerfile").write_text('FROM root\nRUN ["/bin/sh", "-c", "echo x > /made"]\n')
    flags = (f"--build-context=root={tmp_path}/root", "-o", f"type=tar,dest={tmp_path}/out.tar")
    bench.build(*flags, tmp_path / "ctx")
    assert {"bin/sh", "made"} <= members(tmp_path / "out.tar").keys()
    assert bench.build(*flags, tmp_path / "ctx").executed() == set()


@pytest.mark.needs_tool("git", "busybox")
def test_mounts_of_fetched_contexts(bench: Bench, tmp_path: Path, server: Web) -> None:
    server.repositories = tmp_path / "served"
    Repository(server.repositories, "r.git").commit({"d/g": "from git"})
    text = (
        "FROM busybox\nRUN --mount=target=/c --mount=from=far,target=/f "
        "[ $(cat /c/own) = o ] && [ \"$(cat /f/d/g)\" = 'from git' ] && stat -c %u:%g /c/own | grep 5:6\n"
    )
    data = archive({"Dockerfile": text, "own": "o"})
    flags = (f"--build-context=far={server.url('/git/r.git')}", "-")
    built = piped(bench, data, *flags)
    assert built.code == 0, built.stderr
    assert piped(bench, data, *flags).executed() == set()


def test_progress_says_what_is_fetched(bench: Bench, tmp_path: Path, server: Web) -> None:
    """Without what an address may hold that is secret."""
    server.pages["/f"] = Page(b"data")
    place = server.url("/f").replace("//", "//user:pass@") + "?token=t"
    server.pages["/D"] = Page(f"FROM scratch\nADD {place} /\n".encode())
    command = bench.command("build", "--progress=plain", server.url("/D"))
    done = subprocess.run(command, check=True, capture_output=True, env=bench.environment(), cwd=REPOSITORY, text=True)
    assert f"#0 fetching {server.url('/D')}\n" in done.stderr
    assert f"#0 fetching {server.url('/f')}\n#0 fetched {server.url('/f')} in " in done.stderr
