"""What connections do wrong, and what they are made with, by requests and by Python itself. All on loopback."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.asking import Asker
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, NotTls, SettingsError, Unreachable, Untrusted
from registry.messages import Request, Timeouts
from registry.proxies import Proxies
from registry.transport import Transport
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.support.certificates import Authority
from tests.support.registries import free_port

PLAIN = HostSettings()


USUAL = Timeouts(connect=5.0, read=5.0, patience=10.0)
Way = Asker | Transport
Make = Callable[[Timeouts], Way]


@pytest.fixture(params=["asker", "transport"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Way] = []

    def build(timeouts: Timeouts) -> Way:
        asker = request.param == "asker"
        made.append(Asker(timeouts=timeouts) if asker else Transport(Proxies(), timeouts=timeouts))
        return made[-1]

    yield build
    for one in made:
        one.close()


@pytest.fixture
def transport(make: Make) -> Way:
    return make(USUAL)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as made:
        yield made


def get(transport: Way, url: str, settings: HostSettings = PLAIN, limit: int = 1 << 20) -> bytes:
    with transport.exchange(Request("GET", url), settings) as response:
        return response.read(limit)


def test_what_is_sent(transport: Way, fake: FakeRegistry) -> None:
    response = transport.exchange(Request("POST", f"{fake.base}/v2/x/blobs/uploads/", {"X": "y"}, b"body"), PLAIN)
    assert (response.status, response.headers["content-length"]) == (202, "0")
    response.close()
    (one,) = fake.log
    assert one.body == b"body"
    wanted = {"User-Agent": "pybuild", "Accept-Encoding": "identity", "X": "y", "Content-Length": "4"}
    assert wanted.items() <= one.headers.items()
    assert "Authorization" not in one.headers
    assert "Cookie" not in one.headers


def test_connections_are_kept(transport: Way, fake: FakeRegistry) -> None:
    seen: set[int] = set()

    def note(handler: faults.Handler, real: faults.Real) -> None:
        seen.add(handler.connection.getpeername()[1])
        handler.answer(*real())

    fake.fault("GET ", note)
    for _ in range(5):
        get(transport, f"{fake.base}/v2/")
    assert len(seen) == 1


def test_cookies_are_not_kept(transport: Way, fake: FakeRegistry) -> None:
    fake.fault("GET ", faults.status(200, Set_Cookie="a=b"))
    for _ in range(2):
        get(transport, f"{fake.base}/v2/")
    assert all("Cookie" not in one.headers for one in fake.log)


def test_encoded_bodies_are_left_as_they_are(transport: Way, fake: FakeRegistry) -> None:
    """A digest is of the bytes as sent, and a bomb stays unexploded."""
    fake.fault("GET ", faults.status(200, b"\x1f\x8b not gzip", Content_Encoding="gzip"))
    assert get(transport, f"{fake.base}/v2/") == b"\x1f\x8b not gzip"


def test_bodies_are_bounded(transport: Way, fake: FakeRegistry) -> None:
    fake.fault("GET ", faults.status(200, b"x" * 1001))
    with pytest.raises(BadAnswer, match="of more than 1000 bytes"):
        get(transport, f"{fake.base}/v2/", limit=1000)


def test_plain_http_reads_no_authorities(transport: Way, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are hundreds of them."""
    monkeypatch.setattr("registry.tls._context", None)
    fake.fault("GET ", faults.status(200, b"x"))
    assert get(transport, f"{fake.base}/v2/") == b"x"


def test_nothing_is_read_where_nothing_is_verified(
    transport: Way, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl, "create_default_context", None)
    with FakeRegistry(tls=authority.issue()).running() as fake:
        for settings in (HostSettings(insecure=True), HostSettings(unverified=True)):
            assert get(transport, f"{fake.base}/v2/", settings) == b"{}"


def test_nobody_listens(transport: Way) -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(Unreachable, match=f"^cannot reach {host}: connection refused$") as caught:
        get(transport, f"http://{host}/v2/")
    assert caught.value.temporary


def test_no_such_name(transport: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unreachable, match=r"^cannot reach no\.such: no address is known for that name$") as caught:
        get(transport, "https://no.such/v2/")
    assert not caught.value.temporary
    assert caught.value.hint == "check the spelling of the host, and the network"


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http:///x", "file:///etc/passwd", "http://a\u2024b..c/x", "http://a..b/"]
)
def test_addresses_that_are_none(transport: Way, url: str) -> None:
    with pytest.raises((BadAnswer, Unreachable)):
        get(transport, url)


def test_silence(make: Make, fake: FakeRegistry) -> None:
    transport = make(Timeouts(connect=5.0, read=0.2, patience=10.0))
    stop = threading.Event()

    def silent(handler: faults.Handler, real: faults.Real) -> None:
        stop.wait(10)
        handler.answer(*real())

    fake.fault("GET ", silent)
    with pytest.raises(Unreachable, match="no answer in time"):
        get(transport, f"{fake.base}/v2/")
    stop.set()


def test_a_server_that_is_slow_in_the_handshake(make: Make) -> None:
    """It takes the connection and says nothing: neither TLS nor plain."""
    transport = make(Timeouts(connect=0.3, read=0.3, patience=10.0))
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(Unreachable, match=r"no answer in time$"),
    ):
        get(transport, f"https://127.0.0.1:{server.getsockname()[1]}/v2/")


def test_plain_http_where_tls_was_wanted(transport: Way, fake: FakeRegistry) -> None:
    with pytest.raises(NotTls, match="does not speak TLS") as caught:
        get(transport, f"https://{fake.host}/v2/")
    assert "http = true" in (caught.value.hint or "")


def test_authorities(transport: Way, authority: Authority, tmp_path: Path) -> None:
    with FakeRegistry(tls=authority.issue()).running() as fake:
        url = f"{fake.base}/v2/"
        assert get(transport, url, HostSettings(ca=(str(authority.ca),))) == b"{}"
        assert get(transport, url, HostSettings(insecure=True)) == b"{}"
        with pytest.raises(Untrusted, match=f"the certificate of {fake.host} is not trusted"):
            get(transport, url)
        other = Authority(tmp_path, "another one")
        with pytest.raises(Untrusted):
            get(transport, url, HostSettings(ca=(str(other.ca),)))
    with (
        FakeRegistry(address="127.0.0.3", tls=authority.issue()).running() as fake,
        pytest.raises(Untrusted, match=r"(?i)mismatch"),
    ):
        get(transport, f"{fake.base}/v2/", HostSettings(ca=(str(authority.ca),)))


def test_a_trust_is_for_one_host_only(transport: Way, authority: Authority) -> None:
    """No verification for one host leaves others verified, over the same transport."""
    with FakeRegistry(tls=authority.issue()).running() as one, FakeRegistry(tls=authority.issue()).running() as two:
        get(transport, f"{one.base}/v2/", HostSettings(insecure=True))
        with pytest.raises(Untrusted):
            get(transport, f"{two.base}/v2/")


def test_client_certificates(transport: Way, authority: Authority) -> None:
    trust = HostSettings(ca=(str(authority.ca),))
    pair = authority.issue("client")
    with FakeRegistry(tls=authority.issue(), clients=authority.ca).running() as fake:
        ours = trust._replace(client=(str(pair.cert), str(pair.key)))
        assert get(transport, f"{fake.base}/v2/", ours) == b"{}"
        with pytest.raises((Untrusted, Unreachable), match=r"wants a client certificate|broke off TLS") as caught:
            get(transport, f"{fake.base}/v2/", trust)
    assert f"/etc/docker/certs.d/{fake.host}/client.cert" in (caught.value.hint or "")


def test_files_that_are_no_certificates(transport: Way, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for settings in (
        HostSettings(ca=(str(tmp_path / "missing"),)),
        HostSettings(ca=(str(tmp_path / "x"),)),
        HostSettings(client=(str(tmp_path / "x"), str(tmp_path / "x"))),
    ):
        with pytest.raises(SettingsError, match="cannot use the"):
            get(transport, "https://127.0.0.1/", settings)


def test_proxies(fake: FakeRegistry) -> None:
    """The name is for the proxy to know; no other host is asked."""
    proxy = f"http://user:s3cret@{fake.host}"
    fake.fault("GET http://r.example/v2/", faults.status(200, b"from the proxy"))
    transport = Transport(Proxies(http=proxy, https=proxy))
    assert get(transport, "http://r.example/v2/") == b"from the proxy"
    assert fake.log[0].headers["Proxy-Authorization"].startswith("Basic ")
    with pytest.raises(Unreachable) as caught:
        get(transport, "https://r.example/v2/")
    assert caught.value.message.startswith(f"cannot reach r.example through the proxy {fake.host}: ")
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"
    transport.close()


def test_a_proxy_that_is_not_there() -> None:
    proxy = f"127.0.0.1:{free_port()}"
    transport = Transport(Proxies(https=f"http://{proxy}"))
    with pytest.raises(Unreachable, match=rf"^cannot reach r\.example through the proxy {proxy}: connection refused$"):
        get(transport, "https://r.example/v2/")
    transport.close()


def test_bodies_that_fail_leave_their_own_error(fake: FakeRegistry) -> None:
    transport = Transport(Proxies())

    class Broken:
        def __len__(self) -> int:
            return 10

        def read(self, size: int = -1, /) -> bytes:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        transport.exchange(Request("PUT", f"{fake.base}/v2/", {}, Broken()), PLAIN)
    transport.close()
