"""The Authorization header for one registry: remembers its challenge, our credential and the tokens.

A credential is asked for again after CREDENTIAL_LIFE_S, when it is refused, and before a push is sealed (``renew``).
"""

import threading
from collections.abc import Callable, Sequence

from layers.tuples import NamedTuple
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
)
from registry.errors import BadAnswer, WrongCredential, wrong_credential

CREDENTIAL_LIFE_S = 300.0
_MAX_TOKENS = 200

Scopes = tuple[str, ...]


class Grant(NamedTuple):
    """``header`` to send, None for nothing; ``fresh``: its token was made for this very request."""

    header: str | None
    fresh: bool = False

    def __repr__(self) -> str:
        return "Grant(hidden)" if self.header else "Grant(None)"


class Authorizer:
    """Safe to use from many threads; they wait for one another while a token is fetched."""

    def __init__(
        self,
        host: str,
        lookup: Callable[[], Credential | None],
        ask: Callable[[TokenRequest], TokenAnswer],
        now: Callable[[], float],
    ) -> None:
        self._host = host
        self._lookup = lookup
        self._ask = ask
        self._now = now
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._credential: Credential | None = None
        self._asked_at: float | None = None
        self._proved = False
        self._tokens: dict[Scopes, Token] = {}
        self._wider: dict[Scopes, Scopes] = {}

    def learn(self, header: str) -> None:
        """From the WWW-Authenticate header of an answer with status 401; tokens are preferred to passwords."""
        challenges = {challenge.scheme: challenge for challenge in reversed(parse_challenges(header))}
        with self._lock:
            self._challenge = challenges.get("bearer") or challenges.get("basic") or self._challenge

    def grant(self, scopes: Sequence[str], *, offline: bool = False) -> Grant:
        """What to send with a request that needs ``scopes``. Raises WrongCredential and what the token service does."""
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return Grant(None)
            if challenge.scheme == "basic":
                credential = self._known()
                return Grant(basic(credential)) if credential and credential.password else Grant(None)
            wanted = merge_scopes((*scopes, *self._wider.get(tuple(scopes), ())))
            token = self._tokens.get(wanted)
            fresh = token is None or not token.good(self._now())
            if token is None or fresh:
                token = self._fetched(challenge, wanted, offline=offline)
            return Grant(f"Bearer {token.value}", fresh)

    def refused(self, grant: Grant, scopes: Sequence[str], header: str) -> bool:
        """After an answer with status 401 to ``grant``: whether another try makes sense. Raises WrongCredential."""
        with self._lock:
            self.learn(header)
            challenge = self._challenge
            if grant.header is None:
                return challenge is not None and (challenge.scheme == "bearer" or self._has_password())
            if grant.header.startswith("Basic "):
                return self._refused_password(challenge)
            self._tokens = {key: token for key, token in self._tokens.items() if not grant.header.endswith(token.value)}
            asked = merge_scopes((challenge.get("scope"),)) if challenge is not None else ()
            before = self._wider.get(tuple(scopes), ())
            if not set(asked) <= {*merge_scopes(scopes), *before} and len(before) < 8:
                self._wider[tuple(scopes)] = merge_scopes((*before, *asked))
                return merge_scopes((*scopes, *before)) != merge_scopes((*scopes, *before, *asked)) or not grant.fresh
            return not grant.fresh

    def _has_password(self) -> bool:
        """False for nobody. Raises WrongCredential for a token, or an empty password, where a password is asked for."""
        known = self._known()
        if known and not known.password:
            is_token = known.identity_token or known.registry_token
            raise wrong_credential(self._host, "" if is_token else known.username)
        return bool(known)

    def _refused_password(self, challenge: Challenge | None) -> bool:
        if challenge is not None and challenge.scheme == "bearer":
            return True
        refused = self._credential
        self._forget_credential()
        found = self._known()
        if found is not None and found != refused:
            return True
        if self._proved:
            return False  # accepted elsewhere: it is a permission that is missing
        raise wrong_credential(self._host, refused.username if refused else "")

    def accepted(self, grant: Grant) -> None:
        """After an answer that was not a refusal of ``grant``."""
        if grant.header is not None:
            self._proved = True

    def renew(self) -> None:
        """Forgets tokens and credential: both are asked for anew when next needed."""
        with self._lock:
            self._tokens.clear()
            self._forget_credential()

    @property
    def known(self) -> bool:
        """Whether there is a credential for this registry."""
        with self._lock:
            return bool(self._known())

    def refresh_token(self) -> str:
        """The refresh token that came with a token, "" if none did."""
        with self._lock:
            return next((token.refresh_token for token in self._tokens.values() if token.refresh_token), "")

    def _known(self) -> Credential | None:
        now = self._now()
        if self._asked_at is None or now - self._asked_at > CREDENTIAL_LIFE_S:
            self._credential = self._lookup()
            self._asked_at = now
        return self._credential

    def _forget_credential(self) -> None:
        self._asked_at = None

    def _fetched(self, challenge: Challenge, scopes: Scopes, *, offline: bool) -> Token:
        remembered = self._asked_at is not None
        credential = self._known()
        try:
            token = self._run(challenge, scopes, credential, offline=offline)
        except WrongCredential:
            self._forget_credential()
            again = self._known() if remembered else None
            if again is None or again == credential:
                raise
            token = self._run(challenge, scopes, again, offline=offline)
        if len(self._tokens) >= _MAX_TOKENS:
            self._tokens.clear()
        self._tokens[scopes] = token
        return token

    def _run(self, challenge: Challenge, scopes: Scopes, credential: Credential | None, *, offline: bool) -> Token:
        realm, service = challenge.get("realm"), challenge.get("service")
        if not realm:
            raise BadAnswer(f"{self._host} asks for a token, but not where to get it")
        flow = fetch_token(TokenWish(self._host, realm, service, scopes, credential, offline), self._now())
        try:
            request = next(flow)
            while True:
                request = flow.send(self._ask(request))
        except StopIteration as done:
            token: Token = done.value
            return token
