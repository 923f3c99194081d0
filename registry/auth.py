"""Challenges and tokens: how a registry asks who we are, and what we answer. Pure.

Sources: RFC 7235 (challenges), RFC 7617 (basic), distribution's token and OAuth2 specifications (docs/spec/auth).
``fetch_token`` talks to nobody: it yields requests, is sent the answers, and returns a token.
"""

import base64
import json
import re
from collections.abc import Generator, Iterable, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

from layers.tuples import NamedTuple
from registry.errors import (
    Action,
    BadAnswer,
    RegistryError,
    Where,
    login_needed,
    printable,
    redact,
    said,
    wrong_credential,
)

CLIENT_ID = "pybuild"
DEFAULT_LIFE = 60.0
"""Seconds a token lives that does not say (token specification, "expires_in")."""
_SPENT = 0.9
"""Of a token's life; it is not used after that, so that it does not end while a request is on its way."""
_MAX_LIFE = 86400.0
_PARAMETER = re.compile(r'([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[!#$%&\'*+.^_`|~0-9A-Za-z:/?=@-]+)')
_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_POST = frozenset({400, 401, 403, 404, 405, 406, 415, 501})


class Credential:
    """What proves who we are to one registry. Never shown: ``repr`` has the user name only.

    ``password`` goes with ``username``; ``identity_token`` is an OAuth2 refresh token; ``registry_token`` is a
    bearer token to be sent as it is.
    """

    __slots__ = ("identity_token", "password", "registry_token", "username")

    def __init__(
        self, username: str = "", password: str = "", *, identity_token: str = "", registry_token: str = ""
    ) -> None:
        self.username = username
        self.password = password
        self.identity_token = identity_token
        self.registry_token = registry_token

    def _fields(self) -> tuple[str, str, str, str]:
        return self.username, self.password, self.identity_token, self.registry_token

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credential) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __bool__(self) -> bool:
        return any(self._fields())

    def __repr__(self) -> str:
        return f"Credential({self.username!r}, hidden)"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a credential is not to be pickled")


class Challenge(NamedTuple):
    """One challenge of a WWW-Authenticate header; ``scheme`` and the names of ``parameters`` in lower case."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return dict(self.parameters).get(name, "")


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """All challenges of a header (several headers joined by commas); what cannot be read is passed over."""
    found: list[Challenge] = []
    position = 0
    while position < len(header):
        while position < len(header) and header[position] in ", \t":
            position += 1
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            break
        position = scheme.end()
        parameters = []
        while True:
            gap = re.compile(r"[\s,]*").match(header, position)
            start = gap.end() if gap else position
            parameter = _PARAMETER.match(header, start)
            if parameter is None:
                break
            parameters.append((parameter[1].lower(), _unquote(parameter[2])))
            position = parameter.end()
        found.append(Challenge(scheme[0].lower(), tuple(parameters)))
    return tuple(found)


def _unquote(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def basic(credential: Credential) -> str:
    """The Authorization header of RFC 7617, in UTF-8."""
    return "Basic " + base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()


def repository_scope(repository: str, *actions: str) -> str:
    return f"repository:{repository}:{','.join(actions)}"


def merge_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """One scope per resource with all its actions; sorted, so that equal wishes are equal."""
    wanted: dict[str, set[str]] = {}
    for scope in " ".join(scopes).split():
        resource, _, actions = scope.rpartition(":")
        wanted.setdefault(resource, set()).update(filter(None, actions.split(",")))
    return tuple(f"{resource}:{','.join(sorted(actions))}" for resource, actions in sorted(wanted.items()))


class Token:
    """A bearer token; ``repr`` hides it. Times in seconds of the clock that ``fetch_token`` was given."""

    __slots__ = ("good_until", "refresh_token", "value")

    def __init__(self, value: str, good_until: float, refresh_token: str = "") -> None:
        self.value = value
        self.good_until = good_until
        self.refresh_token = refresh_token

    def good(self, now: float) -> bool:
        return now < self.good_until

    def __repr__(self) -> str:
        return f"Token(hidden, good until {self.good_until:.0f})"


class TokenRequest(NamedTuple):
    """To be sent as it is, following no redirect to another host. ``secret``: it carries a credential."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    secret: bool

    def __repr__(self) -> str:
        return f"TokenRequest({self.method} {redact(self.url)}, hidden)"


class TokenAnswer(NamedTuple):
    status: int
    body: bytes

    def __repr__(self) -> str:
        return f"TokenAnswer({self.status}, hidden)"


class TokenWish(NamedTuple):
    """What ``fetch_token`` needs to know. ``host`` is named in errors; ``offline``: ask for a refresh token too."""

    host: str
    realm: str
    service: str
    scopes: Sequence[str]
    credential: Credential | None
    offline: bool = False


def fetch_token(wish: TokenWish, now: float) -> Generator[TokenRequest, TokenAnswer, Token]:
    """A token for ``wish``, by OAuth2 (POST) if there is a credential, else or if that fails by GET.

    ``now`` is the time before the first request: lives are counted from it, whatever the server's clock says.
    Raises WrongCredential, and BadAnswer for answers that hold no token.
    """
    credential = wish.credential or Credential()
    if credential.registry_token:
        return Token(credential.registry_token, now + DEFAULT_LIFE)
    if credential:
        answer = yield _oauth2(wish, credential)
        if answer.status == 200:
            return _token(wish, answer.body, now)
        if credential.identity_token or answer.status not in _NO_POST:
            raise _refused(wish, answer)
    answer = yield _get(wish, credential)
    if answer.status == 200:
        return _token(wish, answer.body, now)
    raise _refused(wish, answer)


def _oauth2(wish: TokenWish, credential: Credential) -> TokenRequest:
    form = {"service": wish.service, "client_id": CLIENT_ID}
    if wish.scopes:
        form["scope"] = " ".join(wish.scopes)
    if credential.identity_token:
        form |= {"grant_type": "refresh_token", "refresh_token": credential.identity_token}
    else:
        form |= {"grant_type": "password", "username": credential.username, "password": credential.password}
        if wish.offline:
            form["access_type"] = "offline"
    headers = (("Content-Type", "application/x-www-form-urlencoded"),)
    return TokenRequest("POST", wish.realm, headers, urlencode(form).encode(), secret=True)


def _get(wish: TokenWish, credential: Credential) -> TokenRequest:
    query = [("scope", scope) for scope in wish.scopes]
    if wish.service:
        query.insert(0, ("service", wish.service))
    if wish.offline:
        query += [("offline_token", "true"), ("client_id", CLIENT_ID)]
    if credential.username:
        query.append(("account", credential.username))
    separator = "&" if urlsplit(wish.realm).query else "?"
    url = wish.realm + (separator + urlencode(query) if query else "")
    secret = bool(credential)
    return TokenRequest("GET", url, (("Authorization", basic(credential)),) if secret else (), None, secret)


def _token(wish: TokenWish, body: bytes, now: float) -> Token:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadAnswer(f"the token service of {wish.host} sent no JSON object", where=Where(wish.realm))
    value = document.get("access_token") or document.get("token")
    # Visible ASCII only: anything else could end the header it is put in.
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]+", value):
        raise BadAnswer(f"the token service of {wish.host} sent no token", where=Where(wish.realm))
    life = document.get("expires_in")
    seconds = float(life) if isinstance(life, int | float) and 0 < life <= _MAX_LIFE else DEFAULT_LIFE
    refresh = document.get("refresh_token")
    return Token(value, now + seconds * _SPENT, refresh if isinstance(refresh, str) else "")


def _refused(wish: TokenWish, answer: TokenAnswer) -> RegistryError:
    more = "; ".join(message for _, message in said(answer.body) if message)
    where = Where(wish.realm, answer.status)
    if wish.credential and answer.status in {400, 401, 403}:
        return wrong_credential(wish.host, wish.credential.username, more, where)
    if answer.status in {401, 403}:
        # Some services give nobody a token that allows nothing, as others do.
        return login_needed(Action("pull", wish.host), where)
    temporary = answer.status >= 500 or answer.status == 429
    return BadAnswer(
        f"the token service of {wish.host} answered {answer.status}" + (f': "{printable(more)}"' if more else ""),
        where=where,
        temporary=temporary,
    )


def trusted_realm(registry: str, realm: str, allowed: Sequence[str] = ()) -> bool:
    """Whether the token service at ``realm`` may be shown the credentials of ``registry`` (a host, port allowed).

    It may when it is the same host, shares the registry's domain (``auth.docker.io`` and ``registry-1.docker.io``)
    or is in ``allowed``: a registry that was broken into must not be able to send passwords elsewhere.
    """
    ours, theirs = urlsplit(f"//{registry}").hostname or "", urlsplit(realm).hostname or ""
    if theirs in allowed or ours == theirs:
        return True
    ours_parts, their_parts = ours.split("."), theirs.split(".")
    if ":" in ours + theirs or ours_parts[-1].isdigit() or their_parts[-1].isdigit():
        return False
    shared = 0
    while shared < min(len(ours_parts), len(their_parts)) and ours_parts[-1 - shared] == their_parts[-1 - shared]:
        shared += 1
    return shared >= 2
