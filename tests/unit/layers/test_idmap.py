from layers.idmap import WHOLE, IdMap, parse, parse_text
from layers.processids import current

SUBORDINATE = parse("         0       1000          1\n         1     100000      65536\n")
ONE = parse("0 1000 1\n")


def test_the_map_of_the_first_namespace_is_whole() -> None:
    rows = parse("         0          0 4294967295\n")
    assert IdMap(rows, rows) == WHOLE
    assert WHOLE.whole
    assert not WHOLE.single
    assert WHOLE.has(0, (1 << 32) - 2)


def test_what_a_map_has() -> None:
    ids = IdMap(SUBORDINATE, SUBORDINATE)
    assert not ids.whole
    assert not ids.single
    assert ids.has(0, 65536)
    assert not ids.has(65537, 0)
    assert not ids.has(0, 65537)


def test_a_single_id() -> None:
    assert IdMap(ONE, ONE).single
    assert IdMap(ONE, SUBORDINATE).single
    assert IdMap(SUBORDINATE, ONE).single
    assert IdMap(ONE, SUBORDINATE).one_user
    assert not IdMap(SUBORDINATE, ONE).one_user
    assert IdMap(ONE, ONE).has(0, 0)
    assert not IdMap(ONE, ONE).has(0, 1)


def test_different_maps_have_different_texts() -> None:
    texts = {IdMap(uids, gids).text() for uids in (ONE, SUBORDINATE) for gids in (ONE, SUBORDINATE)}
    assert len(texts) == 4
    assert IdMap(ONE, SUBORDINATE).text() == "0 1000 1; 0 1000 1, 1 100000 65536"


def test_a_text_is_read_back() -> None:
    for ids in (WHOLE, IdMap(ONE, SUBORDINATE), IdMap((), ONE)):
        assert parse_text(ids.text()) == ids


def test_maps_agree_on_what_images_use() -> None:
    fewer = parse("0 1000 1\n1 100000 65535\n")
    more = parse("0 1000 1\n1 100000 65536\n65537 300000 5\n")
    other = parse("0 1000 1\n1 200000 65536\n")
    few = parse("0 1000 1\n1 100000 1000\n")
    ids = IdMap(SUBORDINATE, SUBORDINATE)
    assert ids.agrees(IdMap(fewer, more))
    assert IdMap(more, fewer).agrees(ids)
    for rows in (other, few, ONE, WHOLE.uids):
        assert not ids.agrees(IdMap(SUBORDINATE, rows))
        assert not IdMap(rows, SUBORDINATE).agrees(ids)


def test_this_process_has_root() -> None:
    assert current().uids
