"""What changes a key and what does not."""

import pytest

from builder.errors import Span
from builder.plan.graph import (
    AddOp,
    CopyOp,
    ImageOp,
    InlineFile,
    Node,
    NodeId,
    Op,
    RunOp,
    ScratchOp,
    ScriptFile,
    WorkdirOp,
)
from builder.plan.keys import effective_key, recipe_key, rootfs_input, source_input
from layers.digest import CacheKey, DiffId, Digest, LayerId
from layers.image import Platform

PLATFORM = Platform("linux", "amd64")
RUN = RunOp(("/bin/sh", "-c", "make"), (("A", "1"),), "/", "", "default", "buildkitsandbox", (), (), PLATFORM)
COPY = CopyOp(("src",), "/dst/", None, None, False)
PARENT = CacheKey(Digest.of(b"parent"))


def node(op: Op, *, title: str = "RUN make", inputs: tuple[int, ...] = (0,), span: Span | None = None) -> Node:
    return Node(NodeId(7), op, tuple(NodeId(i) for i in inputs), title, "build", 2, 3, span)


def key(op: Op, selection: bytes | None = None) -> CacheKey:
    return effective_key(node(op), PARENT, selection)


@pytest.mark.parametrize(
    "changed",
    [
        RUN._replace(args=("/bin/sh", "-c", "make all")),
        RUN._replace(args=("/bin/sh", "-c make")),
        RUN._replace(env=(("A", "2"),)),
        RUN._replace(env=(("A", "1"), ("B", "2"))),
        RUN._replace(cwd="/src"),
        RUN._replace(user="app"),
        RUN._replace(network="none"),
        RUN._replace(hostname="other"),
        RUN._replace(scripts=(ScriptFile("/dev/pipes/E", b"#!/bin/sh\n", 0o755),)),
        RUN._replace(platform=Platform("linux", "arm64")),
        RUN._replace(host_names=("db",), host_addresses=("10.0.0.1",)),
        RUN._replace(ulimits=(("nofile", 10, 10),)),
        RUN._replace(shm_size=1 << 20),
        RUN._replace(seccomp=False),
        RUN._replace(platform=Platform("linux", "amd64", "v2")),
    ],
)
def test_everything_a_command_sees_is_in_its_key(changed: RunOp) -> None:
    assert key(changed) != key(RUN)


def test_env_order_counts() -> None:
    assert key(RUN._replace(env=(("A", "1"), ("B", "2")))) != key(RUN._replace(env=(("B", "2"), ("A", "1"))))


def test_addresses_of_hosts_do_not_count() -> None:
    one = RUN._replace(host_names=("db",), host_addresses=("10.0.0.1",))
    assert key(one) == key(one._replace(host_addresses=("10.0.0.2",)))


def test_proxies_titles_and_places_do_not_count() -> None:
    same = RUN._replace(proxy_env=(("HTTP_PROXY", "http://127.0.0.1:3128"),))
    moved = node(same, title="RUN something else", span=Span("Dockerfile", 9, 9))
    assert effective_key(moved, PARENT, None) == key(RUN)


def test_selection_counts_and_absence_is_not_emptiness() -> None:
    assert len({key(COPY), key(COPY, b""), key(COPY, b"\0"), key(COPY, b"\1")}) == 4


def test_copy_and_add_of_the_same_are_different() -> None:
    assert key(COPY) != key(AddOp(*COPY))


def test_a_heredoc_is_not_a_path_of_its_name() -> None:
    named = COPY._replace(sources=("E",))
    inline = COPY._replace(sources=(InlineFile("E", b""),))
    other = COPY._replace(sources=(InlineFile("E", b"x"),))
    assert len({key(named), key(inline), key(other)}) == 3


def test_images_are_known_by_their_layers_alone() -> None:
    diff = DiffId(Digest.of(b"layer"))
    one = ImageOp("docker.io/library/a:1", (diff,), (LayerId(1),), (None,))
    two = ImageOp("docker.io/library/b:2", (diff,), (LayerId(9),), (5,))
    assert effective_key(node(one, inputs=()), None, None) == effective_key(node(two, inputs=()), None, None)


def test_recipe_follows_inputs() -> None:
    base = recipe_key(node(ScratchOp(), inputs=()), {}, None)
    other = CacheKey(Digest.of(b"other"))
    assert recipe_key(node(RUN), {NodeId(0): base}, None) != recipe_key(node(RUN), {NodeId(0): other}, None)
    assert recipe_key(node(RUN), {NodeId(0): base}, None) == recipe_key(node(RUN, title="x"), {NodeId(0): base}, None)


def test_recipe_and_effective_keys_never_meet() -> None:
    scratch = node(ScratchOp(), inputs=())
    assert recipe_key(scratch, {}, None) != effective_key(scratch, None, None)


def test_workdir_epoch_counts() -> None:
    assert key(WorkdirOp("/a", "", None)) != key(WorkdirOp("/a", "", 0))


def test_inputs_by_role() -> None:
    copy = node(COPY, inputs=(3, 4))
    assert (rootfs_input(copy), source_input(copy)) == (3, 4)
    assert source_input(node(COPY, inputs=(3,))) is None
    assert source_input(node(RUN)) is None
