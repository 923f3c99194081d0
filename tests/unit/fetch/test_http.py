"""Files over HTTP: what is asked, what is kept, and what a server cannot make us do."""

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.fetch.http import Fetched, Http, file_name
from layers.digest import BlobDigest, Digest
from layers.errors import PybuildError
from layers.store import Store
from registry.credentials import Credentials
from registry.download import DownloadFailed
from registry.errors import BadAnswer, Stopped, Unreachable
from registry.pace import Clock, Pace, Patience
from registry.proxies import Proxies
from registry.registries import Registries
from registry.session import Session
from tests.support.webserver import Page, Web, web

MODIFIED = "Sun, 13 Sep 2020 12:26:40 GMT"


class Place:
    def __init__(self, server: Web, store: Store, session: Session) -> None:
        self.web = server
        self.store = store
        self.secrets: dict[str, bytes] = {}
        self.cancelled = threading.Event()
        self.http = Http(store, lambda: session, self.cancelled, self.secrets.get)

    def get(self, path: str) -> Fetched:
        return self.http.fetch(self.web.url(path))

    def bytes(self, found: Fetched) -> bytes:
        with self.store.blobs.open(found.digest) as blob:
            return blob.read(1 << 20)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    quick = Pace(Clock(sleep=lambda _: None), Patience(attempts=2))
    nobody = Credentials({"HOME": str(tmp_path)})
    with (
        web() as server,
        Store.open(str(tmp_path / "store")) as store,
        Session(Registries({}, {}), nobody, Proxies(), quick) as session,
    ):
        yield Place(server, store, session)


def test_a_file(place: Place) -> None:
    place.web.pages["/d/f"] = Page(b"data", {"Last-Modified": MODIFIED})
    found = place.get("/d/f?x=y#z")
    assert found == Fetched(BlobDigest(Digest.of(b"data")), 4, 1_600_000_000)
    assert place.bytes(found) == b"data"
    (asked,) = place.web.asked
    assert asked.path == "/d/f?x=y"
    assert asked.headers["accept-encoding"] == "identity"
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("headers", "condition"),
    [({"ETag": '"1"', "Last-Modified": MODIFIED}, "if-none-match"), ({"Last-Modified": MODIFIED}, "if-modified-since")],
)
def test_what_did_not_change_does_not_come_again(place: Place, headers: dict[str, str], condition: str) -> None:
    place.web.pages["/f"] = Page(b"data", headers)
    first = place.get("/f")
    assert place.get("/f") == first
    assert condition in place.web.asked[1].headers
    place.web.pages["/f"] = Page(b"other", {"ETag": '"2"', "Last-Modified": "Mon, 14 Sep 2020 12:26:40 GMT"})
    assert place.bytes(place.get("/f")) == b"other"


def test_without_validators_it_comes_again(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data")
    assert place.get("/f").mtime == 0
    place.get("/f")
    assert {"if-none-match", "if-modified-since"}.isdisjoint(place.web.asked[1].headers)


def test_what_was_pruned_is_asked_for_anew(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data", {"ETag": '"1"'})
    found = place.get("/f")
    place.store.blobs.delete(found.digest)
    assert place.bytes(place.get("/f")) == b"data"


def test_redirects(place: Place) -> None:
    place.web.pages["/f"] = Page(b"", {"Location": "/g"}, 302)
    place.web.pages["/g"] = Page(b"data")
    assert place.bytes(place.get("/f")) == b"data"
    place.web.pages["/g"] = Page(b"", {"Location": "/f"}, 307)
    with pytest.raises(DownloadFailed, match="redirected more than 10 times"):
        place.get("/f")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "http://user:pw@127.0.0.1/x"])
def test_redirects_to_what_cannot_be_asked(place: Place, target: str) -> None:
    place.web.pages["/f"] = Page(b"", {"Location": target}, 302)
    with pytest.raises(BadAnswer, match="cannot be used"):
        place.get("/f")


def test_credentials_stay_with_their_server(place: Place) -> None:
    place.secrets["HTTP_AUTH_TOKEN_127.0.0.1"] = b"t\n"
    with web() as other:
        other.pages["/f"] = Page(b"data")
        place.web.pages["/f"] = Page(b"", {"Location": other.url("/f")}, 302)
        assert place.bytes(place.get("/f")) == b"data"
        assert place.web.asked[0].headers["authorization"] == "Bearer t"
        assert "authorization" not in other.asked[0].headers
    place.secrets["HTTP_AUTH_HEADER_127.0.0.1"] = b"Basic x"
    place.web.pages["/g"] = Page(b"g")
    place.get("/g")
    assert place.web.asked[-1].headers["authorization"] == "Basic x"
    place.secrets["HTTP_AUTH_HEADER_127.0.0.1"] = b"x\r\nHost: y"
    with pytest.raises(PybuildError, match="is no value of a header"):
        place.get("/g")


def test_a_user_in_the_address(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data")
    place.http.fetch(f"http://u:p%40@127.0.0.1:{place.web.port}/f")
    assert place.web.asked[0].headers["authorization"] == "Basic dTpwQA=="


@pytest.mark.parametrize("status", [401, 404, 410, 500])
def test_no_file(place: Place, status: int) -> None:
    place.web.pages["/f"] = Page(b"<html>", {}, status)
    with pytest.raises(DownloadFailed, match=f"/f: the server answered {status}"):
        place.get("/f?secret=x")


def test_a_body_that_breaks_off(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data", {"Content-Length": "5000"})
    with pytest.raises(Unreachable):
        place.get("/f")
    assert len(place.web.asked) == 2
    assert not list(place.store.blobs)


def test_an_endless_body_takes_no_memory_and_can_be_stopped(place: Place) -> None:
    place.web.pages["/f"] = Page(status=0)
    seen = 0

    def moved(count: int) -> None:
        nonlocal seen
        seen += count
        if seen > 32 << 20:
            place.cancelled.set()

    tracemalloc.start()
    try:
        with pytest.raises(Stopped):
            place.http._replace(moved=moved).fetch(place.web.url("/f"))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert not list(place.store.blobs)


def test_records_are_pruned_with_their_blobs(place: Place) -> None:
    place.web.pages["/f"] = Page(b"data", {"ETag": '"1"'})
    url = place.web.url("/f")
    place.get("/f")
    place.store.prune()
    assert place.store.web_files.find(url) is not None
    place.store.prune(all=True)
    assert place.store.web_files.find(url) is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        *(("http://h/a/b.tar?x=/y#z", "b.tar"), ("http://h/a/", "a"), ("http://h/a%20b", "a b")),
        *(("http://h", "__unnamed__"), ("http://h/", "__unnamed__"), ("http://h/..", "__unnamed__")),
        ("http://h/a%2Fb", "b"),
    ],
)
def test_names(url: str, name: str) -> None:
    assert file_name(url) == name
