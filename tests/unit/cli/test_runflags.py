"""Values of the flags that concern every RUN, and of those that go into manifests."""

from pathlib import Path

import pytest

from builder.request import Annotation
from builder.runflags import SHM_SIZE, RunFlags, Ulimit
from tests.unit.cli.conftest import FakeApi, Run


def asked(run: Run, api: FakeApi, *args: str) -> RunFlags:
    ran = run(*args, ".")
    assert ran.code == 0, ran.err
    return api.requests[-1].run_flags


def test_nothing_asked(run: Run, context: Path, api: FakeApi) -> None:
    assert asked(run, api) == RunFlags((), (), SHM_SIZE)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("db:10.0.0.1", ("db", "10.0.0.1")),
        ("db=10.0.0.1", ("db", "10.0.0.1")),
        ("db:::1", ("db", "::1")),
        ("db:[fe80::1]", ("db", "fe80::1")),
        ("db=[::1]", ("db", "::1")),
        ("me:host-gateway", ("me", "127.0.0.1")),
    ],
)
def test_hosts(text: str, host: tuple[str, str], run: Run, context: Path, api: FakeApi) -> None:
    assert asked(run, api, "--add-host", text).hosts == (host,)


def test_several_hosts_in_one_value(run: Run, context: Path, api: FakeApi) -> None:
    hosts = (("a", "10.0.0.1"), ("b", "::1"), ("c", "10.0.0.3"))
    assert asked(run, api, "--add-host", "a:10.0.0.1,b=[::1]", "--add-host", '"c:10.0.0.3"').hosts == hosts


def test_limits_are_sorted_and_the_last_of_a_name_counts(run: Run, context: Path, api: FakeApi) -> None:
    flags = asked(run, api, "--ulimit", "nofile=1", "--ulimit", "core=-1", "--ulimit", "nofile=10:20")
    assert flags.ulimits == (Ulimit("core", -1, -1), Ulimit("nofile", 10, 20))


@pytest.mark.parametrize(("text", "size"), [("1m", 1 << 20), ("2gb", 2 << 30), ("65536", 65536), ("0", SHM_SIZE)])
def test_shared_memory(text: str, size: int, run: Run, context: Path, api: FakeApi) -> None:
    assert asked(run, api, "--shm-size", text).shm_size == size


@pytest.mark.parametrize(
    "given",
    [
        ("--add-host", "db", "there is no address"),
        ("--add-host", "db:here", "here is no IP address"),
        ("--add-host", "db:fe80::1%eth0", "fe80::1%eth0 is no IP address"),
        ("--add-host", "a:10.0.0.1,db", "--add-host db: there is no address"),
        ("--add-host", "a b:10.0.0.1", "no blanks"),
        ("--ulimit", "nofile", "is not understood"),
        ("--ulimit", "nofile=many", "is not understood"),
        ("--ulimit", "files=3", "there is no limit files"),
        ("--ulimit", "nofile=3:2", "the soft limit is above the hard one"),
        ("--ulimit", "nofile=-1:2", "the soft limit is above the hard one"),
        ("--ulimit", "nofile=-2", "is negative"),
        ("--shm-size", "big", "big is no size"),
        ("--annotation", "a", "is not understood"),
        ("--annotation", "=a", "is not understood"),
        ("--annotation", "layer:a=b", "layer is not known"),
        ("--annotation", "a:manifest:b=c", "a is not known"),
        ("--annotation", "index:a=b", "has no index) is not supported yet"),
        ("--annotation", "manifest[pdp11]:a=b", "not a platform"),
        ("--annotation", "a=b", "nothing that is asked for has a manifest"),
        ("--build-arg-file", "none", "no such file"),
    ],
)
def test_refused(given: tuple[str, str, str], run: Run, context: Path, api: FakeApi) -> None:
    flag, value, problem = given
    ran = run(flag, value, ".")
    assert ran.code == 2
    assert problem in ran.err
    assert not api.requests


def test_annotations(run: Run, context: Path, api: FakeApi) -> None:
    given = (
        *("a=1", "manifest:b=2", "manifest,manifest-descriptor:c=x:y=z", "manifest[linux/s390x]:d=no", "a=3", ""),
        "manifest:urn:e=5",
    )
    words = [word for text in given for word in ("--annotation", text)]
    assert run("-o", "type=oci,dest=out.tar", *words, ".").code == 0
    (request,) = api.requests
    assert request.annotations == (
        Annotation("a", "3"),
        Annotation("b", "2"),
        Annotation("c", "x:y=z"),
        Annotation("c", "x:y=z", descriptor=True),
        Annotation("urn:e", "5"),
    )


def test_files_of_build_arguments(run: Run, context: Path, api: FakeApi) -> None:
    (context / "args").write_text("# comment\n\nA=from the file\n  B=b=b \nC=c\n")
    assert run("--build-arg", "C=flag", "--build-arg-file", "args", ".").code == 0
    assert dict(api.requests[0].build_args) == {"A": "from the file", "B": "b=b ", "C": "flag"}
    (context / "args").write_text("A=1\nnothing\n")
    assert "args, line 2: there is no =" in run("--build-arg-file", "args", ".").err
    (context / "args").write_bytes(b"A=\xff\n")
    assert "args is not UTF-8" in run("--build-arg-file", "args", ".").err


def test_stages_to_run_again(run: Run, context: Path, api: FakeApi) -> None:
    assert run("--no-cache-filter", "Build,base", "--no-cache-filter", "build", ".").code == 0
    assert api.requests[0].no_cache_filter == ("build", "base")
