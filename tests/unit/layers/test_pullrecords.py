"""What names meant at registries, and which repositories have which blobs."""

import re
from collections.abc import Callable

import pytest

from layers.digest import BlobDigest, Digest
from layers.pullrecords import PullRecord
from layers.schema import MIGRATIONS, VERSION, Database
from layers.store import Store

NAME = "docker.io/library/a:1"
BLOB = BlobDigest(Digest.of(b"blob"))


def test_a_name_means_another_thing_for_each_platform(store: Store) -> None:
    image = store.put_image(b"{}", (), (), ()).id
    record = PullRecord(Digest.of(b"index"), image, 5.0)
    store.pulls.put((NAME, "docker.io/library/a@x"), "linux/amd64", record)
    assert store.pulls.find(NAME, "linux/amd64") == record
    assert store.pulls.find("docker.io/library/a@x", "linux/amd64") == record
    assert store.pulls.find(NAME, "linux/arm64") is None
    later = record._replace(digest=Digest.of(b"other"), checked=9.0)
    store.pulls.put((NAME,), "linux/amd64", later)
    assert store.pulls.find(NAME, "linux/amd64") == later


def test_a_record_goes_with_its_image(store: Store) -> None:
    image = store.put_image(b"{}", (), (), ()).id
    store.pulls.put((NAME,), "linux/amd64", PullRecord(Digest.of(b"index"), image, 5.0))
    store.remove_image(image)
    assert store.pulls.find(NAME, "linux/amd64") is None


def test_origins_in_the_order_they_came(store: Store) -> None:
    for repository in ("b", "a", "b"):
        store.supply.origins.remember("h:1", repository, BLOB)
    store.supply.origins.remember("h:2", "c", BLOB)
    assert store.supply.origins.repositories("h:1", BLOB) == ("b", "a")
    assert store.supply.origins.repositories("h:3", BLOB) == ()


def test_origins_of_blobs_that_are_gone_are_pruned(store: Store) -> None:
    store.supply.origins.remember("h:1", "a", BLOB)
    store.prune()
    assert store.supply.origins.repositories("h:1", BLOB) == ()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_store_gets_the_tables_it_lacks(open_store: Callable[[], Store], version: int) -> None:
    with open_store() as store:
        root = store.root
        image = store.put_image(b"{}", (), (), (NAME,)).id
    database = Database(f"{root}/store.db")
    for table in re.findall(r"CREATE TABLE (\w+) ", "".join(MIGRATIONS[version:])):
        database.write(f"DROP TABLE {table}")
    database.write(f"PRAGMA user_version = {version}")
    database.close()
    with open_store() as store:
        assert store.image(NAME) is not None
        store.pulls.put((NAME,), "linux/amd64", PullRecord(Digest.of(b"index"), image, 5.0))
        assert store.supply.origins.repositories("h:1", BLOB) == ()
        assert store.check() == []
    database = Database(f"{root}/store.db")
    assert database.version() == VERSION
    database.close()
