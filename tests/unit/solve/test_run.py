"""RUN: what the command is given, and what becomes of what it did."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import Span, StepFailed
from builder.plan.graph import RunOp, ScriptFile
from builder.sandbox.spec import DEFAULT_CAPABILITIES, Outcome
from builder.solve import run
from builder.solve.mounted import Mounted
from builder.solve.run import TAIL, Surroundings, Tail, run_step, sandbox_spec
from layers.entry import Kind
from layers.store import Store
from layers.workspace import Workspace
from tests.fakes.runner import DONE, FakeRunner, Script, exits
from tests.support.plans import PLATFORM
from tests.support.trees import MemoryTree, link
from tests.unit.solve.conftest import HOST

OP = RunOp(
    args=("/bin/sh", "-c", "make"),
    env=(("PATH", "/bin"), ("A", "1")),
    cwd="/src",
    user="app",
    network="host",
    hostname="builder",
    scripts=(),
    proxy_env=(),
    platform=PLATFORM,
)
SPAN = Span("Dockerfile", 3, 4)
TREE = MemoryTree(
    {
        "etc/passwd": link("../usr/passwd"),
        "usr/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:7:8::/home/app:/bin/sh\n",
        "etc/group": b"app:x:8:\nmore:x:9:app\n",
    }
)


@pytest.fixture
def workspace(store: Store) -> Iterator[Workspace]:
    made = store.workspace(())
    yield made
    made.discard()


def around(runner: FakeRunner, seen: list[tuple[int, bytes]] | None = None) -> Surroundings:
    said = seen if seen is not None else []
    return Surroundings(runner, HOST, lambda stream, data: said.append((stream, data)))


def failed(workspace: Workspace, script: Script, op: RunOp = OP, tree: MemoryTree = TREE) -> StepFailed:
    """What the step fails with; nothing of it may be left."""
    with pytest.raises(StepFailed) as caught:
        run_step(op, SPAN, workspace, tree, around(FakeRunner({"make": script})))
    assert not Path(workspace.upper).exists()
    assert caught.value.span == SPAN
    return caught.value


# What it is given


def test_a_command_gets_what_the_instruction_says(workspace: Workspace) -> None:
    script = ScriptFile("/dev/pipes/E", b"#!/bin/sh\n", 0o755)
    spec = sandbox_spec(OP._replace(scripts=(script,)), workspace, TREE, HOST)
    assert (spec.args, spec.cwd, spec.hostname, spec.network) == (OP.args, "/src", "builder", "host")
    assert spec.root == (workspace.directory, workspace.lowers, workspace.upper, workspace.work)
    assert (spec.capabilities, spec.seccomp) == (DEFAULT_CAPABILITIES, None)
    assert [file.target for file in spec.files] == ["/etc/hosts", "/etc/resolv.conf", "/dev/pipes/E"]
    assert spec.files[1].data == HOST.resolv_conf
    assert spec.files[2][1:3] == (b"#!/bin/sh\n", 0o755)


def test_users_are_looked_up_inside_the_root_file_system(workspace: Workspace) -> None:
    spec = sandbox_spec(OP, workspace, TREE, HOST)
    assert spec.identity == (7, 8, (8, 9), "/home/app")


def test_home_is_the_users_unless_it_was_set(workspace: Workspace) -> None:
    assert sandbox_spec(OP, workspace, TREE, HOST).env == (*OP.env, ("HOME", "/home/app"))
    given = OP._replace(env=(("HOME", "/elsewhere"),))
    assert sandbox_spec(given, workspace, TREE, HOST).env == (("HOME", "/elsewhere"),)


def test_proxies_replace_what_was_set(workspace: Workspace) -> None:
    op = OP._replace(env=(("HOME", "/"), ("http_proxy", "mine")), proxy_env=(("http_proxy", "a"), ("no_proxy", "b")))
    assert sandbox_spec(op, workspace, TREE, HOST).env == (("HOME", "/"), ("http_proxy", "a"), ("no_proxy", "b"))
    secret = Mounted((), env=(("no_proxy", "s"),))
    assert sandbox_spec(op, workspace, TREE, HOST, secret).env[1:] == (("http_proxy", "a"), ("no_proxy", "s"))


# What becomes of it


def test_what_a_command_wrote_is_a_layer(store: Store, workspace: Workspace) -> None:
    seen: list[tuple[int, bytes]] = []
    runner = FakeRunner({"make": Script({"d/made": b"data"}, output=((1, b"out\n"), (2, b"err\n")))})
    layer = run_step(OP, SPAN, workspace, TREE, around(runner, seen))
    assert seen == [(1, b"out\n"), (2, b"err\n")]
    tree = store.tree((layer,), contents=True)
    assert [(entry.path, entry.kind) for entry in tree.children(b"d")] == [(b"d/made", Kind.FILE)]
    assert not Path(workspace.upper).exists()


def test_an_exit_code_is_a_failure_with_the_end_of_the_output(workspace: Workspace) -> None:
    error = failed(workspace, Script({"half": b""}, output=((1, b"a\n"), (2, b"b\n")), outcome=exits(3)))
    assert error.message == 'process "/bin/sh -c make" did not complete successfully: exit code: 3'
    assert (error.exit_code, error.tail) == (3, b"a\nb\n")


def test_a_killed_command(workspace: Workspace) -> None:
    error = failed(workspace, Script(outcome=Outcome(None, 9, None, 1.0)))
    assert error.message == 'process "/bin/sh -c make" was killed by signal 9'
    assert error.exit_code is None


def test_a_command_that_could_not_be_started(workspace: Workspace) -> None:
    error = failed(workspace, Script(outcome=DONE._replace(exit_code=None, error="no such file: /bin/sh")))
    assert error.message == 'process "/bin/sh -c make" could not be started: no such file: /bin/sh'


def test_an_unknown_user(workspace: Workspace) -> None:
    error = failed(workspace, Script(), OP._replace(user="nobody"))
    assert "unable to find user nobody" in error.message
    assert error.hint is not None


def test_files_of_names_may_not_be_huge(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MAX_ACCOUNTS", 20)
    assert "usr/passwd has more than 20 bytes" in failed(workspace, Script()).message


def test_whatever_goes_wrong_nothing_is_left(workspace: Workspace) -> None:
    def fall() -> None:
        raise OSError("the runner broke")

    with pytest.raises(OSError, match="the runner broke"):
        run_step(OP, SPAN, workspace, TREE, around(FakeRunner({"make": Script(meanwhile=fall)})))
    assert not Path(workspace.upper).exists()


@pytest.mark.parametrize("sizes", [(1, 2), (TAIL,), (TAIL + 1,), (TAIL - 1, 1, 1), (5, 3 * TAIL, 7), (1,) * 100])
def test_the_tail_is_the_end_of_what_was_written(sizes: tuple[int, ...]) -> None:
    tail, written = Tail(), b""
    for number, size in enumerate(sizes):
        part = bytes([number % 256]) * size
        tail.add(part)
        written += part
    assert tail.value() == written[-TAIL:]


def test_the_tail_does_not_grow() -> None:
    tail = Tail()
    for _ in range(1000):
        tail.add(bytes(1000))
    assert sum(map(len, tail._parts)) < TAIL + 1000
