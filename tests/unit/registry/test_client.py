import pytest

from registry.auth import Credential
from registry.client import Client, Network, Want
from registry.endpoints import HostSettings
from registry.errors import Action, BadAnswer, NotTls, RegistryError, Unreachable, Untrusted
from registry.pace import Clock, Pace, Patience, retry_after
from tests.support.answers import Answered, Script

OK = Answered
GET = Want(Action("pull", "r.example", "x"), "GET", "/v2/x/manifests/1")
SECRET = Credential("me", "s3cret")
REFUSED = Unreachable("cannot reach it", temporary=True)


class Waits(list[float]):
    """Seconds slept, instead of sleeping."""

    def pace(self) -> Pace:
        return Pace(Clock(now=lambda: 0.0, sleep=self.append, jitter=lambda: 1.0), Patience(attempts=3))


def client(
    script: Script,
    settings: HostSettings = HostSettings(),  # noqa: B008 - a constant
    *,
    host: str = "r.example",
    credential: Credential | None = None,
    waits: Waits | None = None,
    others: dict[str, HostSettings] | None = None,
) -> Client:
    known = others or {}
    network = Network(
        script, lambda name: known.get(name, HostSettings()), (Waits() if waits is None else waits).pace()
    )
    return Client(host, settings, network, lambda: credential)


def unauthorized(challenge: str = 'Basic realm="x"') -> Answered:
    return Answered(401, {"www-authenticate": challenge})


def test_the_first_request_is_without_credentials() -> None:
    script = Script(unauthorized(), OK(), OK())
    ours = client(script, credential=SECRET)
    ours.ask_all(GET)
    ours.ask_all(GET)
    assert [("Authorization" in request.headers) for request in script.sent] == [False, True, True]
    assert script.lines[0] == "GET https://r.example/v2/"


def test_plain_http_is_for_loopback_and_for_whom_it_is_allowed() -> None:
    not_tls = NotTls("no TLS")
    with pytest.raises(NotTls):
        client(Script(not_tls)).ask_all(GET)
    for host, settings in (
        ("localhost:5000", HostSettings()),
        ("127.0.0.1", HostSettings()),
        ("[::1]:5", HostSettings()),
        ("r.example", HostSettings(insecure=True)),
    ):
        script = Script(not_tls, OK(), OK())
        client(script, settings, host=host).ask_all(GET)
        assert script.lines[2] == f"GET http://{host}/v2/x/manifests/1"
    script = Script(OK(), OK())
    client(script, HostSettings(http=True)).ask_all(GET)
    assert script.lines[0] == "GET http://r.example/v2/"


def test_a_certificate_that_is_not_trusted_is_no_reason_for_plain_http() -> None:
    script = Script(OK(), Untrusted("bad"))
    with pytest.raises(Untrusted):
        client(script, host="localhost:5000").ask_all(GET)
    assert script.lines == ["GET https://localhost:5000/v2/"] * 2


UNVERIFIED = HostSettings(unverified=True)


def test_what_may_be_plain_is_first_asked_whether_it_speaks_tls() -> None:
    """Unverified, and hence without anything secret; nothing is made of the answer, and it leads nowhere."""
    ours = HostSettings(ca=("a",), client=("c", "k"), token_hosts=("h",), dial_s=5.0)
    for first in (
        OK(),
        unauthorized('Bearer realm="https://evil.example/token"'),
        Answered(307, {"location": "https://evil.example/"}),
        Answered(503),
        BadAnswer("what is this"),
        Untrusted("wants a client certificate"),
        Unreachable("broke off TLS", temporary=True),
    ):
        script = Script(first, unauthorized(), OK())
        client(script, ours, host="localhost:5000", credential=SECRET).ask_all(GET)
        assert script.settings == [UNVERIFIED._replace(dial_s=5.0), ours, ours]
        assert script.lines[:2] == ["GET https://localhost:5000/v2/"] * 2
        assert ["Authorization" in request.headers for request in script.sent] == [False, False, True]


def test_others_are_not() -> None:
    for host, settings in (
        ("r.example", HostSettings()),
        ("r.example", HostSettings(insecure=True)),
        ("localhost", HostSettings(insecure=True)),
        ("localhost", HostSettings(unverified=True)),
    ):
        script = Script(OK(), OK())
        client(script, settings, host=host).ask_all(GET)
        assert script.settings == [settings] * 2


def test_a_loopback_registry_that_is_not_there() -> None:
    """Once over TLS and once over plain HTTP; the first error tells more."""
    script = Script(REFUSED, Unreachable("plain"))
    with pytest.raises(Unreachable, match="cannot reach it"):
        client(script, host="localhost:5000").ask_all(GET)
    assert script.lines == ["GET https://localhost:5000/v2/", "GET http://localhost:5000/v2/"]


def test_questions_are_marked() -> None:
    """What is read whole at once, and small: neither blobs nor what changes something."""
    script = Script(unauthorized('Bearer realm="https://r.example/token"'), OK(body=b'{"token":"one"}'), OK())
    ours = client(script)
    ours.ask_all(GET)
    assert [request.question for request in script.sent] == [True] * 3
    script = Script(OK(), OK(), OK())
    ours = client(script)
    ours.ask(GET)
    ours.ask_all(GET._replace(method="PUT"))
    assert [request.question for request in script.sent] == [True, False, False]


def test_waits_grow_and_end() -> None:
    waits = Waits()
    script = Script(OK(), REFUSED, Answered(500), Answered(502))
    with pytest.raises(RegistryError, match="answered 502"):
        client(script, waits=waits).ask_all(GET)
    assert waits == [0.5, 1.0]
    patience = Patience(longest_s=3.0)
    assert [patience.wait(attempt, 0.0) for attempt in (0, 1, 2, 9)] == [0.25, 0.5, 1.0, 1.5]


def test_what_cannot_pass_is_not_tried_again() -> None:
    script = Script(OK(), Unreachable("no such host"))
    with pytest.raises(Unreachable):
        client(script).ask_all(GET)
    assert len(script.sent) == 2


def test_what_must_not_be_repeated() -> None:
    once = GET._replace(method="POST", once=True)
    for trouble, kind in ((Answered(500), RegistryError), (REFUSED, Unreachable)):
        with pytest.raises(kind):
            client(Script(OK(), trouble)).ask_all(once)
    client(Script(OK(), Answered(429), OK())).ask_all(once)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "9" * 30}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:10 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:10 -0000", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_body_is_made_anew_for_each_attempt() -> None:
    made: list[int] = []

    class Body:
        def __len__(self) -> int:
            return 1

        def read(self, size: int = -1, /) -> bytes:
            return b"x"

    def body() -> Body:
        made.append(1)
        return Body()

    script = Script(OK(), unauthorized(), Answered(503), OK())
    client(script, credential=SECRET).ask_all(GET._replace(method="PATCH", body=body))
    assert len(made) == 3


def test_redirects_keep_credentials_at_home() -> None:
    hops = [Answered(307, {"location": to}) for to in ("/v2/y", "https://r.example:444/z", "https://r.example/back")]
    script = Script(unauthorized(), *hops, OK())
    client(script, credential=SECRET).ask_all(GET)
    assert script.lines[2:] == [
        "GET https://r.example/v2/y",
        "GET https://r.example:444/z",
        "GET https://r.example/back",
    ]
    assert [("Authorization" in request.headers) for request in script.sent[1:]] == [True, True, False, False]


def test_redirects_use_the_settings_of_where_they_lead() -> None:
    storage = HostSettings(ca=("storage.pem",))
    script = Script(OK(), Answered(302, {"location": "https://s.example/b"}), OK())
    client(script, HostSettings(client=("c", "k")), others={"s.example": storage}).ask_all(GET)
    assert script.settings == [HostSettings(client=("c", "k"))] * 2 + [storage]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_changes_something_is_not_sent_on(method: str) -> None:
    script = Script(OK(), Answered(307, {"location": "https://r.example/other"}))
    with pytest.raises(RegistryError, match="answered 307"):
        client(script).ask_all(GET._replace(method=method))


def test_tokens_come_over_tls_only() -> None:
    script = Script(unauthorized('Bearer realm="http://auth.r.example/token"'))
    with pytest.raises(Untrusted, match="over plain HTTP"):
        client(script).ask_all(GET)


def test_a_challenge_without_a_realm() -> None:
    with pytest.raises(BadAnswer, match="not where to get it"):
        client(Script(unauthorized("Bearer"))).ask_all(GET)


def test_a_scope_that_the_registry_asks_for_is_fetched() -> None:
    bearer = 'Bearer realm="https://r.example/token"'
    script = Script(
        unauthorized(bearer),
        OK(body=b'{"token":"one"}'),
        unauthorized(f'{bearer},scope="repository:y:pull"'),
        OK(body=b'{"token":"two"}'),
        OK(),
    )
    client(script).ask_all(GET._replace(scopes=("repository:x:pull",)))
    assert script.lines[3] == "GET https://r.example/token?scope=repository%3Ax%3Apull&scope=repository%3Ay%3Apull"
    assert script.sent[4].headers["Authorization"] == "Bearer two"


def test_tokens_are_reused_until_most_of_their_life_is_over() -> None:
    now = [0.0]
    bearer = 'Bearer realm="https://r.example/token"'
    tokens = [OK(body=b'{"token":"%d","expires_in":100}' % number) for number in range(2)]
    script = Script(unauthorized(bearer), tokens[0], OK(), OK(), tokens[1], OK())
    network = Network(script, lambda _: HostSettings(), Pace(Clock(now=lambda: now[0])))
    ours = Client("r.example", HostSettings(), network, lambda: None)
    for now[0] in (0.0, 89.0, 91.0):
        ours.ask_all(GET)
    used = [request.headers.get("Authorization") for request in script.sent if "manifests" in request.url]
    assert used == ["Bearer 0", "Bearer 0", "Bearer 1"]


def test_requests_do_not_show_what_they_carry() -> None:
    script = Script(unauthorized(), OK())
    client(script, credential=SECRET).ask_all(GET._replace(path="/v2/x?signature=s3cret"))
    assert "s3cret" not in repr(script.sent)
    assert "Basic" not in repr(script.sent)


@pytest.mark.parametrize("host", ["r.example:99999", "r.example:x"])
def test_hosts_that_are_none(host: str) -> None:
    with pytest.raises(Unreachable, match="is no host"):
        client(Script(), host=host)
