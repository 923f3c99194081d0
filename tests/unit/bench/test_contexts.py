"""Contexts follow from their shape alone."""

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.dockerfile.parse import parse
from tests.bench import contexts
from tests.bench.contexts import Shape
from tests.bench.scenarios import SCENARIOS, choose

SMALL = Shape(steps=5, big=5 << 20, many=250)
MAKERS = [
    contexts.many_steps,
    contexts.app,
    contexts.big,
    contexts.many,
    contexts.parallel,
    contexts.many_run,
    contexts.pull,
    contexts.apt,
]
Maker = Callable[[Path, Shape], None]


def fingerprint(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        status = path.stat()
        digest.update(f"{path.relative_to(directory)} {status.st_mode:o} {status.st_mtime_ns}\0".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize("make", MAKERS)
def test_equal_shapes_give_equal_contexts(make: Maker, tmp_path: Path) -> None:
    make(tmp_path / "one", SMALL)
    make(tmp_path / "two", SMALL)
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")


@pytest.mark.parametrize("make", [contexts.app, contexts.big, contexts.many])
def test_the_seed_decides_the_contents(make: Maker, tmp_path: Path) -> None:
    make(tmp_path / "one", SMALL)
    make(tmp_path / "two", SMALL._replace(seed=2))
    assert fingerprint(tmp_path / "one") != fingerprint(tmp_path / "two")


@pytest.mark.parametrize("make", MAKERS)
def test_dockerfiles_are_valid(make: Maker, tmp_path: Path) -> None:
    make(tmp_path, SMALL)
    assert parse((tmp_path / "Dockerfile").read_bytes(), "Dockerfile").stages


def test_app_has_400_sources(tmp_path: Path) -> None:
    contexts.app(tmp_path, SMALL)
    assert len(list(tmp_path.glob("src/*/*.c"))) == 400


def test_an_edit_changes_one_source(tmp_path: Path) -> None:
    contexts.app(tmp_path, SMALL)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    edited = contexts.edit_app(tmp_path, SMALL, 0)
    changed = [path for path, data in before.items() if path.read_bytes() != data]
    assert changed == [edited]
    assert edited.stat().st_mtime != contexts.EPOCH


def test_every_edit_is_another(tmp_path: Path) -> None:
    """Even where two edits hit the same file, no builder has seen its contents before."""
    contexts.app(tmp_path, SMALL)
    seen = {fingerprint(tmp_path / "src")}
    for number in range(5):
        contexts.edit_app(tmp_path, SMALL, number)
        seen.add(fingerprint(tmp_path / "src"))
    assert len(seen) == 6


def test_half_of_big_is_incompressible(tmp_path: Path) -> None:
    contexts.big(tmp_path, SMALL)
    data = (tmp_path / "big.bin").read_bytes()
    assert len(data) == SMALL.big
    chunks = [data[start : start + contexts.CHUNK] for start in range(0, len(data), contexts.CHUNK)]
    assert len(set(chunks)) == len(chunks)
    compressed = [len(zlib.compress(chunk, 1)) / len(chunk) for chunk in chunks]
    assert all(share < 0.5 for share in compressed[::2])
    assert all(share > 0.99 for share in compressed[1::2])


def test_big_has_the_size_asked_for(tmp_path: Path) -> None:
    contexts.big(tmp_path, SMALL._replace(big=(1 << 20) + 77))
    assert (tmp_path / "big.bin").stat().st_size == (1 << 20) + 77


def test_many_has_the_number_asked_for(tmp_path: Path) -> None:
    contexts.many(tmp_path, SMALL)
    assert len(list(tmp_path.glob("tree/*/*"))) == SMALL.many


def test_scenarios_are_chosen_by_name() -> None:
    assert choose(None) == SCENARIOS
    assert [scenario.name for scenario in choose("edit, steps")] == ["steps", "edit"]
    with pytest.raises(ValueError, match="no scenario huge; there are steps,"):
        choose("edit,huge")
