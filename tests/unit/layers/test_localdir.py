"""Directories of the user's that somebody else writes to as well."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from layers.entry import BytesSource, Entry, Kind
from layers.localdir import InTheWay, write_files


def files(*names: str) -> list[Entry]:
    return [Entry(name.encode(), Kind.FILE, 0o644, size=1, source=BytesSource(b"x")) for name in names]


def while_another_makes(dest: Path, name: str) -> Iterator[Entry]:
    yield from files("a")
    write_files(files(name), str(dest))
    yield from files("b")


def test_a_directory_that_another_makes_meanwhile_is_joined(tmp_path: Path) -> None:
    write_files(while_another_makes(tmp_path / "out", "other"), str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b", "other"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_written_through_a_link_that_is_there(tmp_path: Path) -> None:
    """An image may have left the link in an earlier build: with the next one it would lead files out."""
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out/a").symlink_to("../elsewhere")
    with pytest.raises(InTheWay, match="in the image it is a directory"):
        write_files([Entry(b"a", Kind.DIRECTORY, 0o755), *files("a/f")], str(tmp_path / "out"))
    assert not list((tmp_path / "elsewhere").iterdir())
    write_files(files("a"), str(tmp_path / "out"))
    assert (tmp_path / "out/a").read_bytes() == b"x"
    assert not (tmp_path / "out/a").is_symlink()
