"""The same Dockerfiles through pybuild, Debian's BuildKit and buildah: equal file systems, configs and histories.

A case is a folder of fixtures/parity: Dockerfile, the files of its context, ``arguments`` (flags of the build, one a
line) and ``setup.sh`` for what git cannot hold (modes, links, xattrs, archives), run inside a copy of the folder.
Cases called ``refused-*`` must build nowhere, and ``message`` is part of what pybuild says then. What may differ is
listed in differences.toml, each with its reason; a difference that is listed but no longer seen fails too.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import FIXTURES, REPOSITORY
from tests.support.casefolder import settle_context
from tests.support.flatten import Flat, Node, flatten
from tests.support.parity import PART, Ledger, Listed, compare, load_listed
from tests.support.peers import Buildah, Docker, dockerd, run

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_tool("dockerd", "buildah", "skopeo", "runc", "unshare", "setpriv"),
    pytest.mark.needs_tool("busybox", "bzip2", "python3", "setcap", "setfattr", "xz", "zstd"),  # setup.sh of cases
    pytest.mark.slow,
]

FOLDER = FIXTURES / "parity"
ALL_CASES = tuple(sorted(path.name for path in FOLDER.iterdir() if path.is_dir()))
CASES = tuple(name for name in ALL_CASES if not name.startswith("refused-"))
REFUSED_CASES = tuple(name for name in ALL_CASES if name.startswith("refused-"))
PEERS = ("docker", "buildah")
Image = Flat | str  # a builder's image, or why it refused


class Workshop:
    """The three builders. Each case is built once by all of them, at the same time, from the same context."""

    def __init__(self, docker: Docker, buildah: Buildah, scratch: Path) -> None:
        self.ledger = Ledger(load_listed(FOLDER / "differences.toml"))
        self.started = int(scratch.stat().st_mtime)
        self._scratch = scratch
        self._builders: dict[str, Callable[..., object]] = {
            "pybuild": self._pybuild,
            "docker": docker.build,
            "buildah": buildah.build,
        }
        self._images: dict[str, Mapping[str, Image]] = {}

    def images(self, case: str) -> Mapping[str, Image]:
        if case not in self._images:
            context, flags = self._prepare(case)
            with ThreadPoolExecutor(len(self._builders)) as pool:
                jobs = {name: pool.submit(self._build, name, case, context, flags) for name in self._builders}
                self._images[case] = {name: job.result() for name, job in jobs.items()}
        return self._images[case]

    def _build(self, builder: str, case: str, context: Path, flags: tuple[str, ...]) -> Image:
        archive = self._scratch / builder / f"{case}.tar"
        try:
            self._builders[builder](context, archive, *flags)
        except AssertionError as error:
            return str(error)
        try:
            return flatten(archive)
        finally:
            archive.unlink()

    def _pybuild(self, context: Path, archive: Path, *flags: str) -> None:
        run(
            *(sys.executable, "-m", "builder", "--root", str(self._scratch / "store"), "--progress", "plain"),
            *(*flags, "-o", f"type=oci,dest={archive}", str(context)),
            cwd=REPOSITORY,
        )

    def _prepare(self, case: str) -> tuple[Path, tuple[str, ...]]:
        """A copy of the case's folder without what steers the test; no file of it has a time of this run."""
        context = self._scratch / f"context-{case}"
        shutil.copytree(FOLDER / case, context)
        return context, settle_context(context, self.started)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    scratch = tmp_path_factory.mktemp("parity")
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    base = FIXTURES / "images" / "out" / "busybox"
    run(sys.executable, "-m", "builder", "load", "--root", scratch / "store", "-t", "base", "-i", base, cwd=REPOSITORY)
    for builder in ("pybuild", *PEERS):
        (scratch / builder).mkdir()
    buildah = Buildah(scratch / "buildah-storage")
    try:
        buildah.load(base, "base", scratch)
        with dockerd(scratch / "dockerd", in_memory=True) as docker:
            docker.load(base, "base", scratch)
            yield Workshop(docker, buildah, scratch)
    finally:
        shutil.rmtree(scratch)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("case", CASES)
def test_same_image(case: str, peer: str, workshop: Workshop) -> None:
    images = workshop.images(case)
    ours, theirs = images["pybuild"], images[peer]
    assert isinstance(ours, Flat), ours
    if isinstance(theirs, Flat):
        unexplained = workshop.ledger.unexplained(peer, case, compare(ours, theirs, workshop.started))
    else:
        unexplained = workshop.ledger.unexplained(peer, case, (theirs,), refused=True)
    assert not unexplained, "\n" + "\n".join(unexplained)


@pytest.mark.parametrize("case", REFUSED_CASES)
def test_refused_by_all(case: str, workshop: Workshop) -> None:
    images = workshop.images(case)
    ours = images["pybuild"]
    assert isinstance(ours, str), "pybuild builds it"
    assert (FOLDER / case / "message").read_text().strip() in ours
    for peer in PEERS:
        accepted = ("accepted: refused != built",) if isinstance(images[peer], Flat) else ()
        assert not workshop.ledger.unexplained(peer, case, accepted), f"{peer} builds it"


def test_listed_differences_are_all_seen(workshop: Workshop) -> None:
    """Runs after the cases; judges only entries whose cases have been compared."""
    unused = workshop.ledger.unused(ALL_CASES)
    assert not unused, "listed in differences.toml but not seen any more:\n" + "\n".join(unused)


def test_every_listed_difference_has_its_reason() -> None:
    """A reason begins with a part of the reference and quotes its row, or says that there is none."""
    for entry in load_listed(FOLDER / "differences.toml"):
        part, _, row = entry.reason.partition(" ")
        assert entry.reason.startswith("no row of the reference: ") or (PART.fullmatch(part) and row), entry
        assert entry.case == "*" or entry.case in ALL_CASES, entry
        assert entry.peer in PEERS, entry


def test_comparison_sees_differences() -> None:
    """The comparison itself: a changed mode, content, owner, config key and history line are all reported."""
    node = Node("file", 0o644, 0, 0, 5, "", (), "aa", (0, 0), ())
    one = Flat({"a": node, "b": node}, {"config": {"Env": ["A=1"]}, "history": [{"created_by": "x"}]}, 1)
    changed = node._replace(mode=0o755, uid=1, content="bb", mtime=6)
    history = [{"created_by": "y", "empty_layer": True}]
    two = Flat({"a": changed}, {"config": {"Env": ["A=2"]}, "history": history}, 2)
    assert {difference.split(": ")[0] for difference in compare(one, two, 1000)} == {
        *("file:a:mode", "file:a:uid", "file:a:content", "file:a:mtime", "file:b:presence"),
        *("config:Env", "layers", "history:0:text", "history:0:empty"),
    }
    assert not compare(one, one, 1000)


def test_times_of_the_run_are_equal_and_others_not() -> None:
    def at(mtime: int) -> Flat:
        return Flat({"a": Node("file", 0o644, 0, 0, mtime, "", (), "aa", (0, 0), ())}, {"config": {}}, 1)

    assert not compare(at(1000), at(1007), 1000)
    assert compare(at(1000), at(999), 1000) == ("file:a:mtime: now != 999",)


def test_ledger_reports_what_is_unexplained_and_what_is_unused() -> None:
    narrow = Listed("docker", "one", "file:a:mode", refuses=False, reason="")
    by_value = Listed("docker", "*", "config:Cmd: None != *", refuses=False, reason="")
    refusal = Listed("docker", "two", "unknown flag", refuses=True, reason="")
    elsewhere = Listed("buildah", "one", "file:a:mode", refuses=False, reason="")
    ledger = Ledger((narrow, by_value, refusal, elsewhere))
    found = ("file:a:mode: 0644 != 0600", "file:a:uid: 0 != 1", "config:Cmd: x != y")
    assert ledger.unexplained("docker", "one", found) == list(found[1:])
    assert ledger.unused(("one", "two")) == []  # neither "two" nor any case of buildah was compared
    assert ledger.unexplained("docker", "two", ("it said: unknown flag --x",), refused=True) == []
    assert ledger.unused(("one", "two")) == ["docker: *: config:Cmd: None != *"]
    assert ledger.unexplained("buildah", "one", ()) == []
    assert ledger.unused(("one", "two"))[1:] == ["buildah: one: file:a:mode"]


def test_killed_test_leaves_no_daemon_behind(tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from tests.support.peers import dockerd\n"
        "with dockerd(pathlib.Path(sys.argv[1])) as docker:\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=REPOSITORY, check=False)
    assert done.returncode == -9
    assert list((tmp_path / "data").iterdir()), "dockerd never ran"
    deadline = time.monotonic() + 30
    while left := _traces(str(tmp_path)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _traces(directory: str) -> list[str]:
    """Processes that have the directory among their arguments, and mounts below it."""
    traces = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if directory in line]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if directory.encode() in words and int(process.parent.name) != os.getpid():
            traces.append(words.decode(errors="replace"))
    return traces
