"""What becomes of a store when the ids of its user change."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layers import store as store_module
from layers import storeids
from layers.digest import CacheKey, Digest, LayerId
from layers.entry import Entry, Kind
from layers.errors import StoreBusy, StoreError
from layers.idmap import WHOLE, IdMap
from layers.store import Store

ONE = IdMap(((0, 1000, 1),), ((0, 1000, 1),))
MANY = IdMap(((0, 1000, 1), (1, 100000, 65536)), ((0, 1000, 1), (1, 100000, 65536)))
OTHER = IdMap(((0, 1000, 1), (1, 200000, 65536)), ((0, 1000, 1), (1, 200000, 65536)))
KEY = CacheKey(Digest.of(b"step"))

Become = Callable[[IdMap], None]


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Become:
    def change(ids: IdMap) -> None:
        for module in (store_module, storeids):
            monkeypatch.setattr(module, "current", lambda: ids)

    return change


def make(root: Path) -> tuple[LayerId, LayerId]:
    """A store with a step whose layer is a blob, and one on top of it that is a snapshot."""
    with Store.open(str(root)) as store:
        packed = store.add_layer([Entry(b"d", Kind.DIRECTORY, 0o755)], ())
        made = store.workspace((packed,)).commit()
        store.record_step(KEY, KEY, (packed, made), made, 0.0)
        return packed, made


@pytest.mark.parametrize("ids", [ONE, MANY, WHOLE])
def test_with_the_same_ids_all_stays(tmp_path: Path, become: Become, ids: IdMap) -> None:
    become(ids)
    make(tmp_path / "store")
    with Store.open(str(tmp_path / "store")) as store:
        assert KEY in store.find_steps([KEY])


def test_more_ids_end_what_was_made_with_one(tmp_path: Path, become: Become) -> None:
    become(ONE)
    packed, made = make(tmp_path / "store")
    become(MANY)
    with Store.open(str(tmp_path / "store")) as store:
        assert store.find_steps([KEY]) == {}
        assert store.tree((packed,)).lookup(b"d") is not None
        with pytest.raises(StoreError):
            store.tree((made,))
        assert store.check() == []
    assert list((tmp_path / "store/snapshots").iterdir()) == []
    become(ONE)
    with pytest.raises(StoreError, match="other user ids"):
        Store.open(str(tmp_path / "store"))


def test_not_while_somebody_works_with_one(tmp_path: Path, become: Become) -> None:
    become(ONE)
    packed, _ = make(tmp_path / "store")
    with Store.open(str(tmp_path / "store")) as store:
        store.tree((packed,))
        become(MANY)
        with pytest.raises(StoreBusy):
            Store.open(str(tmp_path / "store"))
    with Store.open(str(tmp_path / "store")) as store:
        assert store.find_steps([KEY]) == {}


@pytest.mark.parametrize("later", [ONE, OTHER, WHOLE])
def test_other_ids_are_an_error_that_changes_nothing(tmp_path: Path, become: Become, later: IdMap) -> None:
    become(MANY)
    make(tmp_path / "store")
    become(later)
    with pytest.raises(StoreError, match="other user ids") as raised:
        Store.open(str(tmp_path / "store"))
    assert raised.value.hint
    become(MANY)
    with Store.open(str(tmp_path / "store")) as store:
        assert KEY in store.find_steps([KEY])


def test_who_may_not_touch_files_does_not_ask(tmp_path: Path, become: Become) -> None:
    become(MANY)
    make(tmp_path / "store")
    become(WHOLE)
    left = tmp_path / "store/tmp/dead"
    left.mkdir()
    with Store.open(str(tmp_path / "store"), recover=False) as store:
        assert store.images() == []
    assert left.is_dir()
    become(MANY)
    Store.open(str(tmp_path / "store")).close()
    assert not left.exists()


@pytest.mark.needs_root
def test_the_store_of_another_user_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "store")
    os.chown(tmp_path / "store/store.db", 1, 1)
    with pytest.raises(StoreError, match="belongs to another user"):
        Store.open(str(tmp_path / "store"))
