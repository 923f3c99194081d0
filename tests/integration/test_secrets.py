"""After a build the bytes of its secrets are nowhere: not in the store, the outputs, the records, or what was shown."""

import base64
import json
import os
import signal
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.builds import Bench, dockerfile
from tests.support.processes import settle
from tests.support.webserver import Page, web

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

FILE = b"correct-horse-\xf0\x9f\x94\x8b-battery\nst4ple-of-the-file"
VARIABLE = b"tr0ub4dor&3-of-the-environment"
MARK = b"what-is-kept-on-purpose"
"""Written by the step, which spells it otherwise: a search that does not find it looks in the wrong places."""
USES = (
    "RUN --mount=type=secret,id=f --mount=type=secret,id=v,env=VALUE --mount=type=secret,id=v,target=/v "
    "--mount=type=cache,target=/c --mount=type=secret,id=f,env=OTHER "
    '[ "$(cat /v)" = "$VALUE" ] && [ "$(cat /run/secrets/f)" = "$OTHER" ] && '
    f"[ ${{#VALUE}} = {len(VARIABLE)} ] && echo what-is-''kept-on-purpose | tee /mark > /c/mark"
)


def forms(secret: bytes) -> Iterator[bytes]:
    """As a log, a record or a document may have it."""
    yield secret
    yield from secret.splitlines()
    yield base64.b64encode(secret).rstrip(b"=")[:-1]
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")[:-1]
    yield secret.hex().encode()
    yield json.dumps(secret.decode(errors="surrogateescape")).strip('"').encode()


def traces(data: bytes) -> list[bytes]:
    return [form for secret in (FILE, VARIABLE) for form in forms(secret) if form in data]


def places(top: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below, what is compressed as it is and unpacked; names and targets of links too."""
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(folder, name)
            yield path, os.fsencode(name)
            if path.is_symlink():
                yield path, os.fsencode(path.readlink())
            elif path.is_file():
                data = path.read_bytes()
                yield path, data
                yield path, b"".join(_unpacked(data))


def _unpacked(data: bytes) -> Iterator[bytes]:
    """Every gzip stream that begins somewhere inside, such as the layers of an archive; what only looks like one is
    none."""
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        with suppress(zlib.error):
            yield zlib.decompressobj(31).decompress(data[at:])
        at = data.find(b"\x1f\x8b\x08", at + 1)


def search(top: Path, given: Path) -> tuple[list[tuple[str, bytes]], bool]:
    """Where a trace is, the file with the secret aside; and whether the mark was seen."""
    found, marked = [], False
    for path, data in places(top):
        if path != given:
            found += [(str(path), trace) for trace in traces(data)]
            marked = marked or MARK in data
    return found, marked


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given" / "secret"
    path.parent.mkdir()
    path.write_bytes(FILE)
    return path


def environment(bench: Bench) -> dict[str, str]:
    return bench.environment({"TOKEN": VARIABLE.decode()})


@pytest.mark.parametrize("fails", [False, True], ids=["done", "failed"])
@pytest.mark.parametrize("progress", ["plain", "json", "rawjson", "quiet"])
def test_after_a_build(bench: Bench, tmp_path: Path, given: Path, progress: str, fails: bool) -> None:
    text = f"FROM busybox\n{USES}\nRUN --mount=type=secret,id=v,env=VALUE {'exit 3' if fails else 'true'}\n"
    command = bench.command(
        *("build", f"--progress={progress}", "--debug", f"--secret=id=f,src={given}", "--secret=id=v,env=TOKEN"),
        *("-t", "app", "-o", f"type=oci,dest={tmp_path}/oci.tar", "-o", f"type=docker,dest={tmp_path}/docker.tar"),
        *("-o", f"type=oci,tar=false,compression=uncompressed,dest={tmp_path}/layout", "-o", f"{tmp_path}/tree"),
        *(f"--metadata-file={tmp_path}/metadata", f"--iidfile={tmp_path}/iid", dockerfile(tmp_path / "context", text)),
    )
    done = subprocess.run(command, check=False, capture_output=True, env=environment(bench), cwd=REPOSITORY)
    assert done.returncode == int(fails), done.stderr
    said = done.stdout + done.stderr + bench.pybuild("plan", "--json", tmp_path / "context").encode()
    if not fails:
        said += (bench.pybuild("history", "app") + bench.pybuild("inspect", "app")).encode()
        assert (tmp_path / "tree/mark").read_bytes().strip() == MARK
    assert not traces(said)
    assert search(tmp_path, given) == ([], True)


def test_after_a_build_that_was_killed(bench: Bench, tmp_path: Path, given: Path) -> None:
    text = f"FROM busybox\n{USES} && echo waiting && sleep 100\n"
    command = bench.command(
        *("build", "--progress=plain", f"--secret=id=f,src={given}", "--secret=id=v,env=TOKEN"),
        dockerfile(tmp_path / "context", text),
    )
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, env=environment(bench), cwd=REPOSITORY, start_new_session=True
    ) as process:
        assert process.stderr is not None
        shown = b""
        deadline = time.monotonic() + 60
        while b" waiting\n" not in shown and time.monotonic() < deadline:
            shown += process.stderr.readline()
        os.killpg(process.pid, signal.SIGKILL)
        shown += process.stderr.read()
    settle(bench.store)
    assert b" waiting\n" in shown
    assert not traces(shown)
    assert search(tmp_path, given) == ([], True)


def test_of_what_is_fetched_with_one(bench: Bench, tmp_path: Path, given: Path) -> None:
    given.write_bytes(VARIABLE)
    with web() as server:
        server.secret = f"Bearer {VARIABLE.decode()}"
        server.pages["/f"] = Page(MARK)
        context = dockerfile(tmp_path / "context", f"FROM scratch\nADD {server.url('/f')} /\n")
        flag = f"--secret=id=HTTP_AUTH_TOKEN_127.0.0.1,src={given}"
        command = bench.command("build", "--progress=json", "--debug", flag, "-o", f"{tmp_path}/tree", context)
        done = subprocess.run(command, check=False, capture_output=True, env=bench.environment(), cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert not traces(done.stdout + done.stderr)
    assert search(tmp_path, given) == ([], True)
