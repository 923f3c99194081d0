import pytest

from registry.messages import Request, origin


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://R.example/x", ("https", "r.example", 443)),
        ("http://r.example/x", ("http", "r.example", 80)),
        ("https://r.example:5000", ("https", "r.example", 5000)),
        ("http://[::1]:5000/x", ("http", "::1", 5000)),
        ("https://u:p@r.example/", ("https", "r.example", 443)),
    ],
)
def test_origin(url: str, found: tuple[str, str, int]) -> None:
    assert origin(url) == found


@pytest.mark.parametrize("url", ["https://r.example:99999", "https://[", "https://r.example:x"])
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        origin(url)


def test_a_request_does_not_show_its_secrets() -> None:
    shown = repr(Request("GET", "https://u:secret@h/x?sig=secret", {"Authorization": "secret"}, b"secret"))
    assert shown == "Request(GET https://h/x, hidden)"
