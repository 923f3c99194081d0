import pytest

from registry.auth import Credential, TokenAnswer, TokenRequest
from registry.authorizer import CREDENTIAL_LIFE_S, Authorizer
from registry.errors import WrongCredential


class Helper:
    """Counts how often it is asked."""

    def __init__(self, *answers: Credential | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self) -> Credential | None:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


def nobody(request: TokenRequest) -> TokenAnswer:
    raise AssertionError(f"no token is needed: {request}")


def test_a_credential_is_asked_for_again_after_a_while() -> None:
    now = [0.0]
    helper = Helper(Credential("me", "1"), Credential("me", "2"))
    ours = Authorizer("r.example", helper, nobody, lambda: now[0])
    ours.learn("Basic realm=x")
    first = ours.grant(())
    now[0] = CREDENTIAL_LIFE_S
    assert ours.grant(()) == first
    assert helper.asked == 1
    now[0] += 1
    assert ours.grant(()) != first
    assert helper.asked == 2


def test_nothing_is_sent_before_it_is_asked_for() -> None:
    helper = Helper(Credential("me", "1"))
    ours = Authorizer("r.example", helper, nobody, lambda: 0.0)
    assert ours.grant(("repository:x:pull",)).header is None
    assert helper.asked == 0


def test_a_challenge_we_do_not_know() -> None:
    ours = Authorizer("r.example", Helper(None), nobody, lambda: 0.0)
    ours.learn("Negotiate")
    assert ours.grant(()).header is None
    assert not ours.refused(ours.grant(()), (), "Negotiate")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (Credential("me"), "does not accept the password of user 'me'"),
        (Credential("me", identity_token="t"), "does not accept the token it was given"),
        (Credential(registry_token="t"), "does not accept the token it was given"),
    ],
)
def test_a_password_is_asked_for_and_there_is_none(known: Credential, said: str) -> None:
    """Not a missing permission, which somebody else would have to give."""
    ours = Authorizer("r.example", Helper(known), nobody, lambda: 0.0)
    ours.learn("Basic realm=x")
    with pytest.raises(WrongCredential, match=said):
        ours.refused(ours.grant(()), (), "Basic realm=x")


def test_tokens_are_preferred_to_passwords() -> None:
    asked: list[TokenRequest] = []

    def service(request: TokenRequest) -> TokenAnswer:
        asked.append(request)
        return TokenAnswer(200, b'{"token":"t"}')

    ours = Authorizer("r.example", Helper(None), service, lambda: 0.0)
    ours.learn('Basic realm="x", Bearer realm="https://r.example/token"')
    assert ours.grant(("a:b:pull",)).header == "Bearer t"
    assert ours.grant(("a:b:pull",)).header == "Bearer t"
    assert ours.grant(("a:c:pull",)).header == "Bearer t"
    assert len(asked) == 2


def test_an_identity_token_is_no_password() -> None:
    ours = Authorizer("r.example", Helper(Credential(identity_token="id")), nobody, lambda: 0.0)
    ours.learn("Basic realm=x")
    assert ours.grant(()).header is None


def test_a_password_that_was_accepted_once_is_not_called_wrong() -> None:
    """Some registries answer 401 where a permission is missing."""
    ours = Authorizer("r.example", Helper(Credential("me", "1")), nobody, lambda: 0.0)
    ours.learn("Basic realm=x")
    grant = ours.grant(())
    ours.accepted(grant)
    assert not ours.refused(grant, (), "Basic realm=x")


def test_grants_are_not_shown() -> None:
    ours = Authorizer("r.example", Helper(Credential("me", "1")), nobody, lambda: 0.0)
    ours.learn("Basic realm=x")
    assert repr(ours.grant(())) == "Grant(hidden)"
