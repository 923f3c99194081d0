import os
from pathlib import Path

import pytest

from builder.sandbox.stubs import Stub, make, remove

LONG_AGO_NS = 1_000_000_000


def age(path: Path) -> None:
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def made(root: Path, name: str, directory: bool = False) -> list[Stub]:
    stubs: list[Stub] = []
    target = root / name
    make(os.fsencode(target), directory, stubs, root=os.fsencode(root))
    return stubs


def below(upper: Path, *stubs: tuple[str, bool]) -> list[Stub]:
    """As ``make`` notes them when ``upper`` is the root."""
    assert upper.is_dir()
    return [(name.encode(), directory) for name, directory in stubs]


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert made(tmp_path, "file") == []
    assert made(tmp_path, ".", directory=True) == []
    assert (tmp_path / "file").read_text() == "x"


def test_missing_parents_are_made_and_noted_outermost_first(tmp_path: Path) -> None:
    age(tmp_path)
    assert made(tmp_path, "a/b/file") == [
        (os.fsencode(tmp_path / "a"), True),
        (os.fsencode(tmp_path / "a/b"), True),
        (os.fsencode(tmp_path / "a/b/file"), False),
    ]
    assert (tmp_path / "a/b/file").read_bytes() == b""
    assert tmp_path.stat().st_mtime_ns == LONG_AGO_NS


def test_what_lies_on_another_file_system_is_not_noted(tmp_path: Path) -> None:
    stubs: list[Stub] = []
    make(os.fsencode(tmp_path / "new"), True, stubs, root=b"/proc")
    assert (tmp_path / "new").is_dir()
    assert stubs == []


def test_a_dangling_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").symlink_to("run/stub.conf")
    assert [path for path, _ in made(tmp_path, "resolv.conf")] == [
        os.fsencode(tmp_path / "run"),
        os.fsencode(tmp_path / "run/stub.conf"),
    ]


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(NotADirectoryError):
        made(tmp_path, "etc/hosts")


def test_empty_ones_are_removed_and_the_time_around_them_is_kept(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "new/deep").mkdir(parents=True)
    for path in (tmp_path / "etc", tmp_path):
        age(path)
    stubs = below(tmp_path, ("/etc/hosts", False), ("/new", True), ("/new/deep", True))
    remove(os.fsencode(tmp_path), stubs)
    assert [path.name for path in tmp_path.rglob("*")] == ["etc"]
    assert tmp_path.stat().st_mtime_ns == (tmp_path / "etc").stat().st_mtime_ns == LONG_AGO_NS


def test_what_the_command_filled_or_replaced_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "written").write_text("x")
    (tmp_path / "now-a-directory").mkdir()
    (tmp_path / "now-a-file").touch()
    before = sorted(tmp_path.rglob("*"))
    names = (("/full", True), ("/written", False), ("/now-a-directory", False), ("/now-a-file", True), ("/gone", True))
    remove(os.fsencode(tmp_path), below(tmp_path, *names, ("/gone/deeper", False)))
    assert sorted(tmp_path.rglob("*")) == before


def test_links_of_the_command_lead_nowhere(tmp_path: Path) -> None:
    outside, upper = tmp_path / "outside", tmp_path / "upper"
    (outside / "empty").mkdir(parents=True)
    (outside / "file").touch()
    upper.mkdir()
    (upper / "a").symlink_to(outside)
    (upper / "b").symlink_to(outside / "empty")
    remove(os.fsencode(upper), below(upper, ("/a/empty", True), ("/a/file", False), ("/b", True), ("/b", False)))
    assert sorted(path.name for path in outside.iterdir()) == ["empty", "file"]
    assert (upper / "b").is_symlink()
