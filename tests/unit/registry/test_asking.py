"""Which questions are asked without requests, and that they are the same ones. Answers: ``test_raw_answers``."""

import random
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from registry.asking import Asker, askable
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, RegistryError
from registry.messages import Request, Timeouts
from registry.proxies import Proxies
from registry.transport import Transport
from tests.fakes import faults
from tests.fakes.rawserver import RawServer
from tests.fakes.registry import FakeRegistry
from tests.support.certificates import Authority

PLAIN = HostSettings()
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def asker() -> Iterator[Asker]:
    made = Asker(timeouts=Timeouts(connect=5.0, read=5.0, patience=10.0))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("url", "yes"),
    [
        ("https://r.example/v2/", True),
        ("http://127.0.0.1:5000/v2/library/debian/manifests/12.9-slim_x", True),
        ("http://[::1]:5000/v2/a/manifests/sha256:0a", True),
        ("https://r.example/token?service=r%3Aexample&scope=repository%3Ax%3Apull", True),
        ("https://R.example", True),
        ("https://r.example?x=y", True),
        ("https://s.example/b?X-Signature=a%2Fb%3D&X=~", True),
        ("https://s.example/b?sig=a%2fb", False),
        ("https://s.example/b?sig=%41", False),
        ("https://s.example/b?sig=%zz", False),
        ("https://s.example/a b", False),
        ("https://s.example/a\tb", False),
        ("https://s.example/\u00e9", False),
        ("https://s.example/a/../b", False),
        ("https://s.example/a/./b", False),
        ("https://s.example//b", False),
        ("https://s.example/a[0]", False),
        ("https://s.example/a#b", False),
        ("https://s.example/a\\b", False),
        ("https://\u00e9.example/", False),
        ("https://a..b/", False),
        ("https://s.example./", False),
        ("https://user:pw@s.example/", False),
        ("https://[fe80::1%25eth0]/", False),
        ("https://" + "a" * 64 + ".example/", False),
        ("https://s.example:/", False),
        ("https:///x", False),
        ("HTTPS://s.example/", False),
        ("ftp://s.example/", False),
        ("https://s.example/\n", False),
    ],
)
def test_what_is_askable(url: str, yes: bool) -> None:
    assert askable(url, Proxies()) is yes


def test_what_a_proxy_carries_is_not() -> None:
    proxies = Proxies(https="http://proxy.example:3128", exceptions=(".inner",))
    assert not askable("https://r.example/v2/", proxies)
    assert askable("https://r.inner/v2/", proxies)
    assert askable("http://r.example/v2/", proxies)
    assert askable("https://127.0.0.1:5000/v2/", proxies)


def test_what_is_not_askable_is_refused(asker: Asker) -> None:
    with pytest.raises(BadAnswer, match="not an address of a registry"):
        asker.exchange(Request("GET", "https://s.example/a b"), PLAIN)


def test_requests_would_send_the_same_address() -> None:
    """Whatever is askable, requests leaves as it is."""
    source = random.Random(7)
    pieces = [*"aZ09-._~!$&'()*+,;=:@/?", "%2F", "%3A", "%41", "%2f", "%", " ", "#", "[", "\u00e9", "/.", "//", "\\"]
    seen = 0
    for _ in range(20_000):
        text = "".join(source.choices(pieces, k=source.randrange(6)))
        url = f"http://s.example/{text}"
        if not askable(url, Proxies()):
            continue
        seen += 1
        made = requests.PreparedRequest()
        made.prepare_url(url, None)
        path, _, query = url.removeprefix("http://s.example").partition("?")
        assert made.path_url == (f"{path}?{query}" if query else path)
    assert seen > 1000


def _sent(way: Asker | Transport, request: Request) -> list[bytes]:
    with RawServer([OK]).running() as server:
        url = f"http://{server.host}{request.url}"
        with way.exchange(request._replace(url=url), PLAIN) as response:
            assert response.read(10) == b"ok"
        text = server.requests[0].replace(server.host.encode(), b"HOST")
    return sorted(text.split(b"\r\n"))


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/v2/"),
        Request("GET", ""),
        Request("GET", "?a=b"),
        Request("GET", "/v2/x/manifests/1?", {"Accept": "a, b", "Authorization": "Bearer x"}),
        Request("POST", "/token", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b"),
        Request("POST", "/token"),
        Request("GET", "/v2/", {"User-Agent": "other"}),
    ],
)
def test_the_same_is_sent(asker: Asker, request_: Request) -> None:
    transport = Transport(Proxies())
    assert _sent(asker, request_) == _sent(transport, request_)
    transport.close()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "\u2603", "a\nb"])
def test_headers_that_cannot_be_sent(asker: Asker, value: str) -> None:
    transport = Transport(Proxies())
    with RawServer([OK]).running() as server:
        for way in (asker, transport):
            with pytest.raises(BadAnswer, match="is not a host that can be asked"):
                way.exchange(Request("GET", f"http://{server.host}/", {"X": value}), PLAIN)
        assert server.requests == []
    transport.close()


def test_a_trust_is_not_lent_by_a_kept_connection(asker: Asker, authority: Authority) -> None:
    trust = HostSettings(ca=(str(authority.ca),))
    seen: set[int] = set()

    def note(handler: faults.Handler, real: faults.Real) -> None:
        seen.add(handler.connection.getpeername()[1])
        handler.answer(*real())

    with FakeRegistry(tls=authority.issue()).running() as fake:
        fake.fault("GET ", note)
        request = Request("GET", f"{fake.base}/v2/")
        for _ in range(3):
            asker.exchange(request, HostSettings(unverified=True)).read(10)
        assert len(seen) == 1
        with pytest.raises(RegistryError, match="is not trusted"):
            asker.exchange(request, PLAIN)
        for _ in range(3):
            asker.exchange(request, trust).read(10)
        assert len(seen) == 2


def test_many_threads_ask_at_once(asker: Asker) -> None:
    """Each gets its own answer."""
    wrong: list[bytes] = []
    with FakeRegistry().running() as fake:
        for number in range(8):
            fake.fault(f"GET /{number}$", faults.status(200, b"%d" % number))

        def ask(number: int) -> None:
            for _ in range(30):
                found = asker.exchange(Request("GET", f"{fake.base}/{number}"), PLAIN).read(10)
                if found != b"%d" % number:
                    wrong.append(found)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(fake.log) == 240


def test_version_6(asker: Asker) -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(9999))
            connection.sendall(OK)

    with server:
        thread = threading.Thread(target=serve)
        thread.start()
        host = f"[::1]:{server.getsockname()[1]}"
        assert asker.exchange(Request("GET", f"http://{host}/v2/"), PLAIN).read(10) == b"ok"
        thread.join()
    assert f"Host: {host}\r\n".encode() in heard[0]
