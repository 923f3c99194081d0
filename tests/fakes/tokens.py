"""The fake registry's way of asking who is there: nobody, basic, or bearer tokens with OAuth2."""

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs


@dataclass
class Gate:
    """``kind``: none, basic or bearer. ``users`` by name; ``writers`` may push, and everybody when it is None.
    ``deleters``: who may delete, even a broken upload; few may.

    ``private``: without a password not even a pull. ``life``: seconds of a token. ``oauth2``: whether POST is known.
    ``realm``: where tokens are to be had, "" for this very server. Times are of the monotonic clock.
    """

    kind: str = "none"
    users: dict[str, str] = field(default_factory=dict)
    writers: frozenset[str] | None = None
    deleters: frozenset[str] = frozenset()
    private: bool = True
    life: float = 300.0
    oauth2: bool = True
    realm: str = ""
    say_life: bool = True
    refresh: dict[str, str] = field(default_factory=dict)
    issued: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def challenge(self, base: str, scope: str) -> str:
        if self.kind == "basic":
            return 'Basic realm="fake"'
        wanted = f',scope="{scope}"' if scope else ""
        return f'Bearer realm="{self.realm or base + "/token"}",service="fake, with a comma"{wanted}'

    def open(self, authorization: str, scope: str) -> bool:
        """Whether a request that needs ``scope`` ("" for any user) may pass."""
        kind, _, value = authorization.partition(" ")
        if self.kind == "none":
            return True
        if self.kind == "basic":
            return kind == "Basic" and self._user(value) is not None
        with self.lock:
            until, granted = self.issued.get(value, (0.0, frozenset()))
        return kind == "Bearer" and time.monotonic() < until and (not scope or _split(scope) <= granted)

    def token(self, method: str, query: str, body: bytes, authorization: str) -> tuple[int, bytes]:
        """Answers GET and POST of the token service."""
        if method == "POST" and not self.oauth2:
            return 405, b"{}"
        fields = parse_qs(body.decode() if method == "POST" else query)
        one = {name: values[0] for name, values in fields.items()}
        if method == "POST":
            user = self._oauth2_user(one)
        else:
            user = self._user(authorization.partition(" ")[2]) if authorization else ""
        if user is None:
            return 401, b'{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}'
        granted: frozenset[str] = frozenset().union(
            *(_split(scope) for scope in " ".join(fields.get("scope", [])).split())
        )
        if not user and self.private:
            granted = frozenset()
        if not user or (self.writers is not None and user not in self.writers):
            granted = frozenset(part for part in granted if part.endswith(":pull"))
        if user not in self.deleters:
            granted = frozenset(part for part in granted if not part.endswith(":delete"))
        value = secrets.token_urlsafe(16)
        with self.lock:
            self.issued[value] = (time.monotonic() + self.life, granted)
        answer: dict[str, object] = {"access_token" if method == "POST" else "token": value}
        if self.say_life:
            answer["expires_in"] = self.life
        if self.oauth2 and (one.get("access_type") == "offline" or one.get("offline_token")):
            answer["refresh_token"] = secrets.token_urlsafe(8)
            self.refresh[str(answer["refresh_token"])] = user
        return 200, json.dumps(answer).encode()

    def _oauth2_user(self, one: dict[str, str]) -> str | None:
        if one.get("grant_type") == "refresh_token":
            return self.refresh.get(one.get("refresh_token", ""))
        name = one.get("username", "")
        return name if name in self.users and self.users[name] == one.get("password") else None

    def _user(self, encoded: str) -> str | None:
        try:
            name, _, password = base64.b64decode(encoded).decode().partition(":")
        except ValueError:
            return None
        return name if name in self.users and self.users[name] == password else None


def _split(scope: str) -> frozenset[str]:
    resource, _, actions = scope.rpartition(":")
    return frozenset(f"{resource}:{action}" for action in actions.split(",") if action)
