"""WORKDIR: what is made, for whom and with which time (reference 1.8)."""

import pytest

from builder.plan.graph import WorkdirOp
from builder.solve.placing import CannotPlace
from builder.solve.workdir import workdir_entries
from layers.entry import Entry
from layers.errors import PybuildError
from tests.support.trees import Content, MemoryTree, directory, file, link

NOW = 1_700_000_000


def workdir(
    dest: dict[str, Content], path: str, user: str = "", epoch: int | None = None
) -> list[tuple[str, int, int, int, int]]:
    def row(e: Entry) -> tuple[str, int, int, int, int]:
        return e.path.decode(), e.mode, e.uid, e.gid, e.mtime_ns // 10**9

    return [row(e) for e in workdir_entries(WorkdirOp(path, user, epoch), MemoryTree(dest), NOW * 10**9)]


def test_missing_directories_belong_to_the_user_at_every_level_and_only_the_last_has_the_epoch() -> None:
    dest: dict[str, Content] = {"srv": directory(mode=0o711, mtime=3), "etc/passwd": file(b"app:x:5:6::/:/bin/sh\n")}
    assert workdir(dest, "/srv/a/b", "app", 42) == [
        ("srv", 0o711, 0, 0, 3),
        ("srv/a", 0o755, 5, 6, NOW),
        ("srv/a/b", 0o755, 5, 6, 42),
    ]
    assert workdir(dest, "/srv/a/", "7:8")[1:] == [("srv/a", 0o755, 7, 8, NOW)]
    assert workdir(dest, "/x", "7") == [("x", 0o755, 7, 7, NOW)]


def test_existing_directory_makes_nothing() -> None:
    assert workdir({"a/b": None, "l": link("a")}, "/l/b", "5", 42) == []
    assert workdir({}, "/") == []


def test_links_are_followed() -> None:
    assert workdir({"l": link("real/deep"), "real": None}, "/l/x") == [
        ("real", 0o755, 0, 0, 1),
        ("real/deep", 0o755, 0, 0, NOW),
        ("real/deep/x", 0o755, 0, 0, NOW),
    ]


def test_unknown_user_is_root_but_an_error_on_an_empty_root() -> None:
    assert workdir({"a": None}, "/x", "nobody") == [("x", 0o755, 0, 0, NOW)]
    with pytest.raises(PybuildError, match="invalid user 'nobody'"):
        workdir({}, "/x", "nobody")


def test_file_in_the_way_is_an_error() -> None:
    for path in ("/f", "/f/x"):
        with pytest.raises(CannotPlace, match="/f is not a directory"):
            workdir({"f": b""}, path)


def test_group_of_a_setgid_parent() -> None:
    assert workdir({"m": directory(mode=0o2775, gid=8)}, "/m/a")[1:] == [("m/a", 0o2755, 0, 8, NOW)]
