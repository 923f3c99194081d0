import pytest

from builder.units import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("100", 100),
        ("100b", 100),
        ("1k", 1024),
        ("1 KB", 1024),
        ("1KiB", 1024),
        ("1.5m", 3 << 19),
        (".5g", 1 << 29),
        ("2tib", 2 << 40),
        ("1P", 1 << 50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "1x", "-1", "1kk", "1ib", "1 k b", "1e3", "8192p", "one"])
def test_what_is_none(text: str) -> None:
    assert parse_size(text) is None
