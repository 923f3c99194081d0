import json

import pytest

from registry.errors import (
    Action,
    Denied,
    LoginNeeded,
    RateLimited,
    RegistryError,
    UnknownName,
    of_answer,
    printable,
    redact,
    said,
)

PULL = Action("pull", "r.example", "team/app", "tag 9")
PUSH = Action("push to", "r.example", "team/app")


def body(code: str, message: str = "") -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("action", "status", "data", "known", "kind", "message"),
    [
        (PULL, 401, b"", False, LoginNeeded, "r.example wants to know who you are to pull team/app"),
        (PULL, 401, b"", True, Denied, "no permission to pull r.example/team/app"),
        (PUSH, 403, b"", True, Denied, "no permission to push to r.example/team/app"),
        (PUSH, 400, body("DENIED", "quota"), True, Denied, 'no permission to push to r.example/team/app: "quota"'),
        (PULL, 404, b"", True, UnknownName, "r.example/team/app has no tag 9"),
        (PULL, 404, body("NAME_UNKNOWN"), True, UnknownName, "r.example has no repository team/app"),
        (PULL, 429, b"", True, RateLimited, "r.example allows no more requests for now"),
        (PULL, 418, b"", True, RegistryError, "r.example answered 418 to the request to pull team/app tag 9"),
        (PUSH, 405, b"", True, RegistryError, "r.example answered 405 to the request to push to team/app"),
        (PULL, 500, b"<html>", True, RegistryError, "r.example answered 500 to the request to pull team/app tag 9"),
    ],
)
def test_of_answer(
    *, action: Action, status: int, data: bytes, known: bool, kind: type[RegistryError], message: str
) -> None:
    found = of_answer(action, status, data, "https://u:p@r.example/v2/x?secret=1#f", known=known)
    assert type(found) is kind
    assert found.message == message
    assert found.where.url == "https://r.example/v2/x"
    assert found.where.status == status
    assert found.temporary == (status == 500)
    assert found.hint is not None or status == 418


def test_hints_of_denials() -> None:
    known = of_answer(PUSH, 403, b"", "", known=True).hint
    unknown = of_answer(PUSH, 403, b"", "", known=False).hint
    assert known == "ask its owner for the right to push to it, or log in as another user: 'pybuild login r.example'"
    assert unknown == "check the name; if the repository is private, run 'pybuild login r.example'"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"errors":5}', b'{"errors":[5]}', b"\xff", b"[" * 100_000])
def test_bodies_that_say_nothing(data: bytes) -> None:
    assert said(data) == ()


def test_only_some_of_many_errors_are_told() -> None:
    assert len(said(json.dumps({"errors": [{"code": "A", "message": "m"}] * 1000}).encode())) == 5


def test_printable() -> None:
    assert printable("a\x1b[31m\r\nb\u202ec ") == "a [31m b c"
    assert len(printable("x" * 10_000)) == 301


def test_redact() -> None:
    assert redact("https://user:secret@host/path?token=secret#x") == "https://host/path"
