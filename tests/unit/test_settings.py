"""Flags and environment become a BuildRequest; what cannot be used is an error that says so."""

from typing import Any

import pytest

from builder.request import BuildRequest, NamedContext, OutputSpec
from builder.settings import (
    BuildFiles,
    FlagError,
    Flags,
    Host,
    UnsupportedFlag,
    absolute,
    from_flags,
    full_name,
    parse_bool,
    store_root,
)
from layers.errors import PybuildError
from layers.image import Platform

FILES = BuildFiles("/src", "Dockerfile", b"FROM scratch\n")
HOST = Host({"HOME": "/home/ann", "TOKEN": "t"}, "/work", "x86_64", False)


def request(host: Host = HOST, **flags: Any) -> BuildRequest:
    return from_flags(Flags(**flags), FILES, host)


def host(**environ: str) -> Host:
    return HOST._replace(environ={**HOST.environ, **environ})


def test_defaults() -> None:
    made = request()
    assert made == BuildRequest(
        context="/src",
        dockerfile_path="Dockerfile",
        dockerfile_text=b"FROM scratch\n",
        root="/home/ann/.local/share/pybuild",
        platform=Platform("linux", "amd64"),
        environ=(("HOME", "/home/ann"),),
    )


def test_tags_are_full_names_once() -> None:
    made = request(tags=("app", "app:latest", "Reg.example:5000/a/b:1", "ann/app:2"))
    assert made.tags == (
        "docker.io/library/app:latest",
        "Reg.example:5000/a/b:1",
        "docker.io/ann/app:2",
    )


@pytest.mark.parametrize("tag", ["App", "a:b:c", "", "a b", "app@sha256:" + "0" * 64])
def test_bad_tags(tag: str) -> None:
    with pytest.raises(PybuildError, match=r"invalid reference|cannot hold a digest"):
        request(tags=(tag,))


def test_build_args_come_from_the_environment_when_only_named() -> None:
    made = request(build_args=("A=1", "TOKEN", "NONE", "A=2=3", "EMPTY="))
    assert made.build_args == (("A", "2=3"), ("TOKEN", "t"), ("NONE", None), ("EMPTY", ""))
    made = request(build_args=("TOKEN=x", "NONE=1", "NONE", "TOKEN"))
    assert made.build_args == (("TOKEN", "t"), ("NONE", "1"))


def test_proxies_of_docker_are_build_arguments() -> None:
    """In both spellings, unless one is given."""
    config = {"proxies": {"default": {"httpProxy": "h", "noProxy": "n", "httpsProxy": "s"}}}
    made = request(HOST._replace(docker_config=config), build_args=("no_proxy=mine", "HTTPS_PROXY"))
    assert made.build_args == (("no_proxy", "mine"), ("HTTPS_PROXY", None), ("HTTP_PROXY", "h"), ("http_proxy", "h"))
    assert made.proxies == ()


def test_proxies_of_the_environment() -> None:
    made = request(host(http_proxy="h", ALL_PROXY="a"))
    assert made.build_args == ()
    assert made.proxies == (("HTTP_PROXY", "h"), ("ALL_PROXY", "a"))


def test_labels() -> None:
    assert request(labels=("a=1", "b", "a=2")).labels == (("a", "2"), ("b", ""))


@pytest.mark.parametrize("flags", [{"labels": ("=x",)}, {"build_args": ("=x",)}, {"build_contexts": ("=x",)}])
def test_a_name_is_needed(flags: dict[str, Any]) -> None:
    with pytest.raises(FlagError, match="no name before"):
        request(**flags)


@pytest.mark.parametrize(
    ("environ", "args", "epoch", "passed"),
    [
        ({}, ("SOURCE_DATE_EPOCH=context",), None, "context"),
        ({}, (), None, None),
        ({"SOURCE_DATE_EPOCH": "12"}, (), 12, "12"),
        ({"SOURCE_DATE_EPOCH": "12"}, ("SOURCE_DATE_EPOCH=-5",), -5, "-5"),
        ({"SOURCE_DATE_EPOCH": "12"}, ("SOURCE_DATE_EPOCH=",), None, ""),
        ({"SOURCE_DATE_EPOCH": "12"}, ("SOURCE_DATE_EPOCH",), 12, "12"),
        ({"SOURCE_DATE_EPOCH": ""}, (), None, None),
        ({}, ("SOURCE_DATE_EPOCH=0",), 0, "0"),
    ],
)
def test_epoch(environ: dict[str, str], args: tuple[str, ...], epoch: int | None, passed: str | None) -> None:
    made = request(host(**environ), build_args=args)
    assert made.epoch == epoch
    assert dict(made.build_args).get("SOURCE_DATE_EPOCH") == passed


@pytest.mark.parametrize("value", ["1.5", "tomorrow", "1_000", "\u0661"])
def test_an_epoch_that_is_no_number(value: str) -> None:
    with pytest.raises(UnsupportedFlag, match=f"SOURCE_DATE_EPOCH={value} is not supported yet"):
        request(build_args=(f"SOURCE_DATE_EPOCH={value}",))


@pytest.mark.parametrize("platforms", [(), ("linux/amd64",), ("amd64",), ("local",), ("linux/x86_64", "local,amd64")])
def test_own_platform(platforms: tuple[str, ...]) -> None:
    assert request(platforms=platforms).platform == Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("platforms", "environ", "problem"),
    [
        (("linux/arm64",), {}, "--platform linux/arm64 on linux/amd64 is not supported yet"),
        (("windows/amd64",), {}, "is not supported yet"),
        (("linux/amd64,linux/arm64",), {}, "several platforms is not supported yet"),
        (("linux/amd64/v3",), {}, "is not supported yet"),
        (("pdp11",), {}, "not a platform"),
        (("",), {}, "not a platform"),
        ((), {"DOCKER_DEFAULT_PLATFORM": "linux/s390x"}, "linux/s390x"),
        ((), {"DOCKER_DEFAULT_PLATFORM": "linux/amd64, linux/arm64"}, "several platforms is not supported yet"),
    ],
)
def test_other_platforms(platforms: tuple[str, ...], environ: dict[str, str], problem: str) -> None:
    with pytest.raises(FlagError, match=problem):
        request(host(**environ), platforms=platforms)


@pytest.mark.parametrize("given", ["seccomp=unconfined", "seccomp:unconfined"])
def test_no_filter_by_name(given: str) -> None:
    assert not request(security_opts=(given,)).seccomp


@pytest.mark.parametrize("given", ["seccomp=/p.json", "apparmor=unconfined", "no-new-privileges"])
def test_other_security_options(given: str) -> None:
    with pytest.raises(UnsupportedFlag, match=r"--security-opt .* is not supported yet"):
        request(security_opts=(given,))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("../other", ("local", "/work/../other", None)),
        ("/abs//dir/", ("local", "/abs/dir", None)),
        ("with:colon", ("local", "/work/with:colon", None)),
        ("oci-layout://img", ("oci-layout", "/work/img", None)),
        ("oci-layout:///img:1.0", ("oci-layout", "/img", "1.0")),
        ("https://example.org/x.git", ("remote", "https://example.org/x.git", None)),
        ("git@example.org:x", ("remote", "git@example.org:x", None)),
        ("github.com/x/y#main", ("remote", "github.com/x/y#main", None)),
        ("ssh://h/x", ("remote", "ssh://h/x", None)),
        ("target:x", ("target", "x", None)),
        ("docker-image://debian", ("docker-image", "docker.io/library/debian:latest", None)),
        ("docker-image://scratch", ("scratch", "", None)),
        ("oci-layout:///a:b/img", ("oci-layout", "/a:b/img", None)),
        ("oci-layout:///img@sha256:" + "0" * 64, ("oci-layout", "/img", "sha256:" + "0" * 64)),
        ("oci-layout:///img:1@sha256:" + "0" * 64, ("oci-layout", "/img", "sha256:" + "0" * 64)),
        ("oci-layout:///a@b:c/img@2", ("oci-layout", "/a@b:c/img@2", None)),
        ("oci-layout:///img:not/a:tag:", ("oci-layout", "/img:not/a:tag:", None)),
    ],
)
def test_named_contexts(value: str, expected: tuple[str, str, str | None]) -> None:
    assert request(build_contexts=(f"n={value}",)).build_contexts == (NamedContext("n", *expected),)


@pytest.mark.parametrize("value", ["ftp://example.org/x", "input:x"])
def test_contexts_that_cannot_be_had(value: str) -> None:
    with pytest.raises(UnsupportedFlag, match=f"--build-context n={value} is not supported yet"):
        request(build_contexts=(f"n={value}",))


def test_a_named_context_needs_a_value() -> None:
    with pytest.raises(FlagError, match="nothing after the name"):
        request(build_contexts=("n",))


@pytest.mark.parametrize(
    ("given", "environ", "admin", "expected"),
    [
        ("s", {"PYBUILD_ROOT": "/env"}, False, "/work/s"),
        (None, {"PYBUILD_ROOT": "env"}, True, "/work/env"),
        (None, {}, True, "/var/lib/pybuild"),
        (None, {"XDG_DATA_HOME": "/data"}, False, "/data/pybuild"),
        (None, {"XDG_DATA_HOME": "relative"}, False, "/home/ann/.local/share/pybuild"),
    ],
)
def test_store_root(given: str | None, environ: dict[str, str], admin: bool, expected: str) -> None:
    assert store_root(given, host(**environ)._replace(admin=admin)) == expected


def test_no_home() -> None:
    with pytest.raises(FlagError, match="no HOME"):
        store_root(None, HOST._replace(environ={}))


def test_docker_host() -> None:
    assert request(host(DOCKER_HOST="tcp://h:1")).docker_host == "tcp://h:1"
    assert request().docker_host == "unix:///var/run/docker.sock"


def test_full_name_says_which_flag() -> None:
    with pytest.raises(FlagError, match="tag app@sha256"):
        full_name("app@sha256:" + "0" * 64, "tag")


def test_absolute_keeps_dots_that_may_follow_links() -> None:
    assert absolute("/a", "./b/.") == "/a/b"
    assert absolute("/a", "b/../c") == "/a/b/../c"


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), ("T", True), ("false", False), ("0", False), ("yes", None)]
)
def test_parse_bool(text: str, expected: bool | None) -> None:
    assert parse_bool(text) is expected


def test_a_push_goes_to_the_names_given_with_it_else_to_all_tags() -> None:
    tagged = request(tags=("a", "h:1/b"), outputs=(OutputSpec("registry", None),))
    assert tagged.outputs[0].names == tagged.tags == ("docker.io/library/a:latest", "h:1/b:latest")
    named = request(tags=("a",), outputs=(OutputSpec("registry", None, names=("h:1/b:2",)),))
    assert named.outputs[0].names == ("h:1/b:2",)
    assert named.tags == ("docker.io/library/a:latest", "h:1/b:2")


def test_an_image_that_is_only_kept_needs_no_output() -> None:
    kept = request(outputs=(OutputSpec("image", None, names=("h:1/b:2",)),))
    assert (kept.outputs, kept.tags) == ((), ("h:1/b:2",))


def test_the_cache_alone_has_no_name() -> None:
    cache = OutputSpec("cacheonly", None)
    assert (request(tags=("a",), outputs=(cache,)).outputs, request(tags=("a",), outputs=(cache,)).tags) == ((), ())
    both = request(tags=("a",), outputs=(cache, OutputSpec("oci", "/x")))
    assert (both.outputs, both.tags) == ((OutputSpec("oci", "/x"),), ("docker.io/library/a:latest",))


def test_a_push_needs_a_name() -> None:
    with pytest.raises(FlagError, match="no name to push to"):
        request(outputs=(OutputSpec("registry", None),))
