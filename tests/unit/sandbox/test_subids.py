import pytest

from builder.sandbox.subids import Range, free, ranges, rows

FILE = """\
# a comment: 1:2
alice:100000:65536
bob:165536:65536
1000:300000:10
alice:231072:5
broken:x:1
alice:1:0
alice:12345678901:1
alice:5
"""


def test_all_ranges_of_a_user_in_the_order_of_the_file() -> None:
    assert ranges(FILE, "alice", 1000) == (Range(100000, 65536), Range(300000, 10), Range(231072, 5))
    assert ranges(FILE, "bob", 1001) == (Range(165536, 65536),)
    assert ranges(FILE, "carol", 1002) == ranges("", "alice", 1000) == ()


def test_a_number_is_no_name() -> None:
    assert ranges(FILE, "dave", 100000) == ()


@pytest.mark.parametrize(
    ("text", "expected"), [("", 100000), ("a:1000:10\n", 100000), ("a:100000:1\n", 165536), (FILE, 362144)]
)
def test_a_free_range_is_above_all_others(text: str, expected: int) -> None:
    assert free(text) == expected


def test_the_map_begins_with_the_user_itself() -> None:
    assert rows(1000, (Range(100000, 65536), Range(300000, 10))) == (
        (0, 1000, 1),
        (1, 100000, 65536),
        (65537, 300000, 10),
    )
    assert rows(7, ()) == ((0, 7, 1),)
