"""``RUN --mount=type=ssh``: agents and keys from inside of the step."""

import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import Bench, dockerfile, said, write_tree

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


def keys_of(agent: Path) -> int:
    """How many keys an agent has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(agent))
        client.sendall(b"\0\0\0\1\x0b")
        return int.from_bytes(client.recv(4096)[5:9], "big")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """An agent with a key, and the key's public half in hexadecimal digits."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        time.sleep(0.01)
    environ = {**os.environ, "SSH_AUTH_SOCK": str(path)}
    subprocess.run(["ssh-add", "-q", tmp_path / "key"], env=environ, check=True)
    yield path, base64.b64decode((tmp_path / "key.pub").read_text().split()[1]).hex()
    process.terminate()
    process.wait()


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """A context with a static program that sends its standard input to a unix socket and prints the answer."""
    context = tmp_path / "context"
    write_tree(context, {"ask.c": ASK})
    subprocess.run(["gcc", "-O2", "-static", "-o", context / "ask", context / "ask.c"], check=True)
    return context


ASK = """
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char data[4096];
    ssize_t n;
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(to.sun_path, argv[1]);
    if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) { perror("connect"); return 1; }
    while ((n = read(0, data, sizeof data)) > 0) write(s, data, n);
    shutdown(s, SHUT_WR);
    while ((n = read(s, data, sizeof data)) > 0) write(1, data, n);
    return 0;
}
"""
LIST, REMOVE_ALL = "\\0\\0\\0\\1\\13", "\\0\\0\\0\\1\\23"
"""Messages of the agent protocol, for printf."""
HEX = "hexdump -ve '1/1 \"%02x\"'"


@pytest.mark.needs_tool("ssh-agent")
@pytest.mark.needs_tool("gcc")
def test_an_agent(bench: Bench, agent: tuple[Path, str], client: Path) -> None:
    path, public = agent
    text = f"""FROM busybox
RUN --mount=type=ssh --mount=source=ask,target=/ask \
    stat -c '%a %u:%g %F' $SSH_AUTH_SOCK; printf '{LIST}' | /ask $SSH_AUTH_SOCK | {HEX} | grep -q '{public}' && \
    printf '{REMOVE_ALL}' | /ask $SSH_AUTH_SOCK | {HEX}; echo; echo $SSH_AUTH_SOCK
USER 7
RUN --mount=type=ssh,uid=7,mode=0620,target=/run/mine --mount=type=ssh --mount=source=ask,target=/ask \
    stat -c '%a %u:%g' /run/mine; echo $SSH_AUTH_SOCK; ls /run/buildkit; printf '{LIST}' | /ask /run/mine | wc -c; \
    printf '{LIST}' | /ask /run/buildkit/ssh_agent.1
ENV SSH_AUTH_SOCK=/own
RUN --mount=type=ssh echo $SSH_AUTH_SOCK
RUN ls -d /run 2>&1; true
"""
    for flag in (f"default={path}", "default"):
        found = said(
            bench.attempt(dockerfile(client, text), "--no-cache", f"--ssh={flag}", env={"SSH_AUTH_SOCK": str(path)})
        )
        assert found.startswith(
            "600 0:0 socket\n0000000105\n/run/buildkit/ssh_agent.0\n620 7:0\n/run/mine\nssh_agent.1\n"
        )
        assert "connect: Permission denied" in found
    assert keys_of(path) == 1, "it still has its key"


@pytest.mark.needs_tool("ssh-agent")
@pytest.mark.needs_tool("gcc")
def test_keys_in_files(bench: Bench, agent: tuple[Path, str], client: Path, tmp_path: Path) -> None:
    _, public = agent
    (tmp_path / "key").chmod(0o644)
    text = f"""FROM busybox
RUN --mount=type=ssh,id=k,required --mount=source=ask,target=/ask \
    printf '{LIST}' | /ask $SSH_AUTH_SOCK | {HEX} | grep -q '{public}'
"""
    bench.build(dockerfile(client, text), f"--ssh=k={tmp_path / 'key'}")
    secret = (tmp_path / "key").read_text().splitlines()[2]
    found = subprocess.run(["grep", "-rlaF", secret, tmp_path], capture_output=True, text=True, check=False)
    assert found.stdout.split() == [str(tmp_path / "key")]
    (tmp_path / "key").chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "phrase", "-f", tmp_path / "key"], check=True)
    failed = bench.attempt(client, "--no-cache", f"--ssh=k={tmp_path / 'key'}")
    assert failed.code == 1 and "not a private key that can be used" in failed.stderr
    assert not list((bench.store / "tmp").glob("*/*"))


def test_an_agent_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN --mount=type=ssh OPT echo $SSH_AUTH_SOCK; ls $SSH_AUTH_SOCK\n"
    built = bench.attempt(dockerfile(tmp_path / "context", text.replace(" OPT", "")))
    assert "/run/buildkit/ssh_agent.0\n" in said(built) and "No such file" in said(built)
    required = bench.attempt(dockerfile(tmp_path / "context", text.replace(" OPT", ",required")))
    assert "the ssh agent default is required, and was not given" in required.stderr
    gone = tmp_path / "gone"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(gone))
    dead = bench.attempt(tmp_path / "context", f"--ssh=default={gone}")
    assert f"the ssh agent default ({gone}) does not answer: Connection refused" in dead.stderr
