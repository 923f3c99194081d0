import os
from pathlib import Path

import pytest

from builder.sandbox.stubs import Stub, make, missing, remove

LONG_AGO_NS = 1_000_000_000


def age(path: Path) -> None:
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def below(*names: str) -> list[Stub]:
    """As ``missing`` has them when the upper directory is the root; their parents' times are not of interest."""
    return [(name.encode(), -1) for name in sorted(names)]


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert missing([os.fsencode(tmp_path / "file"), os.fsencode(tmp_path)]) == []
    make(os.fsencode(tmp_path / "file"), directory=False)
    make(os.fsencode(tmp_path), directory=True)
    assert (tmp_path / "file").read_text() == "x"


def test_missing_parents_are_noted_once_and_parents_first(tmp_path: Path) -> None:
    age(tmp_path)
    top = os.fsencode(tmp_path)
    assert missing([top + b"/a/b/file", top + b"/a/c", top + b"/a/b"]) == [
        (top + b"/a", LONG_AGO_NS),
        (top + b"/a/b", -1),
        (top + b"/a/b/file", -1),
        (top + b"/a/c", -1),
    ]


def test_missing_parents_are_made_and_the_time_around_them_is_kept(tmp_path: Path) -> None:
    age(tmp_path)
    assert make(os.fsencode(tmp_path / "a/b/file"), directory=False) == os.fsencode(tmp_path / "a/b/file")
    assert (tmp_path / "a/b/file").read_bytes() == b""
    assert tmp_path.stat().st_mtime_ns == LONG_AGO_NS


def test_a_dangling_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").symlink_to("run/stub.conf")
    target = os.fsencode(tmp_path / "resolv.conf")
    assert [path for path, _ in missing([target])] == [
        os.fsencode(tmp_path / "run"),
        os.fsencode(tmp_path / "run/stub.conf"),
    ]
    assert make(target, directory=False) == os.fsencode(tmp_path / "run/stub.conf")
    assert (tmp_path / "run/stub.conf").is_file()


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "etc").write_text("")
    with pytest.raises(NotADirectoryError):
        make(os.fsencode(tmp_path / "etc/hosts"), directory=False)


def test_empty_ones_are_removed_and_the_time_around_them_is_kept(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    (tmp_path / "new/deep").mkdir(parents=True)
    for path in (tmp_path / "etc", tmp_path):
        age(path)
    remove(os.fsencode(tmp_path), below("/etc/hosts", "/new", "/new/deep"))
    assert [path.name for path in tmp_path.rglob("*")] == ["etc"]
    assert tmp_path.stat().st_mtime_ns == (tmp_path / "etc").stat().st_mtime_ns == LONG_AGO_NS


def test_what_the_command_filled_or_replaced_stays(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "written").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    remove(os.fsencode(tmp_path), below("/full", "/written", "/gone", "/gone/deeper"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_directory_in_which_one_stays_has_changed(tmp_path: Path) -> None:
    for name in ("untouched", "touched", "emptied"):
        (tmp_path / name / "stub").mkdir(parents=True)
    for name in ("untouched", "touched"):
        (tmp_path / name / "stub/file").touch()
    for path in tmp_path.iterdir():
        age(path)
    os.utime(tmp_path / "touched", ns=(1, 1))
    remove(
        os.fsencode(tmp_path), [(f"/{name}/stub".encode(), LONG_AGO_NS) for name in ("untouched", "touched", "emptied")]
    )
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert (times["touched"], times["emptied"]) == (1, LONG_AGO_NS)
    assert times["untouched"] > LONG_AGO_NS


def test_links_of_the_command_lead_nowhere(tmp_path: Path) -> None:
    outside, upper = tmp_path / "outside", tmp_path / "upper"
    (outside / "empty").mkdir(parents=True)
    (outside / "file").touch()
    upper.mkdir()
    (upper / "a").symlink_to(outside)
    (upper / "b").symlink_to(outside / "empty")
    remove(os.fsencode(upper), below("/a/empty", "/a/file", "/b"))
    assert sorted(path.name for path in outside.iterdir()) == ["empty", "file"]
    assert (upper / "b").is_symlink()
