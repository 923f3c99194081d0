"""A running BuildKit is asked for what the flags of a case say."""

import json
import os
import shlex
from pathlib import Path

import pytest

from tests.differential.builders import Workshop
from tests.differential.cases import Case, Expectation
from tests.differential.judge import CURRENT, Judge, current_rules
from tests.differential.summary import verdict
from tests.support.buildkit import Buildkit, set_apart, translate

HOME = {"HOME": "/h"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--build-arg A=b=c --build-arg HOME --build-arg UNSET", "--opt build-arg:A=b=c --opt build-arg:HOME=/h"),
        ("--build-arg=A=", "--opt build-arg:A="),
        ("--label a=b --target x", "--opt label:a=b --opt target=x"),
        ("--build-context d=/dir", "--local named-d=/dir --opt context:d=local:named-d"),
        ("--build-context d:1=docker-image://x", "--opt context:d:1=docker-image://x"),
        ("--secret id=s,src=/f --network none", "--secret id=s,src=/f --opt force-network-mode=none"),
        ("--add-host h:::1", "--opt add-hosts=h=::1"),
    ],
)
def test_flags(flags: str, said: str) -> None:
    translated = shlex.join(translate(shlex.split(flags), Path("/c"), HOME))
    assert translated == f"--local context=/c --local dockerfile=/c --opt filename=Dockerfile {said}".strip()


def test_another_dockerfile() -> None:
    translated = translate(("-f", "/c/sub/Own"), Path("/c"), HOME)
    assert translated == ("--local", "context=/c", "--local", "dockerfile=/c/sub", "--opt", "filename=Own")


def test_files_of_two_cases_have_other_times_of_the_same_second(tmp_path: Path) -> None:
    times = []
    for case in ("one", "two"):
        (tmp_path / case).mkdir()
        (tmp_path / case / "link").symlink_to("nowhere")
        os.utime(tmp_path / case / "link", ns=(0, 1_600_000_000_500_000_000), follow_symlinks=False)
        set_apart(tmp_path / case, case)
        times.append((tmp_path / case / "link").lstat().st_mtime_ns)
    assert times[0] != times[1]
    assert {at // 1_000_000 for at in times} == {1_600_000_000_500}


def test_what_is_asked(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "index.json").write_text(json.dumps({"manifests": [{"digest": "sha256:1"}]}))
    client = tmp_path / "buildctl"
    client.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n')
    client.chmod(0o755)
    Buildkit(str(client), "unix:///s", tmp_path / "base", "base").build(tmp_path, tmp_path / "a.tar", "--target", "t")
    pruned, said = (tmp_path / "said").read_text().splitlines()
    assert pruned == "--addr unix:///s prune --filter type==source.local"
    assert said.startswith("--addr unix:///s build ")
    assert f"--oci-layout bases={tmp_path}/base --opt context:base=oci-layout://bases@sha256:1 " in said
    assert f" --no-cache --output type=oci,dest={tmp_path}/a.tar " in said
    assert said.endswith(" --opt target=t")


def test_names_of_contexts_and_labels_are_as_buildx_sends_them(tmp_path: Path) -> None:
    flags = ("--build-context", "docker.io/library/a:latest=docker-image://b", "--label", "l", "--label=m=1=2")
    assert translate(flags, tmp_path, {})[6:] == (
        *("--opt", "context:a=docker-image://b", "--opt", "label:l=", "--opt", "label:m=1=2"),
    )


class _Refuses:
    name = "refuses"

    def build(self, context: Path, archive: Path, *flags: str) -> None:
        raise AssertionError(f"failed: {context} {archive} {flags}")


def test_a_peer_is_asked_for_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workshop, "_pybuild", lambda *_: _Refuses().build(tmp_path, tmp_path))
    (tmp_path / "contexts").mkdir()
    expected = Expectation("1.4 x", {}, {}, (), "no such thing")
    case = Case("one", "written", "FROM base\n", refused=True, expected=expected)
    old, new = (Workshop(_Refuses(), tmp_path, lacks_new=lacks).build(case) for lacks in (True, False))
    assert old[1] is None
    assert isinstance(new[1], str)
    found = verdict(case, new, Judge(()), 0)
    assert [difference.aspect for difference in found.unexplained] == ["outcome"]  # not the expected words
    assert (found.ours, found.theirs) == ("refused", "refused")


def test_the_rules_of_2022_are_no_rules_of_today() -> None:
    assert {rule.listed.peer for rule in current_rules()} <= {CURRENT.stem}
