"""Owners and devices kept beside files: what is taken from the attributes, and what is not."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from layers import owners
from layers.entry import BytesSource, Entry, Kind
from layers.errors import PybuildError, StoreError
from layers.idmap import WHOLE, IdMap
from layers.overlayfmt import entry_of, is_portable_xattr, is_reserved_xattr, read_xattrs
from layers.unpack import Manner, unpack

ONE = IdMap(((0, 1000, 1),), ((0, 1000, 1),))
MANY = IdMap(((0, 1000, 1), (1, 100000, 65536)), ((0, 1000, 1), (1, 100000, 65536)))


def status(mode: int = stat.S_IFREG | 0o644, uid: int = 0, gid: int = 0, size: int = 0) -> os.stat_result:
    return os.stat_result((mode, 1, 1, 1, uid, gid, size, 0, 0, 0), {"st_mtime_ns": 0})


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> IdMap:
    found: IdMap = request.param
    monkeypatch.setattr(owners, "current", lambda: found)
    return found


@pytest.mark.parametrize(
    ("ids", "value", "expected"),
    [
        (ONE, b"33:44", (33, 44)),
        (ONE, b"0:44", (0, 44)),
        (MANY, b"100000:5", (100000, 5)),
        (MANY, b"33:44", (0, 0)),  # these it could have: a command wrote it
        (MANY, b"0:0", (0, 0)),
        (ONE, b"0:0", (0, 0)),
        (WHOLE, b"33:44", (0, 0)),
        (ONE, b"", (0, 0)),
        (ONE, b"x:1", (0, 0)),
        (ONE, b"33", (0, 0)),
        (ONE, b"-1:5", (0, 0)),
        (ONE, b"9" * 5000 + b":1", (0, 0)),
    ],
    indirect=["ids"],
)
def test_only_owners_that_no_file_can_have_are_taken(ids: IdMap, value: bytes, expected: tuple[int, int]) -> None:
    assert owners.owner(status(), ((owners.OWNER, value),)) == expected


@pytest.mark.parametrize("ids", [MANY], indirect=True)
def test_only_of_files_of_root(ids: IdMap) -> None:
    """Whoever else writes the attribute has an id of his own."""
    kept = ((owners.OWNER, b"100000:100000"),)
    assert owners.owner(status(uid=5), kept) == (5, 0)
    assert owners.owner(status(gid=5), kept) == (0, 5)


DEVICE = ((owners.DEVICE, b"c 1 3 666 0 6"),)


@pytest.mark.parametrize("ids", [ONE, MANY], indirect=True)
def test_a_device_is_what_it_was(ids: IdMap) -> None:
    expected = Entry(b"x", Kind.CHAR, 0o666, 0, 6, 0, device=(1, 3))
    assert owners.device(b"x", status(stat.S_IFREG), DEVICE) == expected
    assert owners.device(b"x", status(), ()) is None
    assert owners.device(b"x", status(stat.S_IFDIR), DEVICE) is None


@pytest.mark.parametrize("ids", [ONE, MANY], indirect=True)
@pytest.mark.parametrize("changed", [{"mode": stat.S_IFREG | 0o666}, {"size": 1}, {"uid": 1}, {"gid": 1}])
def test_a_device_that_was_changed_is_an_error(ids: IdMap, changed: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="/dev/null is a device node"):
        owners.device(b"dev/null", status(**{"mode": stat.S_IFREG, **changed}), DEVICE)


@pytest.mark.parametrize("ids", [ONE], indirect=True)
@pytest.mark.parametrize("value", [b"", b"c 1 3", b"x 1 3 666 0 6", b"c 1 3 666 0 -6", b"c 1 3 666 0 6 7"])
def test_a_device_that_makes_no_sense_is_an_error(ids: IdMap, value: bytes) -> None:
    with pytest.raises(StoreError):
        owners.device(b"x", status(stat.S_IFREG), ((owners.DEVICE, value),))


def test_no_layer_has_the_attributes() -> None:
    for name in (owners.OWNER, owners.DEVICE, b"user.pybuild.other"):
        assert is_reserved_xattr(name)
        assert not is_portable_xattr(name)
    assert is_portable_xattr(b"user.pybuilder")


@pytest.mark.needs_root
@pytest.mark.parametrize("ids", [ONE], indirect=True)
def test_owners_survive_unpacking_with_a_single_id(ids: IdMap, tmp_path: Path) -> None:
    entries = [
        Entry(b"d", Kind.DIRECTORY, 0o2750, 33, 44, 10**9),
        Entry(b"d/link", Kind.SYMLINK, 0o777, 33, 44, 10**9, link=b"x"),
        Entry(b"f", Kind.FILE, 0o4755, 5, 0, 10**9, source=BytesSource(b"")),
        Entry(b"g", Kind.HARDLINK, 0o4755, 6, 0, 10**9, link=b"f"),
        Entry(b"r", Kind.FILE, 0o644, 0, 0, 10**9, source=BytesSource(b"")),
    ]
    unpack(entries, str(tmp_path))
    found = {}
    for name in ("d", "d/link", "f", "g", "r"):
        host = tmp_path / name
        assert host.lstat().st_uid == host.lstat().st_gid == 0
        raw = os.fsencode(host)
        entry = entry_of(os.fsencode(name), host.lstat(), raw, read_xattrs(raw))
        assert not entry.xattrs
        found[name] = (entry.mode, entry.uid, entry.gid)
    assert found == {
        "d": (0o2750, 33, 44),
        "d/link": (0o777, 0, 0),
        "f": (0o4755, 6, 0),
        "g": (0o4755, 6, 0),
        "r": (0o644, 0, 0),
    }


@pytest.mark.parametrize("ids", [ONE], indirect=True)
def test_a_directory_given_back_to_root_is_root_s(ids: IdMap, tmp_path: Path) -> None:
    directory = Entry(b"d", Kind.DIRECTORY, 0o755, os.getuid(), os.getgid(), 0)
    unpack([directory._replace(uid=33), directory._replace(uid=0, gid=0)], str(tmp_path))
    raw = os.fsencode(tmp_path / "d")
    assert read_xattrs(raw) == ()


@pytest.mark.parametrize("ids", [ONE, WHOLE], indirect=True)
def test_devices_that_cannot_be_made_stand_as_files(
    ids: IdMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refuse)
    null = Entry(b"null", Kind.CHAR, 0o666, 0, 6, 5 * 10**9, device=(1, 3))
    with pytest.raises(PybuildError, match="null is a device node"):
        unpack([null], str(tmp_path))
    unpack(
        [null, null, null._replace(path=b"again", kind=Kind.HARDLINK, link=b"null")],
        str(tmp_path),
        manner=Manner(stand_ins=True),
    )
    for name in (b"null", b"again"):
        raw = os.fsencode(tmp_path / os.fsdecode(name))
        assert entry_of(name, Path(os.fsdecode(raw)).lstat(), raw, read_xattrs(raw)) == null._replace(path=name)
