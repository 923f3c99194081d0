"""What can go wrong with a registry, and what to do about it. Pure.

RegistryError         what a registry answered or did; ``temporary`` says whether trying again may help
├── LoginNeeded       it asks who we are, and there is no credential for it
├── WrongCredential   it refuses the user name, password or token it was given
├── Denied            it knows us, and does not let us do this
├── UnknownName       no such repository, tag, manifest or blob
├── Unreachable       no connection, or it broke, or nothing came in time
├── Untrusted         its certificate is not to be trusted, or it does not trust ours
│   └── NotTls        it does not speak TLS at all
├── RateLimited       too many requests, and the wait it asks for is too long
└── BadAnswer         what it sent breaks the protocol, or is too large

CredentialError       a file of credentials or a helper that does not work
SettingsError         a file of registry settings that cannot be used
Stopped               a transfer that was ended because another failed, or by the caller

Bodies of errors: distribution-spec, "Error Codes". Texts that come from a registry pass through ``printable``.
"""

import json
import re
from typing import Any

from layers.errors import PybuildError
from layers.tuples import NamedTuple

_MAX_TEXT = 300
_USERINFO = r"(?<=://)[^/@?#]*@"
_CONTROL = r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+"
_UNKNOWN_CODES = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
_DENIED_CODES = frozenset({"DENIED", "INSUFFICIENT_SCOPE"})
_TEMPORARY = frozenset({408, 425, 429})


class Where(NamedTuple):
    """What was asked, and the status and error codes of the answer, if one came."""

    url: str = ""
    status: int | None = None
    codes: tuple[str, ...] = ()


NOWHERE = Where()


class RegistryError(PybuildError):
    """``where.url`` has no user name, password or query."""

    code = "registry"

    def __init__(
        self, message: str, *, hint: str | None = None, where: Where = NOWHERE, temporary: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.where = where._replace(url=redact(where.url))
        self.temporary = temporary


class LoginNeeded(RegistryError):
    code = "login-needed"


class WrongCredential(RegistryError):
    code = "wrong-credential"


class Denied(RegistryError):
    code = "denied"


class UnknownName(RegistryError):
    code = "unknown-name"


class Unreachable(RegistryError):
    code = "unreachable"


class Untrusted(RegistryError):
    code = "untrusted"


class NotTls(Untrusted):
    code = "not-tls"


class RateLimited(RegistryError):
    code = "rate-limited"


class BadAnswer(RegistryError):
    code = "bad-answer"


class CredentialError(PybuildError):
    code = "credentials"


class SettingsError(PybuildError):
    code = "registry-settings"


class Stopped(PybuildError):
    code = "stopped"

    def __init__(self) -> None:
        super().__init__("the transfer was stopped")


class Action(NamedTuple):
    """What was done, for messages. ``verb``: ``pull``, ``push to``, ``log in to``; ``host`` as people write it."""

    verb: str
    host: str
    repository: str = ""
    subject: str = ""

    @property
    def name(self) -> str:
        return f"{self.host}/{self.repository}" if self.repository else self.host


def redact(url: str) -> str:
    """Without what may be secret: user name, password, query and fragment."""
    return printable(re.sub(_USERINFO, "", url).partition("?")[0].partition("#")[0])


def printable(text: str) -> str:
    """On one line, bounded, without what could steer a terminal."""
    plain = re.sub(_CONTROL, " ", text).strip()
    return plain if len(plain) <= _MAX_TEXT else plain[:_MAX_TEXT] + "…"


def said(body: bytes) -> tuple[tuple[str, str], ...]:
    """Codes and messages in the body of an error; () when it holds none."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    errors = document.get("errors") if isinstance(document, dict) else None
    if not isinstance(errors, list):
        return ()
    return tuple(
        (printable(str(error.get("code", ""))).upper(), printable(str(error.get("message") or "")))
        for error in errors[:5]
        if isinstance(error, dict)
    )


def login_hint(host: str) -> str:
    return f"run 'pybuild login {host}'"


def of_answer(action: Action, status: int, body: bytes, url: str, *, known: bool) -> RegistryError:
    """The error for an answer nobody wanted. ``known``: a credential went with the request."""
    found = said(body)
    codes = tuple(code for code, _ in found)
    more = "; ".join(dict.fromkeys(message for _, message in found if message))
    where = Where(url, status, codes)
    if status == 401 and not known:
        return login_needed(action, where)
    if status in {401, 403} or _DENIED_CODES & set(codes):
        return denied(action, more, where, known=known)
    if status == 404 or _UNKNOWN_CODES & set(codes):
        return _unknown(action, where)
    if status == 429:
        return RateLimited(
            f"{action.host} allows no more requests for now{_quoted(more)}",
            hint=f"wait some minutes, or log in for a higher limit: 'pybuild login {action.host}'",
            where=where,
        )
    temporary = status >= 500 or status in _TEMPORARY
    hint = "the registry has trouble of its own: try again later" if temporary else None
    if status == 405 and action.verb == "push to":
        hint = "it takes no pushes: it may be read-only for now, or a mirror; push to another registry"
    return RegistryError(
        f"{action.host} answered {status} to {_doing(action)}{_quoted(more)}",
        hint=hint,
        temporary=temporary,
        where=where,
    )


def _doing(action: Action) -> str:
    return f"the request to {action.verb} {action.repository or action.host}{action.subject and ' '}{action.subject}"


def _quoted(text: str) -> str:
    return f': "{text}"' if text else ""


def login_needed(action: Action, where: Where) -> LoginNeeded:
    what = f" to {action.verb} {action.repository}" if action.repository else ""
    hint = login_hint(action.host)
    if action.verb == "pull":
        # Docker's Hub answers so for names that do not exist, too.
        hint = f"check the name; if the repository is private, {hint}"
    return LoginNeeded(f"{action.host} wants to know who you are{what}", hint=hint, where=where)


def wrong_credential(host: str, user: str, more: str = "", where: Where = NOWHERE) -> WrongCredential:
    """``user`` is the user name, "" for a token without one."""
    who = f"the password of user {printable(user)!r}" if user else "the token it was given"
    return WrongCredential(
        f"{host} does not accept {who}{_quoted(more)}", hint=f"{login_hint(host)} with the right password", where=where
    )


def denied(action: Action, more: str, where: Where, *, known: bool) -> Denied:
    if known:
        hint = (
            f"ask its owner for the right to {action.verb} it, or log in as another user: 'pybuild login {action.host}'"
        )
    else:
        hint = f"check the name; if the repository is private, {login_hint(action.host)}"
    return Denied(f"no permission to {action.verb} {action.name}{_quoted(more)}", hint=hint, where=where)


def _unknown(action: Action, where: Where) -> UnknownName:
    if "NAME_UNKNOWN" in where.codes:
        return UnknownName(
            f"{action.host} has no repository {action.repository}", hint="check the spelling of the name", where=where
        )
    return UnknownName(
        f"{action.name} has no {action.subject or 'such content'}",
        hint="check the spelling of the name and the tag, and that it was pushed",
        where=where,
    )


def too_large(host: str, what: str, limit: int, url: str = "") -> BadAnswer:
    return BadAnswer(
        f"{host} sent {what} of more than {limit} bytes",
        hint="the registry is broken or hostile: nothing of it was kept",
        where=Where(url),
    )
