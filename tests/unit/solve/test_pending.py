"""Changes over a tree that are not a layer yet."""

from builder.solve.pending import Pending
from layers.entry import Entry, Kind
from tests.support.trees import MemoryTree, directory, file, link


def at(path: str, entry: Entry) -> Entry:
    return entry._replace(path=path.encode())


def test_shows_what_is_below_until_it_is_replaced() -> None:
    pending = Pending(MemoryTree({"d/a": b"1", "d/b": b"2", "e": None}))
    assert pending.lookup(b"d/a") is not None
    pending.put(at("d", directory(mode=0o700)))
    assert [entry.path for entry in pending.children(b"d")] == [b"d/a", b"d/b"]
    pending.put(at("d/a", file(b"3")))
    pending.put(at("d/c", file(b"4")))
    assert [entry.path for entry in pending.children(b"d")] == [b"d/a", b"d/b", b"d/c"]
    assert [entry.path for entry in pending.entries()] == [b"d", b"d/a", b"d/c"]
    assert [entry.path for entry in pending.children(b"")] == [b"d", b"e"]


def test_a_file_over_a_directory_hides_it_and_a_new_directory_there_is_opaque() -> None:
    pending = Pending(MemoryTree({"d/a/x": b"1"}))
    pending.put(at("d", file(b"")))
    assert pending.lookup(b"d/a") is None
    assert pending.lookup(b"d/a/x") is None
    assert pending.children(b"d") == []
    pending.put(at("d", directory()))
    assert pending.lookup(b"d/a") is None
    assert [(entry.path, entry.kind) for entry in pending.entries()] == [(b"d", Kind.DIRECTORY), (b"d", Kind.OPAQUE)]


def test_a_directory_over_a_link_is_a_new_one() -> None:
    pending = Pending(MemoryTree({"lib": link("usr/lib"), "usr/lib/x": b""}))
    pending.put(at("lib", directory()))
    assert pending.children(b"lib") == []
    assert [(entry.path, entry.kind) for entry in pending.entries()] == [(b"lib", Kind.DIRECTORY)]


def test_what_was_put_in_a_replaced_directory_goes() -> None:
    pending = Pending(MemoryTree())
    pending.put(at("d", directory()))
    pending.put(at("d/e", directory()))
    pending.put(at("d/e/f", file(b"")))
    pending.put(at("d", link("x")))
    assert [entry.path for entry in pending.entries()] == [b"d"]


def test_names_of_one_file_come_out_in_order_with_the_metadata_of_the_last() -> None:
    pending = Pending(MemoryTree())
    pending.put(at("m", file(b"x", mode=0o600)))
    pending.link(at("z", file(mode=0o600)), b"m")
    pending.link(at("a", file(mode=0o640)), b"m")
    found = [(entry.path, entry.kind, entry.link, entry.mode) for entry in pending.entries()]
    assert found == [
        (b"a", Kind.FILE, None, 0o640),
        (b"m", Kind.HARDLINK, b"a", 0o640),
        (b"z", Kind.HARDLINK, b"a", 0o640),
    ]
    pending.put(at("a", file(b"other")))
    assert [(entry.path, entry.kind) for entry in pending.entries()] == [
        (b"a", Kind.FILE),
        (b"m", Kind.FILE),
        (b"z", Kind.HARDLINK),
    ]


def test_order_is_that_of_streams() -> None:
    pending = Pending(MemoryTree())
    for name in ("d-", "d", "d/x", "d.x"):
        pending.put(at(name, directory()))
    assert [entry.path for entry in pending.entries()] == [b"d", b"d/x", b"d-", b"d.x"]
