"""What several of these modules share: a store that holds the busybox base, copied for every test."""

from pathlib import Path

import pytest

from tests.support.builds import Bench, clone


@pytest.fixture(scope="session")
def busybox_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``busybox`` and nothing else."""
    bench = Bench(tmp_path_factory.mktemp("busybox") / "store")
    bench.load("busybox", "busybox")
    return bench.store


@pytest.fixture
def bench(busybox_store: Path, tmp_path: Path) -> Bench:
    """A store of the test's own."""
    return clone(busybox_store, tmp_path / "store")
