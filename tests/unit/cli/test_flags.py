"""No flag of ``docker buildx build`` is ignored: it works, or asks for nothing, or is an error that names it."""

from pathlib import Path

import click
import pytest

from builder.cli.build import build
from builder.cli.flags import IDLE_VALUES, IGNORED_SWITCHES, REFUSED_SWITCHES, REFUSED_VALUES, plain_switches
from tests.unit.cli.conftest import FakeApi, Run

BUILDX = (
    *("--add-host", "--allow", "--annotation", "--attest", "--build-arg", "--build-context", "--builder"),
    *("--cache-from", "--cache-to", "--call", "--check", "--cgroup-parent", "--debug", "-D", "--file", "-f"),
    *("--iidfile", "--label", "--load", "--metadata-file", "--network", "--no-cache", "--no-cache-filter", "--output"),
    *("-o", "--platform", "--policy", "--progress", "--provenance", "--sbom", "--pull", "--push", "--quiet", "-q"),
    *("--resource", "--secret", "--shm-size", "--ssh", "--tag", "-t", "--target", "--ulimit", "--memory", "-m"),
    *("--memory-swap", "--cpu-shares", "-c", "--cpu-period", "--cpu-quota", "--cpuset-cpus", "--cpuset-mems"),
    *("--print", "--compress", "--isolation", "--security-opt", "--squash", "--rm", "--force-rm"),
)


def test_every_flag_of_buildx_is_known() -> None:
    known = {name for param in build.params for name in param.opts}
    assert not set(BUILDX) - known


@pytest.mark.parametrize("flag", [*REFUSED_VALUES, "-m", "-c"])
def test_refused_with_a_value(flag: str, run: Run, context: Path, api: FakeApi) -> None:
    ran = run(flag, "x", ".")
    name = {"-m": "--memory", "-c": "--cpu-shares"}.get(flag, flag)
    assert ran.code == 2
    assert f"error: {name} is not supported yet\nhint: " in ran.err
    assert not api.requests


@pytest.mark.parametrize("flag", REFUSED_SWITCHES)
def test_refused_switches(flag: str, run: Run, context: Path, api: FakeApi) -> None:
    for given in (flag, f"{flag}=true"):
        ran = run(given, ".")
        assert (ran.code, ran.err.split("\n")[0]) == (2, f"error: {flag} is not supported yet")
    assert run(f"{flag}=false", ".").code == 0
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "args",
    [
        *((flag,) for flag in IGNORED_SWITCHES),
        *((f"{flag}={value}",) for flag in IGNORED_SWITCHES for value in ("true", "false")),
        ("--isolation", "default"),
        ("--policy", "disabled=true"),
        *((flag, value) for flag, (values, _) in IDLE_VALUES.items() for value in sorted(values)),
        ("--provenance=false", "--sbom=false", "--rm", "--force-rm", "--network=default", "--builder", "default"),
        ("--attest", "type=provenance,disabled=true"),
        ("--load=false", "--no-cache=false", "--quiet=false"),
    ],
)
def test_what_asks_for_nothing_is_accepted(args: tuple[str, ...], run: Run, context: Path, api: FakeApi) -> None:
    assert run(*args, ".").code == 0
    (request,) = api.requests
    assert not request.no_cache
    assert not request.outputs


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("--provenance=mode=max",), "--provenance=mode=max"),
        (("--sbom", "true"), "--sbom=true"),
        (("--builder", "remote"), "--builder=remote"),
        (("--call", "outline"), "--call=outline"),
        (("--attest", "type=sbom"), "--attest type=sbom"),
        (("--policy", "filename=p.rego"), "--policy filename=p.rego"),
        (("--policy", "disabled=false"), "--policy disabled=false"),
        (("--print", "outline"), "--print"),
        (("--call", "check,format=json"), "--call=check,format=json"),
    ],
)
def test_the_same_flags_with_other_values_are_not(
    args: tuple[str, ...], what: str, run: Run, context: Path, api: FakeApi
) -> None:
    ran = run(*args, ".")
    assert (ran.code, ran.err.split("\n")[0]) == (2, f"error: {what} is not supported yet")


@pytest.mark.parametrize(
    ("args", "warning"),
    [
        ((), ""),
        (("--compress", "--rm", "--force-rm=false", "--squash=false", "--security-opt", "seccomp=unconfined"), ""),
        (("--squash",), "--squash is ignored: layers are not joined"),
        (("--isolation", "hyperv"), "--isolation hyperv is ignored: "),
        (("--security-opt", "apparmor=x,seccomp=unconfined"), "--security-opt apparmor=x is ignored: "),
    ],
)
def test_what_buildkit_ignores_is_ignored(
    args: tuple[str, ...], warning: str, run: Run, context: Path, api: FakeApi
) -> None:
    """With a warning for those that buildx warns of."""
    ran = run("--progress=plain", *args, ".")
    assert ran.code == 0
    assert ran.err.startswith(f"WARNING: {warning}") if warning else ran.err == ""
    assert api.requests[0].seccomp == ("seccomp=unconfined" not in " ".join(args))


@pytest.mark.parametrize("flag", ["--no-such", "--squash-all", "-Z"])
def test_unknown_flags(flag: str, run: Run, context: Path, api: FakeApi) -> None:
    ran = run(flag, ".")
    assert ran.code == 2
    assert f"No such option: {flag}" in ran.err or f"No such option '{flag}'" in ran.err


def params() -> list[click.Parameter]:
    return [
        click.Option(["--load", "-l"], is_flag=True),
        click.Option(["--rm"], is_flag=True),
        click.Option(["--label", "-L"], multiple=True),
    ]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--load=true", "x"], ["--load", "x"]),
        (["--load=1"], ["--load"]),
        (["--load", "--load=false"], []),
        (["-l", "--load=F"], []),
        (["--load=false", "--load"], ["--load"]),
        (["--label", "--load=false"], ["--label", "--load=false"]),
        (["-L", "--load=false", "--load"], ["-L", "--load=false", "--load"]),
        (["-lL", "--load=false"], ["-lL", "--load=false"]),
        (["-Lx", "--load=false"], ["-Lx"]),
        (["-L=x", "-L=", "-l=0"], ["-Lx", "-L="]),
        (["-lL=x=y", "a-L=x"], ["-lLx=y", "a-L=x"]),
        (["--label=--load=false"], ["--label=--load=false"]),
        (["--label", "--load", "--load=false"], ["--label", "--load"]),
        (["--", "--load=false"], ["--", "--load=false"]),
        (["--other=false"], ["--other=false"]),
    ],
)
def test_switches_with_a_value(args: list[str], expected: list[str]) -> None:
    assert plain_switches(args, params()) == expected


def test_switches_with_a_bad_value() -> None:
    with pytest.raises(click.BadOptionUsage, match="--load=maybe is neither true nor false"):
        plain_switches(["--load=maybe"], params())
