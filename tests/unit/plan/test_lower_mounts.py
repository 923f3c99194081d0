"""``RUN --mount``, ``--network`` and ``--security``: what they become, and what they bring into the plan."""

from typing import Any

import pytest

from builder.errors import PlanError
from builder.grants import Grants
from builder.plan.graph import ImageOp, LocalOp, NodeId, Plan, RunOp
from builder.plan.keys import recipe_key
from builder.plan.mounts import MOUNTS, BindMount, CacheMount, RunMount, SecretMount, SshMount, TmpfsMount
from builder.request import NamedContext
from layers.digest import CacheKey, Digest
from tests.support.planning import image, only, plan, refused, titles


def mounts(flags: str, before: str = "", **fields: Any) -> tuple[RunMount, ...]:
    return only(plan(f"FROM scratch\n{before}RUN {flags} x\n", **fields), RunOp).mounts


def mount(value: str, before: str = "", **fields: Any) -> RunMount:
    (found,) = mounts(f"--mount={value}", before, **fields)
    return found


def last_inputs(found: Plan) -> list[type]:
    return [type(found.nodes[i].op) for i in found.nodes[found.target].inputs]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("target=/x", BindMount("/x", "/", True, 1)),
        ("target=/x,source=a/../b/,rw", BindMount("/x", "/b", False, 1)),
        ("target=/x/../y/", BindMount("/y", "/", True, 1)),
        ("type=cache,target=/x/", CacheMount("/x", "//x", "shared", False, "/", None)),
        ("type=cache,target=/x,id=/x", CacheMount("/x", "//x", "shared", False, "/", None)),
        ("type=cache,target=/x,id=x", CacheMount("/x", "/x", "shared", False, "/", None)),
        (
            "type=cache,target=/x,id=x/,sharing=private,uid=1,gid=2,mode=0700",
            CacheMount("/x", "/x/", "private", False, "/", None, 0o700, 1, 2),
        ),
        ("type=tmpfs,target=/x,size=4k", TmpfsMount("/x", 4096, False)),
        ("type=secret,id=a/b", SecretMount("a/b", "/run/secrets/b", None, False, 0o400, 0, 0)),
        ("type=secret,target=/x/y", SecretMount("y", "/x/y", None, False, 0o400, 0, 0)),
        ("type=secret,id=a,env=E,required", SecretMount("a", None, "E", True, 0o400, 0, 0)),
        ("type=secret,id=a,env=E,target=/e,mode=4,uid=5", SecretMount("a", "/e", "E", False, 4, 5, 0)),
        ("type=ssh", SshMount("default", "/run/buildkit/ssh_agent.0", False, 0o600, 0, 0)),
        ("type=ssh,id=a,target=/s,gid=7", SshMount("a", "/s", False, 0o600, 0, 7)),
    ],
)
def test_defaults(value: str, expected: RunMount) -> None:
    assert mount(value) == expected


def test_relative_targets_are_below_the_working_directory() -> None:
    assert mount("target=x", "WORKDIR /w\n") == BindMount("/w/x", "/", True, 1)
    assert mount("source=a", "WORKDIR /w\n") == BindMount("/w", "/a", True, 1)
    cache = mount("type=cache,target=../x", "WORKDIR /w\n")
    assert isinstance(cache, CacheMount) and (cache.target, cache.id) == ("/x", "/../x")
    secret = mount("type=secret,target=x", "WORKDIR /w\n")
    assert isinstance(secret, SecretMount) and (secret.id, secret.target) == ("x", "/w/x")


def test_variables_are_expanded() -> None:
    assert mount("type=$T,target=${D}/x", "ARG T=tmpfs\nENV D=/d\n") == TmpfsMount("/d/x", 0, False)


def test_the_namespace_of_caches_is_a_build_argument() -> None:
    found = mount("type=cache,target=/x", build_args=(("BUILDKIT_CACHE_MOUNT_NS", "ns"),))
    assert isinstance(found, CacheMount) and found.id == "ns//x"


def test_agents_are_numbered() -> None:
    found = mounts("--mount=type=ssh --mount=type=ssh,target=/s --mount=type=ssh")
    assert [getattr(each, "target", None) for each in found] == [
        "/run/buildkit/ssh_agent.0",
        "/s",
        "/run/buildkit/ssh_agent.2",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("target=/", "RUN --mount: the mount target / is the root directory"),
        ("source=a", "RUN --mount: the mount has no target, and the working directory is the root directory"),
        ("target=/proc/x", "RUN --mount: nothing can be mounted at /proc/x: it is the kernel's"),
        ("target=/dev", "RUN --mount: nothing can be mounted at /dev: it is the kernel's"),
        ("type=cash,target=/x", "RUN --mount: there is no mount type cash"),
    ],
)
def test_refused(value: str, message: str) -> None:
    error = refused(f"FROM scratch\nRUN --mount={value} x\n")
    assert (error.message, error.span and error.span.first_line) == (message, 2)
    assert error.hint


def test_what_means_nothing_is_warned_of() -> None:
    found = plan("FROM scratch\nRUN --mount=type=tmpfs,target=/x,id=1,source=/y x\n")
    assert [text for text, _ in found.warnings] == ["RUN --mount: id and source means nothing for a tmpfs mount"]


def test_stages_images_and_contexts_become_inputs() -> None:
    text = """
        FROM scratch AS a
        RUN a
        FROM scratch AS unused
        RUN b
        FROM base
        RUN --mount=target=/1 --mount=type=tmpfs,target=/2 --mount=from=A,target=/3 --mount=from=img,target=/4 \
            --mount=from=named,target=/5 --mount=type=cache,from=a,target=/6 --mount=from=scratch,target=/7 x
    """
    named = (NamedContext("named", "local", "/dir"),)
    found = plan(text, image("docker.io/library/img:latest"), build_contexts=named)
    op = found.nodes[found.target].op
    assert isinstance(op, RunOp)
    assert [getattr(each, "input", None) for each in op.mounts] == [1, None, 2, 3, 4, 5, 6]
    kinds = [kind.__name__ for kind in last_inputs(found)]
    assert kinds == ["ImageOp", "LocalOp", "RunOp", "ImageOp", "LocalOp", "RunOp", "ScratchOp"]
    assert "RUN b" not in titles(found)


def test_a_number_is_no_stage() -> None:
    text = "FROM scratch AS a\nRUN a\nFROM scratch\nRUN --mount=from=0,target=/x x\n"
    found = plan(text, image("docker.io/library/0:latest"))
    assert [type(node.op) for node in found.nodes.values()].count(ImageOp) == 1


@pytest.mark.parametrize("name", ["later", "here"])
def test_a_stage_has_to_be_above(name: str) -> None:
    text = f"FROM scratch AS here\nRUN --mount=from={name},target=/x x\nFROM here AS later\n"
    error = refused(text, target="here")
    assert "circular dependency" in error.message or error.message.startswith("cannot mount from stage")


def test_later_stages_that_need_nothing() -> None:
    text = "FROM scratch AS here\nRUN --mount=from=later,target=/x x\nFROM scratch AS later\n"
    error = refused(text, target="here")
    assert error.message == 'cannot mount from stage "later", it needs to be defined before current stage "here"'


def test_triggers_mount_too() -> None:
    trigger = "RUN --mount=from=tools,target=/x x"
    text = "FROM scratch AS tools\nRUN t\nFROM parent\n"
    found = plan(text, image("docker.io/library/parent:latest", onbuild=(trigger,)))
    assert [kind.__name__ for kind in last_inputs(found)] == ["ImageOp", "RunOp"]


def key(flags: str, **fields: Any) -> CacheKey:
    found = plan(f"FROM base\nRUN {flags} x\n", **fields)
    keys: dict[NodeId, CacheKey] = {}
    for node in found.nodes.values():
        keys[node.id] = recipe_key(node, keys, None)
    return keys[found.target]


SAME = [
    ("--mount=type=cache,target=/x", "--mount=type=cache,target=/x,id=y"),
    ("--mount=type=cache,target=/x", "--mount=type=cache,target=/x,sharing=locked"),
    ("--mount=target=/x", "--mount=type=bind,ro,dst=/x"),
    ("", "--network=default --security=sandbox"),
]
OTHER = [
    ("--mount=type=secret,id=a", "--mount=type=secret,id=a,required"),
    ("--mount=type=ssh", "--mount=type=ssh,required"),
    ("--device=v.com/gpu", "--device=v.com/gpu,required"),
    ("", "--mount=target=/x"),
    ("", "--mount=type=tmpfs,target=/x"),
    ("--mount=type=tmpfs,target=/x", "--mount=type=tmpfs,target=/y"),
    ("--mount=type=tmpfs,target=/x", "--mount=type=cache,target=/x"),
    ("--mount=target=/x", "--mount=target=/x,rw"),
    ("--mount=target=/x,source=a", "--mount=target=/x,source=b"),
    ("--mount=type=cache,target=/x", "--mount=type=cache,target=/x,uid=1"),
    ("--mount=type=cache,target=/x", "--mount=type=cache,target=/x,from=base"),
    ("--mount=type=secret,id=a", "--mount=type=secret,id=b"),
    ("--mount=type=secret,id=a,target=/x", "--mount=type=secret,id=a,target=/x,env=E"),
    ("--mount=type=secret,id=a", "--mount=type=secret,id=a,mode=0440"),
    ("", "--network=none"),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_keys_that_are_equal(left: str, right: str) -> None:
    assert key(left) == key(right)


@pytest.mark.parametrize(("left", "right"), OTHER)
def test_keys_that_differ(left: str, right: str) -> None:
    assert key(left) != key(right)


def test_which_cache_begins_with_what_is_in_the_key() -> None:
    one = "--mount=type=cache,target=/x,from=base --mount=type=cache,target=/y"
    other = "--mount=type=cache,target=/x --mount=type=cache,target=/y,from=base"
    assert key(one) != key(other)


def test_mounts_declare_what_enters_the_key() -> None:
    for kind in MOUNTS:
        assert set(kind._fields) == kind.KEY | kind.NOT_KEY, kind
        assert not kind.KEY & kind.NOT_KEY, kind


def network(flags: str, grants: Grants) -> str:
    return only(plan(f"FROM scratch\nRUN {flags} x\n", grants=grants), RunOp).network


@pytest.mark.parametrize(
    ("flags", "grants", "expected"),
    [
        ("", Grants(), "host"),
        ("--network=default", Grants(), "host"),
        ("--network=none", Grants(), "none"),
        ("", Grants(network="none"), "none"),
        ("--network=default", Grants(network="none"), "none"),
        ("--network=none", Grants(network="host"), "none"),
        ("--network=host", Grants(allowed=("network.host",)), "host"),
        ("--network=host", Grants(network="host"), "host"),
        ("--network=host", Grants(allowed=("network.host",), network="none"), "host"),
    ],
)
def test_network(flags: str, grants: Grants, expected: str) -> None:
    assert network(flags, grants) == expected


def test_the_hosts_network_has_to_be_allowed() -> None:
    error = refused("FROM scratch\nRUN --network=host x\n")
    assert error.message == "RUN --network=host is not allowed"
    assert error.hint == "whoever builds has to allow it: --allow network.host"


def test_a_context_that_nobody_else_needs() -> None:
    found = plan("FROM scratch\nRUN --mount=target=/x x\n")
    assert only(found, LocalOp).name == "context"


def test_unknown_stage_is_an_image() -> None:
    with pytest.raises(PlanError, match="not resolved"):
        plan("FROM scratch\nRUN --mount=from=nowhere,target=/x x\n")


def test_recipe_keys_hold_what_is_selected() -> None:
    found = plan("FROM scratch\nRUN --mount=target=/x x\n")
    node = found.nodes[found.target]
    none = CacheKey(Digest.of(b""))
    inputs = dict.fromkeys(node.inputs, none)
    assert recipe_key(node, inputs, b"1" * 32) != recipe_key(node, inputs, b"2" * 32)
