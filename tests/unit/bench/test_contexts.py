"""Contexts follow from their shape alone."""

import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.dockerfile.parse import parse
from tests.bench import contexts, trees
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
    contexts.metadata(3),
    contexts.copies(3),
    contexts.files(150),
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
    assert len(regular(tmp_path / trees.TOP)) == SMALL.many


def regular(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]


def test_many_is_like_what_package_managers_install(tmp_path: Path) -> None:
    """Deep, with links that lead somewhere, paths that no tar header holds, and text that packs like text."""
    contexts.many(tmp_path, SMALL._replace(many=4000))
    paths = [path.relative_to(tmp_path) for path in (tmp_path / trees.TOP).rglob("*")]
    links = list((tmp_path / trees.TOP / ".bin").iterdir())
    assert links and all(link.resolve(strict=True).stat().st_mode & 0o111 for link in links)
    assert max(len(path.parts) for path in paths) >= 8
    assert max(len(str(path)) for path in paths) > 255
    assert any(path.parts.count(trees.TOP) == 2 for path in paths)
    text = b"".join(path.read_bytes() for path in regular(tmp_path / trees.TOP))
    assert 3 < len(text) / len(zlib.compress(text, 6)) < 6
    assert 3500 < len(text) / 4000 < 5500


def test_the_tree_for_two_runs_names_ten_of_its_files(tmp_path: Path) -> None:
    contexts.many_run(tmp_path, SMALL)
    *_, last = (tmp_path / "Dockerfile").read_text().splitlines()
    named = [word for word in last.split() if word.startswith("/app/")]
    assert len(named) == 10
    assert all((tmp_path / name.removeprefix("/app/").rstrip(";")).is_file() for name in named)


def test_files_has_the_number_asked_for(tmp_path: Path) -> None:
    contexts.files(250)(tmp_path / "x", SMALL)
    assert len(list((tmp_path / "x").glob("tree/*/*/*"))) == 250


def test_scenarios_are_chosen_by_name() -> None:
    assert choose(None, full=True) == SCENARIOS
    assert {scenario.name for scenario in set(SCENARIOS) - set(choose(None))} == {
        *("files-1m", "files-1m-again", "memory-1m")
    }
    assert [scenario.name for scenario in choose("edit, steps")] == ["steps", "edit"]
    assert [scenario.name for scenario in choose("memory-1m,big")] == ["big", "memory-1m"]
    assert [scenario.name for scenario in choose("scaling")][-1] == "files-100k-again"
    with pytest.raises(ValueError, match="no scenario huge; there are steps,"):
        choose("edit,huge")
