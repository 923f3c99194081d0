import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.sandbox.spec import Identity
from builder.sandbox.users import MAX_ID, UserError, has_names, identify, owner

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
app:x:1000:1001:App,,,:/home/app:/bin/sh
alias:x:1000:50::/elsewhere:/bin/sh
nohome:x:7:7
123:x:55:56::/digits:/bin/sh
broken:x:zero:zero::/broken:/bin/sh
huge:x:99999999999999999999:1::/huge:/bin/sh
"""
GROUP = b"""root:x:0:
daemon:x:1:
app:x:1001:
audio:x:29:app,daemon
video:x:44:app
nobodys:x:45:
"""


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0,), "/root")),
        ("root", Identity(0, 0, (0,), "/root")),
        ("app", Identity(1000, 1001, (1001, 29, 44), "/home/app")),
        ("1000", Identity(1000, 1001, (1001, 29, 44), "/home/app")),
        ("app:", Identity(1000, 1001, (1001, 29, 44), "/home/app")),
        ("app:video", Identity(1000, 44, (44,), "/home/app")),
        ("app:7", Identity(1000, 7, (7,), "/home/app")),
        ("1000:1000", Identity(1000, 1000, (1000,), "/home/app")),
        ("alias", Identity(1000, 50, (50,), "/home/app")),
        ("4242", Identity(4242, 0, (0,), "/")),
        ("4242:audio", Identity(4242, 29, (29,), "/")),
        ("nohome", Identity(7, 7, (7,), "/")),
        ("123", Identity(123, 0, (0,), "/")),
        (":audio", Identity(0, 29, (29,), "/root")),
        (str(MAX_ID), Identity(MAX_ID, 0, (0,), "/")),
    ],
)
def test_identify(user: str, expected: Identity) -> None:
    assert identify(user, PASSWD, GROUP) == expected


def test_root_of_an_empty_root_filesystem() -> None:
    assert identify("", b"", b"") == Identity(0, 0, (0,), "/")


@pytest.mark.parametrize(
    ("user", "unknown"),
    [
        ("ghost", "ghost"),
        ("app:ghosts", "ghosts"),
        ("ghost:0", "ghost"),
        ("broken", "broken"),
        ("huge", "huge"),
        ("4294967295", "4294967295"),
        ("0:4294967295", "4294967295"),
        ("1" * 5000, "1" * 5000),
        ("\u0661", "\u0661"),
    ],
)
def test_who_cannot_be_found_is_named(user: str, unknown: str) -> None:
    with pytest.raises(UserError) as caught:
        identify(user, PASSWD, GROUP)
    assert caught.value.name == unknown
    assert unknown[:32] in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1000", (1000, 1000)),
        ("app", (1000, 1001)),
        ("app:", (1000, 0)),
        (":7", (0, 7)),
        (":audio", (0, 29)),
        ("app:audio", (1000, 29)),
        ("5:6", (5, 6)),
        ("ghost", (0, 0)),
        ("ghost:audio", (0, 29)),
        ("ghost:7", (0, 7)),
        ("app:ghosts", (1000, 1001)),
        ("1000:ghosts", (1000, 1000)),
        ("", (0, 0)),
    ],
)
def test_owner(spec: str, expected: tuple[int, int]) -> None:
    assert owner(spec, PASSWD, GROUP) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("5:6", False), ("", False), (":7", False), ("app", True), ("5:audio", True), (":audio", True)],
)
def test_has_names(spec: str, expected: bool) -> None:
    assert has_names(spec) is expected


def test_owner_refuses_ids_out_of_range() -> None:
    for spec in ("4294967295", "1:4294967295"):
        with pytest.raises(UserError):
            owner(spec, PASSWD, GROUP)


@given(st.text(max_size=20), st.binary(max_size=200), st.binary(max_size=200))
def test_any_file_gives_an_identity_or_a_user_error(user: str, passwd: bytes, group: bytes) -> None:
    try:
        found = identify(user, passwd, group)
    except UserError:
        return
    assert 0 <= found.uid <= MAX_ID
    assert found.gid in found.groups
    assert found.home
