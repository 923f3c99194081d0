import json
import pickle
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.auth import (
    Challenge,
    Credential,
    Token,
    TokenAnswer,
    TokenRequest,
    TokenWish,
    basic,
    fetch_token,
    merge_scopes,
    parse_challenges,
    trusted_realm,
)
from registry.errors import BadAnswer, LoginNeeded, RegistryError, WrongCredential

LOGIN = Credential("me", "s3cret")
SCOPES = ("repository:a/b:pull",)


def wish(credential: Credential | None, *, offline: bool = False) -> TokenWish:
    return TokenWish("r.example", "https://auth.r.example/token?x=1", "svc", SCOPES, credential, offline)


def talk(asked: TokenWish, *answers: TokenAnswer) -> tuple[list[TokenRequest], Token]:
    """Runs the flow with these answers."""
    flow = fetch_token(asked, 100.0)
    requests = []
    try:
        requests.append(next(flow))
        for answer in answers:
            requests.append(flow.send(answer))
    except StopIteration as done:
        return requests, done.value
    raise AssertionError(f"it wants more answers: {requests}")


def token(**fields: object) -> TokenAnswer:
    return TokenAnswer(200, json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ('Basic realm="a b"', [("basic", {"realm": "a b"})]),
        ("Basic", [("basic", {})]),
        ('Bearer realm="https://a/t",service="s, t",scope="x:y:pull,push"',
         [("bearer", {"realm": "https://a/t", "service": "s, t", "scope": "x:y:pull,push"})]),
        ('Bearer realm="r" , Basic realm="b"', [("bearer", {"realm": "r"}), ("basic", {"realm": "b"})]),
        ('bearer REALM=plain,error="a\\"b"', [("bearer", {"realm": "plain", "error": 'a"b'})]),
        ("Negotiate, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Bearer realm="never closed', [("bearer", {}), ]),
    ],
)  # fmt: skip
def test_challenges(header: str, found: list[tuple[str, dict[str, str]]]) -> None:
    parsed = [(one.scheme, dict(one.parameters)) for one in parse_challenges(header)]
    assert parsed[: len(found)] == found


@given(st.text(alphabet='Bearer Basic realm="x",\\= \t\0é', max_size=80))
def test_any_challenge_is_read_to_its_end(header: str) -> None:
    assert all(isinstance(one, Challenge) for one in parse_challenges(header))


def test_anonymous_is_a_get() -> None:
    requests, found = talk(wish(None), token(token="t"))
    assert requests == [
        TokenRequest(
            "GET",
            "https://auth.r.example/token?x=1&service=svc&scope=repository%3Aa%2Fb%3Apull",
            (),
            None,
            secret=False,
        )
    ]
    assert found.value == "t"


def test_a_password_is_posted() -> None:
    requests, found = talk(wish(LOGIN, offline=True), token(access_token="t", expires_in=100, refresh_token="r"))
    assert [(one.method, one.url, one.secret) for one in requests] == [
        ("POST", "https://auth.r.example/token?x=1", True)
    ]
    assert parse_qs((requests[0].body or b"").decode()) == {
        "grant_type": ["password"],
        "username": ["me"],
        "password": ["s3cret"],
        "service": ["svc"],
        "client_id": ["pybuild"],
        "scope": ["repository:a/b:pull"],
        "access_type": ["offline"],
    }
    assert (found.value, found.refresh_token) == ("t", "r")


@pytest.mark.parametrize("status", [400, 401, 404, 405, 501])
def test_a_get_where_no_post_is_known(status: int) -> None:
    requests, found = talk(wish(LOGIN), TokenAnswer(status, b""), token(token="t"))
    assert [one.method for one in requests] == ["POST", "GET"]
    assert dict(requests[1].headers) == {"Authorization": basic(LOGIN)}
    assert parse_qs(urlsplit(requests[1].url).query)["account"] == ["me"]
    assert found.value == "t"


def test_a_refresh_token_is_posted_and_nothing_else() -> None:
    credential = Credential(identity_token="refresh")
    requests, _ = talk(wish(credential), token(access_token="t"))
    assert parse_qs((requests[0].body or b"").decode())["refresh_token"] == ["refresh"]
    with pytest.raises(WrongCredential, match="does not accept the token it was given"):
        talk(wish(credential), TokenAnswer(401, b""))


def test_a_registry_token_is_taken_as_it_is() -> None:
    requests, found = talk(wish(Credential(registry_token="given")))
    assert (requests, found.value) == ([], "given")


def test_a_wrong_password() -> None:
    with pytest.raises(WrongCredential) as caught:
        talk(wish(LOGIN), TokenAnswer(401, b""), TokenAnswer(401, b'{"errors":[{"message":"bad"}]}'))
    assert caught.value.message == "r.example does not accept the password of user 'me': \"bad\""
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_service_that_gives_nobody_a_token(status: int) -> None:
    with pytest.raises(LoginNeeded, match=r"^r\.example wants to know who you are$") as caught:
        talk(wish(None), TokenAnswer(status, b'{"errors":[{"message":"denied"}]}'))
    assert caught.value.hint == "check the name; if the repository is private, run 'pybuild login r.example'"


@pytest.mark.parametrize(("status", "temporary"), [(500, True), (429, True), (418, False)])
def test_a_service_in_trouble(status: int, temporary: bool) -> None:
    with pytest.raises(RegistryError) as caught:
        talk(wish(LOGIN), TokenAnswer(status, b""))
    assert caught.value.temporary == temporary
    assert not isinstance(caught.value, WrongCredential)


@pytest.mark.parametrize(
    ("life", "good_for"), [(100, 90), (None, 54), (0, 54), (-5, 54), ("x", 54), (10**9, 54), (2, 1.8)]
)
def test_a_token_is_used_for_most_of_its_life(life: object, good_for: float) -> None:
    fields = {"token": "t"} if life is None else {"token": "t", "expires_in": life}
    _, found = talk(wish(None), token(**fields))
    assert found.good(100 + good_for - 0.01)
    assert not found.good(100 + good_for + 0.01)


@pytest.mark.parametrize("value", [None, "", 5, "a b", "a\r\nb", "é"])
def test_tokens_that_cannot_be_sent(value: object) -> None:
    with pytest.raises(BadAnswer):
        talk(wish(None), token(token=value))


def test_scopes_are_merged_and_sorted() -> None:
    assert merge_scopes(["repository:b:push", "repository:b:pull repository:a:pull", "repository:b:pull"]) == (
        "repository:a:pull",
        "repository:b:pull,push",
    )
    assert merge_scopes([""]) == ()


@pytest.mark.parametrize(
    ("registry", "realm", "trusted"),
    [
        ("registry-1.docker.io", "https://auth.docker.io/token", True),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("r.example.com:5000", "https://r.example.com:5001/auth", True),
        ("r.example.com", "https://example.org/auth", False),
        ("r.example.com", "https://r.example.com.evil.org/auth", False),
        ("registry.com", "https://evil.com/auth", False),
        ("127.0.0.1:5000", "http://127.0.0.1:6000/token", True),
        ("127.0.0.1:5000", "http://127.0.0.2:5000/token", False),
        ("10.0.0.1", "http://11.0.0.1/token", False),
        ("[::1]:5000", "https://[::2]:5000/token", False),
        ("localhost:5000", "http://localhost/token", True),
        ("r.example.com", "https://allowed.example.org/auth", True),
        ("r.example.com", "https://r.example.com@evil.org/auth", False),
    ],
)
def test_which_token_services_may_see_a_password(registry: str, realm: str, trusted: bool) -> None:
    assert trusted_realm(registry, realm, ("allowed.example.org",)) is trusted


def test_nothing_shows_a_secret() -> None:
    secret = Credential("me", "s3cret", identity_token="s3cret", registry_token="s3cret")
    requests, _ = talk(wish(LOGIN), TokenAnswer(404, b""), token(token="t0ken"))
    shown = [secret, {"a": secret}, *requests, Token("s3cret", 1.0), TokenAnswer(200, b"s3cret"), wish(secret)]
    text = f"{shown!r} {shown}"
    for hidden in ("s3cret", "t0ken", basic(LOGIN)):
        assert hidden not in text
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_credentials_are_values() -> None:
    assert Credential("a", "b") == Credential("a", "b") != Credential("a", "c")
    assert len({Credential("a", "b"), Credential("a", "b")}) == 1
    assert not Credential()
