"""What a build in which nothing is to be done may import: its time is that of its imports (architecture, rule 8)."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.fakes.registry import FakeRegistry
from tests.support.builds import write_tree
from tests.support.images import make_image, make_layer

PACKAGES = {"builder", "registry", "layers"}
ALLOWED = {"dockerfile_parse"}
"""Packages of others that are needed to read a Dockerfile."""
TRIED = {"sitecustomize", "usercustomize", "org"}
"""What Python's own modules look for and need not find: ``copy`` tries ``org.python.core``."""
OURS_NOT = (
    "builder.sandbox",
    "builder.fetch",
    "builder.report.tty",
    "builder.report.jsonl",
    "builder.solve.crew",
    "builder.solve.steps",
    "builder.solve.run",
    "builder.solve.copy",
    "builder.solve.add",
    "builder.solve.mounts",
    "builder.solve.agents",
    "builder.output.archive",
    "builder.output.engine",
    "builder.output.flatten",
    "builder.output.metadata",
    "builder.output.registry",
    "registry.session",
    "registry.transport",
    "registry.client",
    "registry.pull",
    "registry.push",
    "registry.upload",
    "layers.compress",
    "layers.pack",
    "layers.unpack",
    "layers.materialise",
    "layers.tarfmt",
    "layers.overlayfmt",
    "layers.view",
    "layers.gc",
)
THEIRS_NOT = {
    *("ssl", "socket", "http", "email", "subprocess", "multiprocessing", "concurrent", "asyncio", "selectors"),
    *("tarfile", "zipfile", "gzip", "bz2", "lzma", "zlib", "ctypes", "tempfile", "shutil", "configparser", "tomllib"),
}
DOCKERFILE = """\
# check=skip=none
FROM scratch AS first
ARG WHO=world
COPY --chown=1:2 src/ /src/
FROM scratch
ENV NAME=value
COPY --from=first /src/ /copied/
ADD src/a.txt /
WORKDIR /srv
LABEL who=${WHO:-nobody}
CMD ["x"]
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Of the second of two equal builds; what the interpreter itself imports at its start is left out."""
    directory = tmp_path_factory.mktemp("noop")
    context = write_tree(
        directory / "context", {"Dockerfile": DOCKERFILE, ".dockerignore": "*.log\n", "src/a.txt": "a", "src/b/c": "c"}
    )
    build = ("-m", "builder", "build", "--root", directory / "store", "-t", "noop", context)
    _python(directory, *build)
    log = _python(directory, "-X", "importtime", *build)
    assert "CACHED" in log
    bare = modules(_python(directory, "-X", "importtime", "-c", "pass"))
    return modules(log) - bare


COLLECTIONS = """
import gc, os, sys
from builder.__main__ import main
before = sum(kind["collections"] for kind in gc.get_stats())
leave = os._exit
def report(code):
    sys.stderr.write(f"\\n{sum(kind['collections'] for kind in gc.get_stats()) - before}\\n")
    sys.stderr.flush()
    leave(code)
os._exit = report
main()
"""


def test_nothing_is_collected(tmp_path: Path) -> None:
    """It would find nothing, and take a twentieth of the build."""
    context = write_tree(tmp_path / "context", {"Dockerfile": "FROM scratch\n" + "COPY Dockerfile /\n" * 30})
    told = _python(tmp_path, "-c", COLLECTIONS, "build", "--root", tmp_path / "store", context)
    assert told.splitlines()[-1] == "0"


def test_asking_what_a_name_means_takes_little(tmp_path: Path) -> None:
    """``--pull`` of a base that is what it was: neither requests, nor what pools of threads and processes need."""
    context = write_tree(tmp_path / "context", {"a.txt": "a"})
    with FakeRegistry().running() as fake:
        fake.put_image("x", make_image(make_layer({"a": b"a"})), "1")
        write_tree(context, {"Dockerfile": f"# check=skip=none\nFROM {fake.host}/x:1\nCOPY a.txt /\n"})
        build = ("-m", "builder", "build", "--root", tmp_path / "store", "-t", "noop", "--pull", context)
        _python(tmp_path, *build)
        asked = len(fake.log)
        log = _python(tmp_path, "-X", "importtime", *build)
        assert "CACHED" in log
        assert [one.line for one in fake.log[asked:]] == ["GET /v2/", "HEAD /v2/x/manifests/1"]
    found = modules(log)
    assert {"registry.pull", "registry.asking", "http.client"} <= found
    heavy = {"requests", "urllib3", "certifi", "idna", "charset_normalizer", "concurrent", "multiprocessing"}
    assert not within(found, heavy | {"registry.transport", "registry.upload", "encodings.idna"})


def _python(directory: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def modules(log: str) -> set[str]:
    """``import time: self [us] | cumulative | name``, indented."""
    lines = (line for line in log.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


def within(names: set[str], packages: tuple[str, ...] | set[str]) -> list[str]:
    return sorted(name for name in names for package in packages if name == package or name.startswith(f"{package}."))


def test_it_builds_with_what_is_listened_to(imported: set[str]) -> None:
    """Otherwise the others would hold nothing."""
    assert {"builder.api", "builder.plan.keys", "layers.store", "dockerfile_parse.parser"} <= imported


def test_nothing_that_works_is_imported(imported: set[str]) -> None:
    assert not within(imported, OURS_NOT)


def test_no_heavy_module_of_python_is_imported(imported: set[str]) -> None:
    assert not within(imported, THEIRS_NOT)


def test_of_others_only_what_reads_the_input_is_imported(imported: set[str]) -> None:
    """Not requests, tqdm, cryptography, zstandard, zlib_ng, nor what may come."""
    roots = {name.partition(".")[0] for name in imported}
    others = {name for name in roots - PACKAGES if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert others - TRIED <= ALLOWED


def test_every_module_of_ours_that_is_named_exists() -> None:
    for name in OURS_NOT:
        place = REPOSITORY / name.replace(".", "/")
        assert place.is_dir() or place.with_suffix(".py").exists(), name
