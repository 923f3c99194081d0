"""Variables that docker buildx reads: heeded, without meaning here, or an error."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import FakeApi, Run


@pytest.mark.parametrize(
    ("name", "value", "args"),
    [
        ("BUILDX_BUILDER", "remote", ()),
        ("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY", "policy.json", ()),
        ("BUILDX_DEFAULT_POLICY", "1", ()),
        ("BUILDX_GIT_LABELS", "full", ()),
        ("BUILDX_GIT_LABELS", "true", ()),
        ("BUILDX_METADATA_PROVENANCE", "max", ("--metadata-file", "m")),
        ("BUILDX_METADATA_WARNINGS", "1", ("--metadata-file", "m")),
    ],
)
def test_what_cannot_be_done_is_refused(
    *,
    name: str,
    value: str,
    args: tuple[str, ...],
    run: Run,
    context: Path,
    api: FakeApi,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(name, value)
    ran = run(*args, ".")
    assert (ran.code, ran.err.split("\n")[0]) == (2, f"error: {name}={value} is not supported yet")
    assert not api.requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUILDX_BUILDER", "default"),
        ("BUILDX_BUILDER", ""),
        ("BUILDX_DEFAULT_POLICY", "0"),
        ("BUILDX_GIT_LABELS", "false"),
        ("BUILDX_GIT_INFO", "1"),
        ("BUILDX_NO_DEFAULT_ATTESTATIONS", "1"),
        ("BUILDX_NO_DEFAULT_LOAD", "1"),
        ("BUILDX_METADATA_PROVENANCE", "disabled"),
        ("BUILDX_METADATA_WARNINGS", "0"),
        ("BUILDKIT_COLORS", "run=pink"),
    ],
)
def test_what_asks_for_nothing_is_accepted(
    *, name: str, value: str, run: Run, context: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    ran = run("--metadata-file", "m", ".")
    assert ran.code == 0, ran.err


def test_without_a_file_nothing_is_said_of_it(
    run: Run, context: Path, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDX_METADATA_PROVENANCE", "max")
    assert run(".").code == 0
