"""What several of these modules share: a store that holds the busybox base, copied for every test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import Bench, clone
from tests.support.processes import settle


@pytest.fixture(scope="session")
def busybox_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``busybox`` and nothing else."""
    bench = Bench(tmp_path_factory.mktemp("busybox") / "store")
    bench.load("busybox", "busybox")
    return bench.store


@pytest.fixture
def bench(busybox_store: Path, tmp_path: Path) -> Iterator[Bench]:
    """A store of the test's own, removed after it: some of them are large."""
    bench = clone(busybox_store, tmp_path / "store")
    yield bench
    settle(bench.store)
    shutil.rmtree(bench.store)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Bench]:
    """A store with nothing in it."""
    found = Bench(tmp_path / "empty")
    yield found
    settle(found.store)
