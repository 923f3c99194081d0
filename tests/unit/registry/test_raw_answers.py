"""Answers at the edges of HTTP and beyond: both ways make the same of them, and neither waits or keeps too much."""

import time
import tracemalloc

import pytest

from registry.asking import Asker
from registry.endpoints import HostSettings
from registry.errors import RegistryError, Unreachable
from registry.messages import Request, Timeouts
from registry.proxies import Proxies
from registry.transport import Transport
from tests.fakes.rawserver import RawServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SHORT = Timeouts(connect=5.0, read=0.5, patience=10.0)
Way = Asker | Transport


def ways(timeouts: Timeouts = SHORT) -> tuple[Way, Way]:
    return Asker(timeouts=timeouts), Transport(Proxies(), timeouts=timeouts)


def tell(way: Way, url: str, method: str = "GET", limit: int = 100_000) -> str:
    """What becomes of it, to be compared; of what a library says itself only that it does."""
    try:
        with way.exchange(Request(method, url), HostSettings()) as response:
            return f"{response.status} {dict(response.headers)} {response.read(limit)[:100]!r}"
    except RegistryError as error:
        said = error.message.partition(" (")[0].replace(url.split("/")[2], "HOST")
        return f"{type(error).__name__} {error.temporary}: {said}; {(error.hint or '')[:15]}"


HEAD = b"HTTP/1.1 200 OK\r\n"
BROKEN = "Unreachable True: cannot reach HOST: the connection broke"
SAME = {
    "length": (OK, "200 {'content-length': '2'} b'ok'"),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", "200 "),
    "no length": (HEAD + b"\r\nok", "200 {} b'ok'"),
    "an older protocol": (b"HTTP/1.0 200 OK\r\n\r\nok", "200 {} b'ok'"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "200 "),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;a=b\r\no\r\n1\r\nk\r\n0\r\nX: y\r\n\r\n", "200 "),
    "chunks and a length": (
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "200 {'transfer-encoding': 'chunked', 'content-length': '9'} b'ok'",
    ),
    "chunks that end early": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nok", BROKEN),
    "no next chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", BROKEN),
    "chunks that are none": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", BROKEN),
    "too short": (HEAD + b"Content-Length: 9\r\n\r\nok", BROKEN),
    "too long": (OK + b"more", "200 {'content-length': '2'} b'ok'"),
    "more than allowed": (HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, "BadAnswer False: HOST sent"),
    "huge": (HEAD + b"Content-Length: %d\r\n\r\nok" % (1 << 62), BROKEN),
    "go on": (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + OK, "200 {'content-length': '2'} b'ok'"),
    "a hint": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, "103 {'link': 'x'} b''"),
    "nothing to say": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 "),
    "nothing": (b"", BROKEN),
    "half a line": (b"HTTP/1.1 200", "200 {} b''"),
    "half a header": (HEAD + b"Content-Le", "200 "),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.9\r\n", BROKEN),
    "another HTTP": (b"HTTP/2.0 200 OK\r\n\r\n", BROKEN),
    "no status": (b"HTTP/1.1 abc OK\r\n\r\n", BROKEN),
    "a status out of range": (b"HTTP/1.1 1000 OK\r\n\r\n", BROKEN),
    "a long status line": (b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n", BROKEN),
    "a long header": (HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n", BROKEN),
    "many headers": (HEAD + b"X: y\r\n" * 101 + b"\r\n", BROKEN),
    "headers": (
        HEAD + b"X-A: 1\r\nContent-Length: 2\r\nx-a:  2 \r\nLong: a\r\n  b\r\nLatin: \xe9\r\nEmpty:\r\n\r\nok",
        "200 {'x-a': '1, 2 ', 'content-length': '2', 'long': 'a b', 'latin': 'é', 'empty': ''} b'ok'",
    ),
    "several lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk", "BadAnswer False: HOST is not"),
    "one length twice": (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", "200 "),
    "one length twice in a line": (
        HEAD + b"Content-Length: 2, 2\r\n\r\nok",
        "200 {'content-length': '2, 2'} b'ok'",
    ),
    "a length twice that is too much": (HEAD + b"Content-Length: 3, 3\r\n\r\nok", BROKEN),
    "chunks within another encoding": (
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "200 {'transfer-encoding': 'gzip, chunked'} b'ok'",
    ),
    "a length that is none": (HEAD + b"Content-Length: x\r\n\r\nok", "200 "),
    "a negative length": (HEAD + b"Content-Length: -1\r\n\r\nok", "200 "),
}


@pytest.mark.parametrize("case", SAME)
def test_both_ways_make_the_same_of(case: str) -> None:
    answer, wanted = SAME[case]
    found = []
    for way in ways():
        with RawServer([answer], close=True).running() as server:
            found.append(tell(way, f"http://{server.host}/v2/"))
        way.close()
    assert found[0].startswith(wanted)
    assert found[0] == found[1]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("size", [b"-1", b"-3", b"-0x1", b"fffffffffffffffff"])
def test_a_chunk_of_impossible_size_does_not_read_without_end(number: int, size: bytes) -> None:
    """``-1`` bytes would be all there are."""
    way = ways()[number]
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + b"x" * 20_000_000
    with RawServer([answer], close=True).running() as server:
        tracemalloc.start()
        said = tell(way, f"http://{server.host}/")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert said.startswith(("BadAnswer", "Unreachable"))
    assert most < 2_000_000
    way.close()


@pytest.mark.parametrize("number", [0, 1])
def test_a_negative_chunk_is_refused_at_once(number: int) -> None:
    """What follows it would be waited for, on a connection that stays open."""
    way = ways()[number]
    answer = HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nhi\r\n0\r\n\r\n"
    with RawServer([answer]).running() as server:
        assert tell(way, f"http://{server.host}/").startswith(("BadAnswer", "Unreachable"))
    way.close()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    "slow",
    [
        (HEAD + b"X-" + b"x" * 500, 2),
        (HEAD + b"X: y\r\n" * 90, 20),
        (HEAD + b"Content-Length: 500\r\n\r\n" + b"x" * 500, 45),
        (HEAD + b"Content-Length: 500\r\nConnection: close\r\n\r\n" + b"x" * 500, 70),
        (HEAD + b"\r\n" + b"x" * 500, 20),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100, 50),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 100, 50),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 30, 2),
    ],
)
def test_what_comes_byte_by_byte_is_ended(number: int, slow: tuple[bytes, int]) -> None:
    way = ways(SHORT._replace(patience=0.5))[number]
    began = time.monotonic()
    with RawServer([slow[0]], slow=slow[1]).running() as server:
        assert "too little came in too long a time" in tell(way, f"http://{server.host}/")
    assert time.monotonic() - began < 4
    way.close()


@pytest.mark.parametrize("number", [0, 1])
def test_headers_that_are_ended_are_no_answer(number: int) -> None:
    """http.client takes what is there for all of them."""
    way = ways(SHORT._replace(patience=0.5))[number]
    with (
        RawServer([HEAD + b"X: y\r\n" * 90], slow=20).running() as server,
        pytest.raises(Unreachable, match="too little came in too long a time"),
    ):
        way.exchange(Request("GET", f"http://{server.host}/"), HostSettings())
    way.close()


@pytest.mark.parametrize("number", [0, 1])
def test_a_handshake_that_comes_byte_by_byte_is_ended(number: int) -> None:
    way = ways(SHORT._replace(patience=0.5))[number]
    began = time.monotonic()
    with RawServer([b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(1000)], slow=5).running() as server:
        assert "too little came in too long a time" in tell(way, f"https://{server.host}/")
    assert time.monotonic() - began < 4
    way.close()


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(
    ("first", "idle", "close", "connections"),
    [
        (OK, b"", False, 1),
        (OK, b"", True, 3),
        (OK, b"HTTP/1.1 500 Nobody asked\r\nContent-Length: 2\r\n\r\nno", False, 3),
        (OK.replace(b"200 OK", b"200 OK\r\nConnection: close"), b"", False, 3),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"", False, 1),
    ],
)
def test_which_connections_are_kept(number: int, first: bytes, idle: bytes, close: bool, connections: int) -> None:
    way = ways()[number]
    with RawServer([first] * 3, close=close, idle=idle).running() as server:
        for _ in range(3):
            assert "b'ok'" in tell(way, f"http://{server.host}/")
            time.sleep(0.1)
        assert server.connections == connections
    way.close()


def test_what_is_not_read_to_its_end_is_not_kept() -> None:
    asker = Asker(timeouts=SHORT)
    with RawServer([OK] * 2).running() as server:
        request = Request("GET", f"http://{server.host}/")
        asker.exchange(request, HostSettings()).close()
        assert "b'ok'" in tell(asker, request.url)
        assert server.connections == 2
    asker.close()


def test_a_hint_leaves_no_answer_to_a_later_question() -> None:
    """103 is taken for the answer: the answer itself may come while the next question is asked."""
    asker = Asker(timeouts=SHORT)
    late = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    with RawServer([late, OK]).running() as server:
        assert tell(asker, f"http://{server.host}/").startswith("103")
        assert tell(asker, f"http://{server.host}/").startswith("200")
        assert server.connections == 2
    asker.close()


def test_answers_to_head_have_no_body() -> None:
    answer = HEAD + b"Content-Length: 1000\r\n\r\n"
    for way in ways():
        with RawServer([answer, answer, OK]).running() as server:
            for _ in range(2):
                assert tell(way, f"http://{server.host}/", "HEAD") == "200 {'content-length': '1000'} b''"
            assert "b'ok'" in tell(way, f"http://{server.host}/")
            assert server.connections == 1
        way.close()


def test_after_closing_nothing_is_kept() -> None:
    asker = Asker(timeouts=SHORT)
    with RawServer([OK] * 3).running() as server:
        for _ in range(3):
            assert "b'ok'" in tell(asker, f"http://{server.host}/")
            asker.retire()
        assert server.connections == 3
    asker.close()


def test_closing_ends_what_is_under_way() -> None:
    asker = Asker()
    with (
        RawServer([HEAD + b"Content-Length: 10\r\n\r\n"]).running() as server,
        asker.exchange(Request("GET", f"http://{server.host}/"), HostSettings()) as response,
    ):
        asker.close()
        with pytest.raises(Unreachable):
            response.read(100)
