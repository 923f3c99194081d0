"""``pybuild prune`` and ``pybuild du``."""

import os
from pathlib import Path

import pytest

from layers.caches import CacheKind
from layers.store import Store
from tests.unit.cli.conftest import Run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def cached(store: Path) -> Path:
    """A store with two cache mounts."""
    with Store.open(str(store)) as opened:
        for letter, name in (("a", "apt"), ("b", "npm")):
            opened.caches().acquire(CacheKind(letter * 64, name), "shared", os.mkdir, lambda: False).release()
    return store


def names(run: Run) -> list[str]:
    return [line.split()[-1] for line in run("du").out.splitlines() if line.startswith(" ")]


def test_du(cached: Path, run: Run) -> None:
    ran = run("du")
    assert ran.code == 0
    assert [line.partition(":")[0] for line in ran.out.splitlines()[:4]] == [
        "Layers",
        "Blobs",
        "Indexes",
        "Cache mounts",
    ]
    assert sorted(names(run)) == ["apt", "npm"]


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ((), ["apt", "npm"]),
        (("--all",), []),
        (("--filter", "type=exec.cachemount"), []),
        (("--filter=type=exec.cachemount", "--filter=id=apt"), ["npm"]),
        (("--filter=id=npm",), ["apt"]),
        (("--all", "--filter", "type=regular"), ["apt", "npm"]),
    ],
)
def test_cache_mounts(arguments: tuple[str, ...], left: list[str], cached: Path, run: Run) -> None:
    ran = run("prune", *arguments)
    assert ran.code == 0
    assert ("Removed cache mounts" in ran.out) == (len(left) < 2)
    assert sorted(names(run)) == left


@pytest.mark.parametrize("text", ["type=internal", "until=24h", "x"])
def test_unknown_filters(text: str, run: Run, store: Path) -> None:
    ran = run("prune", "--filter", text)
    assert ran.code == 2 and f"--filter {text} is not supported yet" in ran.err
