"""``-o`` in BuildKit's spelling."""

import pytest

from builder.cli.outputs import parse_output, parse_outputs
from builder.request import OutputSpec
from builder.settings import FlagError, UnsupportedFlag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-", OutputSpec("tar", "-")),
        ("out", OutputSpec("local", "/work/out")),
        ("a=b", OutputSpec("local", "/work/a=b")),
        ("type=local,dest=out", OutputSpec("local", "/work/out")),
        ("type=local,dest=out,mode=copy", OutputSpec("local", "/work/out")),
        ("type=tar", OutputSpec("tar", "-")),
        ("type=tar,dest=/x.tar", OutputSpec("tar", "/x.tar")),
        ("type=oci,dest=x.tar", OutputSpec("oci", "/work/x.tar")),
        ("type=oci,dest=-", OutputSpec("oci", "-")),
        ("type=oci,tar=false,dest=layout", OutputSpec("oci", "/work/layout", tar=False)),
        ("type=oci,dest=x,compression=zstd,compression-level=22", OutputSpec("oci", "/work/x", "zstd", 22)),
        ("type=oci,dest=x,compression=uncompressed", OutputSpec("oci", "/work/x", "none")),
        ("type=oci,dest=x,force-compression=true", OutputSpec("oci", "/work/x", force_compression=True)),
        ("type=oci,dest=x,force-compression=0", OutputSpec("oci", "/work/x")),
        ("type=docker,dest=x.tar", OutputSpec("docker", "/work/x.tar")),
        ("type=docker,dest=x.tar,tar=true", OutputSpec("docker", "/work/x.tar")),
        ("type=docker", OutputSpec("load", None)),
        ("type=cacheonly", OutputSpec("cacheonly", None)),
        ("TYPE=oci,dest=x,oci-mediatypes=true,rewrite-timestamp=true", OutputSpec("oci", "/work/x")),
        ('type=oci,"dest=a,b.tar"', OutputSpec("oci", "/work/a,b.tar")),
    ],
)
def test_outputs(text: str, expected: OutputSpec) -> None:
    assert parse_output(text, "/work") == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("dest=x,tar=false", "there is no type="),
        ("type=zip,dest=x", "there is no type zip"),
        ("type=oci,dest", "dest is not KEY=VALUE"),
        ("type=local", "a directory is needed"),
        ("type=local,dest=-", "a directory is needed"),
        ("type=tar,dest=x,compression=gzip", "type=tar has no attribute compression"),
        ("type=cacheonly,dest=x", "type=cacheonly has no attribute dest"),
        ("type=oci,dest=x,colour=red", "type=oci has no attribute colour"),
        ("type=oci,dest=x,compression=brotli", "no compression brotli"),
        ("type=oci,dest=x,compression-level=10", "10 is not a compression level"),
        ("type=oci,dest=x,compression-level=-1", "-1 is not a compression level"),
        ("type=oci,dest=x,compression=uncompressed,compression-level=1", "there is no level"),
        ("type=oci,dest=x,tar=maybe", "neither true nor false"),
        ("type=oci,tar=false", "a directory is needed"),
    ],
)
def test_outputs_that_make_no_sense(text: str, problem: str) -> None:
    with pytest.raises(FlagError, match=problem) as caught:
        parse_output(text, "/work")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("type=registry,push-by-digest=true", "push-by-digest=true"),
        ("type=image,unpack=true", "unpack=true"),
        ("type=oci,dest=x,compression=estargz", "compression=estargz"),
        ("type=oci,dest=x,name=app", "name=app"),
        ("type=docker,dest=x,tar=false", "tar=false"),
        ("type=docker,compression=zstd", "compression on the way into a Docker Engine"),
        ("type=image,registry.insecure=true", "registry.insecure=true"),
        ("type=oci,dest=x,oci-mediatypes=false", "oci-mediatypes=false"),
        ("type=oci,dest=x,rewrite-timestamp=false", "rewrite-timestamp=false"),
        ("type=local,dest=x,mode=delete", "mode=delete"),
        ("type=oci,dest=x,annotation.a=b", "annotation.a=b"),
    ],
)
def test_outputs_for_later(text: str, what: str) -> None:
    with pytest.raises(UnsupportedFlag, match=f"{what}.* is not supported yet"):
        parse_output(text, "/work")


def test_several() -> None:
    found = parse_outputs(("type=oci,dest=a", "-", "type=docker"), "/work", load=True, push=False)
    assert [output.type for output in found] == ["oci", "tar", "load"]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (("-", "type=oci"), "only one output can go to standard"),
        (("type=oci,dest=a", "a"), "two outputs go to /work/a"),
    ],
)
def test_several_that_collide(given: tuple[str, ...], problem: str) -> None:
    with pytest.raises(FlagError, match=problem):
        parse_outputs(given, "/work", load=False, push=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type=registry", OutputSpec("registry", None)),
        ("type=registry,compression=zstd", OutputSpec("registry", None, compression="zstd")),
        ("type=image,push=true,name=h:1/a", OutputSpec("registry", None, names=("h:1/a:latest",))),
        ("type=registry,push=false,name=a", OutputSpec("image", None, names=("docker.io/library/a:latest",))),
        ('type=image,"name=h:1/a:2,b"', OutputSpec("image", None, names=("h:1/a:2", "docker.io/library/b:latest"))),
    ],
)
def test_images(text: str, expected: OutputSpec) -> None:
    assert parse_output(text, "/work") == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), ["registry"]),
        (("type=oci,dest=a",), ["oci", "registry"]),
        (("type=image,name=a",), ["registry"]),
        (("type=registry",), ["registry"]),
    ],
)
def test_push(given: tuple[str, ...], expected: list[str]) -> None:
    assert [output.type for output in parse_outputs(given, "/work", load=False, push=True)] == expected
