"""Mounts and the other flags of RUN, for an ordinary user: in his namespace they are what they are for root."""

import sys
from collections.abc import Iterator

import pytest

from tests.conftest import FIXTURES
from tests.support.builds import write_tree
from tests.support.peers import run
from tests.support.users import User, UserBench, ordinary_user

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox", "newuidmap", "useradd")]

DOCKERFILE = """FROM busybox AS src
RUN mkdir -m 700 /d && echo made > /d/f && chown -R 5:6 /d
FROM busybox
RUN --mount=target=/ctx --mount=from=src,source=/d,target=/d --mount=from=src,target=/rw,rw \\
    --mount=type=cache,target=/c,uid=7,mode=0711 --mount=type=tmpfs,target=/t,size=1m \\
    --mount=type=secret,id=s,uid=8,mode=0440 \\
    cat /ctx/file /d/f; stat -c '%a %u:%g' /ctx/file /d /c /t /run/secrets/s; touch /rw/x /c/x /t/x && ls /rw/x; \\
    touch /ctx/x; touch /d/x; cat /run/secrets/s; mknod /t/null c 1 3; true
RUN --mount=type=cache,target=/c,uid=7,mode=0711,sharing=locked ls /c; ls -d /ctx /d /rw /t /run
RUN --mount=type=ssh echo $SSH_AUTH_SOCK
"""


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with ordinary_user(subordinate=True) as found:
        yield found


@pytest.fixture(scope="module")
def theirs(user: User) -> UserBench:
    images = user.home.parent / "images"
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    run("cp", "-r", FIXTURES / "images" / "out", images)
    run("chmod", "-R", "a+rX", images)
    bench = UserBench(user, user.home / "store")
    bench.pybuild("load", "-t", "busybox", "-i", images / "busybox")
    return bench


def attempt(theirs: UserBench, name: str, text: str, *arguments: str) -> str:
    context = theirs.user.home.parent / name
    context.mkdir()
    write_tree(context, {"Dockerfile": text, "file": "context\n"})
    built = theirs.attempt(*arguments, context)
    assert built.code == 0 or "ls: /" in built.stderr, built.stderr
    return "".join(str(event["data"]) for event in built.of("step-output"))


def test_mounts(theirs: UserBench) -> None:
    secret = theirs.user.home.parent / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o644)
    found = attempt(theirs, "mounts", DOCKERFILE.replace("/t /run\n", "/t /run; true\n"), f"--secret=id=s,src={secret}")
    assert found.startswith("context\nmade\n644 0:0\n700 5:6\n711 7:0\n1777 0:0\n440 8:0\n/rw/x\n")
    assert found.count("Read-only file system") == 2 and "\nsecret\n" in found
    assert "mknod: /t/null: Operation not permitted\nx\n" in found
    assert found.count("No such file or directory") == 5
    assert found.endswith("/run/buildkit/ssh_agent.0\n")


def test_no_network(theirs: UserBench) -> None:
    text = "FROM busybox\nRUN --network=none tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ping -c1 127.0.0.1\n"
    found = attempt(theirs, "network", text)
    assert found.startswith("lo\n") and "1 packets received" in found


def test_insecure(theirs: UserBench) -> None:
    command = "mkdir /m && mount -t tmpfs none /m && echo mounted; umount /m; rmdir /m"
    text = f"FROM busybox\nRUN --security=insecure {command}\n"
    assert attempt(theirs, "insecure", text, "--allow=security.insecure") == "mounted\n"
