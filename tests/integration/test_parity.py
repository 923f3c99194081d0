"""The same Dockerfiles through pybuild, Debian's BuildKit and buildah: equal file systems, configs and histories.

A case is a folder of fixtures/parity: Dockerfile, the files of its context, and ``setup.sh`` for what git cannot hold
(modes, times, links, xattrs), run inside a copy of the folder. What may differ is listed in differences.toml, each with
its reason; a difference that is listed but no longer seen fails too.
"""

import fnmatch
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import FIXTURES, REPOSITORY
from tests.support.flatten import Flat, Node, flatten
from tests.support.peers import Buildah, Docker, dockerd, run

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_tool("dockerd", "buildah", "skopeo", "runc", "setfattr", "setcap"),
    pytest.mark.slow,
]

CASES = sorted(path.name for path in (FIXTURES / "parity").iterdir() if path.is_dir())
LISTED = tomllib.loads((FIXTURES / "parity" / "differences.toml").read_text())["difference"]


class Workshop(NamedTuple):
    docker: Docker
    buildah: Buildah
    store: Path
    scratch: Path
    started: int


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    scratch = tmp_path_factory.mktemp("parity")
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    base = FIXTURES / "images" / "out" / "busybox"
    started = int((scratch).stat().st_mtime)
    store = scratch / "store"
    run(sys.executable, "-m", "builder", "load", "--root", store, "-t", "base", "-i", base, cwd=REPOSITORY)
    buildah = Buildah(scratch / "buildah")
    buildah.load(base, "base", scratch)
    with dockerd(scratch / "docker") as docker:
        docker.load(base, "base", scratch)
        yield Workshop(docker, buildah, store, scratch, started)
    buildah.close(scratch / "buildah")


def prepare(case: str, scratch: Path) -> Path:
    """A copy of the case's folder, its ``setup.sh`` run and removed."""
    context = scratch / f"context-{case}"
    shutil.copytree(FIXTURES / "parity" / case, context)
    setup = context / "setup.sh"
    if setup.exists():
        script = setup.read_text()
        setup.unlink()
        subprocess.run(["bash", "-ec", "umask 022\n" + script], cwd=context, check=True)
    return context


CONFIG_KEYS = (
    *("Env", "Cmd", "Entrypoint", "WorkingDir", "User", "Labels", "ExposedPorts", "Volumes", "StopSignal"),
    *("Healthcheck", "OnBuild", "Shell"),
)


def history(flat: Flat) -> list[tuple[str, bool]]:
    return [(h.get("created_by", ""), h.get("empty_layer", False)) for h in flat.config.get("history") or ()]


def compare_files(ours: Flat, theirs: Flat, started: int) -> Iterator[str]:
    for path in sorted(set(ours.files) | set(theirs.files)):
        mine, other = ours.files.get(path), theirs.files.get(path)
        if mine is None or other is None:
            yield f"file:{path}:presence: {mine} != {other}"
            continue
        for field in Node._fields:
            one, two = getattr(mine, field), getattr(other, field)
            both_now = field == "mtime" and one >= started and two >= started
            if one != two and not both_now:
                yield f"file:{path}:{field}: {one} != {two}"


def compare_configs(ours: Flat, theirs: Flat) -> Iterator[str]:
    sections = ((CONFIG_KEYS, ours.config["config"], theirs.config["config"]),)
    for keys, mine, other in (*sections, (("author", "os", "architecture"), ours.config, theirs.config)):
        for key in keys:
            if (mine.get(key) or None) != (other.get(key) or None):
                yield f"config:{key}: {mine.get(key)} != {other.get(key)}"
    if ours.layers != theirs.layers:
        yield f"layers: {ours.layers} != {theirs.layers}"


def compare_histories(ours: Flat, theirs: Flat) -> Iterator[str]:
    mine, other = history(ours), history(theirs)
    if len(mine) != len(other):
        yield f"history:length: {len(mine)} != {len(other)}"
    for number, (line, their_line) in enumerate(zip(mine, other, strict=False)):
        if line != their_line:
            yield f"history:{number}: {line} != {their_line}"


def compare(ours: Flat, theirs: Flat, started: int) -> Iterator[str]:
    """Differences as ``where: ours != theirs``, where being ``file:PATH:FIELD``, ``config:KEY``, ``history:N``..."""
    yield from compare_files(ours, theirs, started)
    yield from compare_configs(ours, theirs)
    yield from compare_histories(ours, theirs)


def allowed(case: str, peer: str, difference: str) -> dict[str, Any] | None:
    for entry in LISTED:
        if (
            fnmatch.fnmatch(case, entry.get("case", "*"))
            and entry["peer"] == peer
            and any(fnmatch.fnmatchcase(difference, pattern) for pattern in entry["where"])
        ):
            return dict(entry)
    return None


def build_ours(context: Path, archive: Path, store: Path) -> None:
    run(
        *(sys.executable, "-m", "builder", "--root", store, "--progress", "plain"),
        *("-o", f"type=oci,dest={archive}", context),
        cwd=REPOSITORY,
    )


@pytest.mark.parametrize("peer_name", ["docker", "buildah"])
@pytest.mark.parametrize("case", CASES)
def test_same_image(case: str, peer_name: str, workshop: Workshop, tmp_path: Path) -> None:
    refused = [e for e in LISTED if e["peer"] == peer_name and e.get("refuses") and fnmatch.fnmatch(case, e["case"])]
    context = prepare(case, tmp_path)
    build_ours(context, tmp_path / "ours.tar", workshop.store)
    peer = workshop.docker if peer_name == "docker" else workshop.buildah
    theirs = tmp_path / f"{case}.tar"
    if refused:
        with pytest.raises(AssertionError):
            peer.build(context, theirs)
        return
    peer.build(context, theirs)
    found = list(compare(flatten(tmp_path / "ours.tar"), flatten(theirs), workshop.started))
    unexplained = [difference for difference in found if allowed(case, peer_name, difference) is None]
    assert not unexplained, "\n".join(unexplained)


def test_comparison_sees_differences(tmp_path: Path) -> None:
    """The comparison itself: a changed mode, content, owner, config key and history line are all reported."""
    node = Node("file", 0o644, 0, 0, 5, "", (), "aa", (0, 0), ())
    config: dict[str, Any] = {"config": {"Env": ["A=1"]}, "history": [{"created_by": "x"}]}
    one = Flat({"a": node, "b": node}, config, 1)
    other = {"config": {"Env": ["A=2"]}, "history": [{"created_by": "y"}]}
    two = Flat({"a": node._replace(mode=0o755, uid=1, content="bb", mtime=6)}, other, 2)
    kinds = {difference.split(": ")[0] for difference in compare(one, two, 1000)}
    assert kinds == {
        *("file:a:mode", "file:a:uid", "file:a:content", "file:a:mtime", "file:b:presence"),
        *("config:Env", "layers", "history:0"),
    }
    assert not list(compare(one, one, 1000))
