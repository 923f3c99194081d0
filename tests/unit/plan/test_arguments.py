"""ARG in all its scopes; what --build-arg does; SOURCE_DATE_EPOCH."""

import pytest

from builder.errors import ParseError, Unsupported
from builder.plan.arguments import proxies
from builder.plan.graph import RunOp
from layers.image import Platform
from tests.support.planning import created_by, image, last, plan, refused, titles


def env(text: str, **fields: object) -> dict[str, str]:
    """The environment of the last RUN."""
    op = last(plan(text, **fields)).op
    assert isinstance(op, RunOp)
    return {name: value for name, value in op.env if name != "PATH"}


def test_a_global_argument_is_for_from_only() -> None:
    base = image("docker.io/library/debian:12")
    text = "ARG tag=12\nFROM debian:$tag\nLABEL t=$tag\nARG tag\nLABEL u=$tag\n"
    assert created_by(plan(text, base)) == ["LABEL t=", "ARG tag=12", "LABEL u=12"]


@pytest.mark.parametrize(
    ("text", "given", "value"),
    [
        ("ARG a=1\nFROM scratch\nARG a\n", None, "1"),
        ("ARG a=1\nFROM scratch\nARG a=2\n", None, "2"),
        ("ARG a=1\nFROM scratch\nARG a=2\n", "3", "3"),
        ("ARG a=1\nFROM scratch\nARG a\n", "3", "3"),
        ("FROM scratch\nARG a\n", "3", "3"),
        ("FROM scratch\nARG a=2\n", "", ""),
        ("FROM scratch\nARG a\n", None, None),
        ("FROM scratch\nARG a=2\nARG a\n", None, "2"),
        ("FROM scratch\nARG a=1\nENV a=2\n", None, "2"),
        ("FROM scratch\nENV a=1\nARG a=2\n", None, "2"),
        ("FROM scratch\nENV a=1\nARG a=2\n", "3", "3"),
        ("FROM scratch\nENV a=1\nARG a\n", None, "1"),
        ("FROM scratch AS p\nENV a=1\nARG a=2\nFROM p\n", None, "1"),
        ("FROM scratch AS p\nARG a=2\nFROM p\n", None, "2"),
        ("FROM scratch AS p\nARG a=2\nFROM p\nARG a\n", None, "2"),
        ("FROM scratch AS p\nARG a=2\nFROM scratch\n", "3", None),
    ],
)
def test_value(text: str, given: str | None, value: str | None) -> None:
    args = () if given is None else (("a", given),)
    assert env(f"{text}RUN x\n", build_args=args).get("a") == value


def test_a_name_without_a_value_anywhere_is_not_given() -> None:
    found = plan("FROM scratch\nARG a=1\n", build_args=(("a", None),))
    assert created_by(found) == ["ARG a=1"]
    assert found.warnings == ()


def test_globals_see_earlier_ones_and_expand() -> None:
    base = image("docker.io/library/debian:12-slim")
    text = "ARG v=12 w=${v}-slim\nFROM ${w:+debian:$w}\n"
    assert titles(plan(text, base)) == ["FROM docker.io/library/debian:12-slim"]


def test_names_are_not_expanded() -> None:
    assert created_by(plan("FROM scratch\nARG K=x\nARG $K=3\n"))[-1] == "ARG $K=3"


def test_history_of_a_child_counts_the_parents_arguments() -> None:
    text = "FROM scratch AS p\nARG a=1\nFROM p\nARG b=2\nARG a\nRUN x\n"
    assert created_by(plan(text))[-1] == "RUN |2 a=1 b=2 /bin/sh -c x # buildkit"


AUTOMATIC = ("PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT")


def test_automatic_arguments_enter_a_stage_when_asked_for() -> None:
    names = [f"{side}{part}" for side in ("BUILD", "TARGET") for part in AUTOMATIC]
    text = f"FROM scratch\nARG {' '.join(names)} TARGETSTAGE\nRUN x\n"
    found = env(text, platform=Platform("linux", "arm", "v7"))
    assert [found[f"TARGET{part}"] for part in AUTOMATIC] == ["linux/arm/v7", "linux", "", "arm", "v7"]
    assert [found[f"BUILD{part}"] for part in AUTOMATIC] == ["linux/arm/v7", "linux", "", "arm", "v7"]
    assert found["TARGETSTAGE"] == "default"
    assert env("FROM scratch\nRUN x\n") == {}


def test_automatic_arguments_are_overridden_by_defaults_and_build_args() -> None:
    assert env("FROM scratch\nARG TARGETARCH=foo\nRUN x\n") == {"TARGETARCH": "foo"}
    assert env("FROM scratch\nARG TARGETARCH\nRUN x\n", build_args=(("TARGETARCH", "bar"),)) == {"TARGETARCH": "bar"}
    assert env("ARG TARGETARCH=baz\nFROM scratch\nARG TARGETARCH\nRUN x\n") == {"TARGETARCH": "baz"}


def test_target_stage_is_as_it_was_typed_or_the_last_one() -> None:
    text = "FROM scratch AS One\nARG TARGETSTAGE\nRUN x\n"
    assert env(text, target="ONE") == {"TARGETSTAGE": "ONE"}
    assert env(text) == {"TARGETSTAGE": "one"}
    assert env(f"{text}FROM one\nRUN x\n") == {"TARGETSTAGE": "default"}


def test_from_sees_automatic_arguments() -> None:
    base = image("docker.io/library/debian-amd64:latest")
    assert titles(plan("FROM debian-$TARGETARCH\n", base)) == ["FROM docker.io/library/debian-amd64:latest"]
    assert titles(plan("FROM --platform=$BUILDPLATFORM base\n")) == ["FROM docker.io/library/base:latest"]


def test_some_arguments_never_reach_the_environment() -> None:
    text = "FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nARG BUILDKIT_BUILD_NAME\nRUN x\n"
    found = plan(text, build_args=(("BUILDKIT_BUILD_NAME", "n"),))
    op = last(found).op
    assert isinstance(op, RunOp)
    assert op.env[1:] == (("BUILDKIT_BUILD_NAME", "n"),)
    assert created_by(found)[0] == "ARG BUILDKIT_SBOM_SCAN_STAGE=true"


def test_unused_arguments_are_warned_of() -> None:
    text = "ARG a\nFROM scratch AS unneeded\nARG b\nFROM scratch\nARG c\nONBUILD ARG d\n"
    given = tuple((name, "1") for name in ("a", "b", "c", "d", "e", "NO_PROXY", "TARGETOS", "BUILDKIT_SYNTAX"))
    given = (*given[:-1], ("BUILDKIT_SYNTAX", "docker/dockerfile:1.7-labs"))
    messages = [message for message, _ in plan(text, build_args=given).warnings]
    assert messages == [f'build argument "{name}" is not used: no ARG declares it' for name in ("d", "e")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUILDKIT_INLINE_CACHE", "1"),
        ("BUILDKIT_MULTI_PLATFORM", "true"),
        ("BUILDKIT_SYNTAX", "example.com/frontend"),
        ("BUILDKIT_DOCKERFILE_CHECK", "skip=all;error=true"),
    ],
)
def test_arguments_that_ask_the_builder_for_what_it_has_not(name: str, value: str) -> None:
    with pytest.raises(Unsupported, match=name):
        plan("FROM scratch\n", build_args=((name, value),))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUILDKIT_INLINE_CACHE", "0"),
        ("BUILDKIT_SYNTAX", "docker.io/docker/dockerfile:1"),
        ("BUILDKIT_DOCKERFILE_CHECK", "skip=all"),
        ("BUILDKIT_CACHE_MOUNT_NS", "x"),
    ],
)
def test_arguments_that_change_nothing_here(name: str, value: str) -> None:
    assert plan("FROM scratch\n", build_args=((name, value),)).warnings == ()


def test_the_syntax_argument_stands_for_the_directive() -> None:
    text = "# syntax=example.org/other\nFROM scratch\n"
    with pytest.raises(Unsupported, match=r"example\.org/other"):
        plan(text)
    assert plan(text, build_args=(("BUILDKIT_SYNTAX", "mirror.example.org/docker/dockerfile:1"),)).warnings == ()
    with pytest.raises(Unsupported, match=r"BUILDKIT_SYNTAX=dockerfile\.v0"):
        plan("FROM scratch\n", build_args=(("BUILDKIT_SYNTAX", "dockerfile.v0"),))


def test_the_check_argument_stands_for_the_directive() -> None:
    text = "# check=error=true\nFROM scratch\n"
    assert ["error=true" in message for message, _ in plan(text).warnings] == [True]
    assert plan(text, build_args=(("BUILDKIT_DOCKERFILE_CHECK", "skip=all"),)).warnings == ()
    with pytest.raises(ParseError, match="no option jump=all"):
        plan(text, build_args=(("BUILDKIT_DOCKERFILE_CHECK", "jump=all"),))


def test_proxies() -> None:
    assert proxies({}, ()) == ((), ())
    assert dict(proxies({"HTTP_PROXY": "1", "http_proxy": "2"}, ())[0]) == {"HTTP_PROXY": "2", "http_proxy": "2"}
    assert dict(proxies({"Ftp_Proxy": "1", "other": "2"}, ())[0]) == {"FTP_PROXY": "1", "ftp_proxy": "1"}
    assert proxies({}, (("NO_PROXY", "e"),)) == ((), (("NO_PROXY", "e"), ("no_proxy", "e")))
    assert proxies({"no_proxy": "a"}, (("NO_PROXY", "e"),)) == ((("NO_PROXY", "a"), ("no_proxy", "a")), ())
    assert proxies({"no_proxy": ""}, (("NO_PROXY", "e"),)) == ((), ())


@pytest.mark.parametrize(("given", "expected"), [(True, ["HTTP_PROXY", "http_proxy"]), (False, ["HTTP_PROXY"])])
def test_a_proxy_that_env_sets_gives_way_to_one_that_is_given(given: bool, expected: list[str]) -> None:
    """But not to one that is only in the environment of the build."""
    text = "FROM scratch\nENV http_proxy=mine\nRUN x\n"
    build_args, around = ((("HTTP_PROXY", "h"),), ()) if given else ((), (("HTTP_PROXY", "h"),))
    found = plan(text, build_args=build_args, proxies=around)
    (run,) = (node.op for node in found.nodes.values() if isinstance(node.op, RunOp))
    assert [name for name, _ in run.proxy_env] == expected


def test_proxies_of_the_environment_are_no_build_arguments() -> None:
    text = "FROM scratch\nARG HTTP_PROXY\nRUN x\nLABEL p=$HTTP_PROXY\n"
    found = plan(text, proxies=(("HTTP_PROXY", "http://p:1"),))
    run = last(found).op
    assert isinstance(run, RunOp)
    assert run.proxy_env == (("HTTP_PROXY", "http://p:1"), ("http_proxy", "http://p:1"))
    assert created_by(found)[0] == "ARG HTTP_PROXY"
    assert created_by(found)[-1] == "LABEL p="


# SOURCE_DATE_EPOCH


@pytest.mark.parametrize(
    ("text", "fields", "epoch"),
    [
        ("FROM scratch\n", {}, None),
        ("FROM scratch\n", {"epoch": 5}, 5),
        ("FROM scratch\n", {"build_args": (("SOURCE_DATE_EPOCH", "6"),)}, 6),
        ("FROM scratch\n", {"build_args": (("SOURCE_DATE_EPOCH", "-6"),)}, -6),
        ("FROM scratch\n", {"build_args": (("SOURCE_DATE_EPOCH", ""),)}, None),
        ("FROM scratch\n", {"build_args": (("SOURCE_DATE_EPOCH", "context"),)}, None),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM scratch\n", {}, 7),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM scratch\n", {"epoch": 5}, 5),
        ("ARG SOURCE_DATE_EPOCH\nFROM scratch\n", {}, None),
        ("FROM scratch\nARG SOURCE_DATE_EPOCH=8\n", {}, None),
    ],
)
def test_epoch(text: str, fields: dict[str, object], epoch: int | None) -> None:
    found = plan(text, **fields)
    assert found.epoch == epoch
    assert found.warnings == ()


def test_epoch_enters_a_run_only_by_an_arg() -> None:
    assert env("FROM scratch\nRUN x\n", epoch=5) == {}
    assert env("FROM scratch\nARG SOURCE_DATE_EPOCH\nRUN x\n", epoch=5) == {"SOURCE_DATE_EPOCH": "5"}
    assert env("ARG SOURCE_DATE_EPOCH=7\nFROM scratch\nARG SOURCE_DATE_EPOCH\nRUN x\n") == {"SOURCE_DATE_EPOCH": "7"}
    off = (("SOURCE_DATE_EPOCH", ""),)
    assert env("FROM scratch\nARG SOURCE_DATE_EPOCH\nRUN x\n", build_args=off) == {}


def test_a_bad_epoch_is_refused_where_it_is_written() -> None:
    error = refused("ARG a=1\nARG SOURCE_DATE_EPOCH=soon\nFROM scratch\n")
    assert error.message == "invalid SOURCE_DATE_EPOCH: soon"
    assert error.span is not None and error.span.first_line == 2
    for value in ("1.5", "a-stage"):
        assert refused("FROM scratch\n", build_args=(("SOURCE_DATE_EPOCH", value),)).span is None
    refused("FROM scratch\n", build_args=(("SOURCE_DATE_EPOCH", "context"),), unpacked=True)
