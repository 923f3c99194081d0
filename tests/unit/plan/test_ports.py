import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.plan.ports import parse_ports


@pytest.mark.parametrize(
    ("words", "ports"),
    [
        (["80"], ("80/tcp",)),
        (["53/UDP", "9/sctp"], ("53/udp", "9/sctp")),
        (["80/"], ("80/tcp",)),
        (["8000-8002"], ("8000/tcp", "8001/tcp", "8002/tcp")),
        (["7-7/udp"], ("7/udp",)),
        (["0", "65535"], ("0/tcp", "65535/tcp")),
        (["8080:80"], ("80/tcp",)),
        (["127.0.0.1:8080:80/udp"], ("80/udp",)),
        (["127.0.0.1::80"], ("80/tcp",)),
        (["[::1]:8080:80"], ("80/tcp",)),
        (["::1:8080:80"], ("80/tcp",)),
        (["8000-8005:80"], ("80/tcp",)),
        (["8000-8001:80-81"], ("80/tcp", "81/tcp")),
        ([], ()),
        (["80", "80/tcp"], ("80/tcp", "80/tcp")),
    ],
)
def test_accepted(words: list[str], ports: tuple[str, ...]) -> None:
    assert parse_ports(words) == ports


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("", "no port specified"),
        ("/udp", "no port specified"),
        ("80/http", "invalid proto: http"),
        ("http", "invalid containerPort: http"),
        ("90-80", "descends"),
        ("65536", "out of range"),
        ("-1", "value is empty"),
        ("80-", "value is empty"),
        ("x:80", "invalid hostPort: x"),
        ("300.0.0.1:80:80", "invalid IP address: 300.0.0.1"),
        ("name:80:80", "invalid IP address: name"),
        ("8000-8002:80-81", "invalid ranges"),
    ],
)
def test_refused(word: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_ports([word])


@given(st.text(alphabet="0123456789-/:.[]tcpud", max_size=20))
def test_any_text_is_ports_or_an_error(word: str) -> None:
    try:
        ports = parse_ports([word])
    except ValueError:
        return
    assert ports
    for port in ports:
        number, _, protocol = port.partition("/")
        assert 0 <= int(number) <= 65535
        assert protocol in {"tcp", "udp", "sctp"}
