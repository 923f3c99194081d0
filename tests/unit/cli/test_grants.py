"""``--secret``, ``--ssh``, ``--allow`` and ``--network``."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.cli.grants import parse_grants
from builder.grants import AgentSource, Grants
from builder.settings import FlagError, Host

NOTHING: Mapping[str, object] = {"secret": (), "ssh": (), "allow": (), "network": None}


def grants(tmp_path: Path, environ: Mapping[str, str] | None = None, **given: object) -> Grants:
    host = Host(environ=environ or {}, cwd=str(tmp_path), machine="x86_64", admin=True)
    return parse_grants({**NOTHING, **given}, host)


def secrets(tmp_path: Path, *texts: str, **environ: str) -> list[tuple[str, str | None, bytes | None]]:
    found = grants(tmp_path, environ, secret=texts).secrets
    return [(source.id, source.path and Path(source.path).name, source.value) for source in found]


def test_nothing(tmp_path: Path) -> None:
    assert grants(tmp_path) == Grants()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id=f,src=file", ("f", "file", None)),
        ("ID=f,source=file,type=file", ("f", "file", None)),
        ("id=f,src=./file", ("f", "file", None)),
        ("id=f,env=VALUE", ("f", None, b"v")),
        ("id=f,env=UNSET", ("f", None, b"")),
        ("id=f,env=VALUE,src=file", ("f", None, b"v")),
        ("id=f,type=file,env=UNSET,src=file", ("f", None, b"")),
        ("id=f,type=env,src=VALUE", ("f", None, b"v")),
        ("id=VALUE", ("VALUE", None, b"v")),
        ("id=file", ("file", "file", None)),
        ('id=f,"src=a,b"', ("f", "a,b", None)),
    ],
)
def test_secrets(text: str, expected: tuple[str, str | None, bytes | None], tmp_path: Path) -> None:
    for name in ("file", "a,b"):
        (tmp_path / name).write_text("x")
    assert secrets(tmp_path, text, VALUE="v") == [expected]


def test_the_last_of_an_id_counts(tmp_path: Path) -> None:
    assert secrets(tmp_path, "id=a,env=A", "id=a,env=B", A="1", B="2") == [("a", None, b"2")]


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    found = grants(tmp_path, {"VALUE": "hidden"}, secret=("id=a,env=VALUE",))
    assert "hidden" not in repr(found) and "SecretSource('a')" in repr(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--secret:  is not known"),
        ("a", "--secret: a is not known"),
        ("id=a,file=x", "--secret: file=x is not known"),
        ("id=a,type=text", "--secret type=text is not known"),
        ("src=file", "--secret without an id"),
        ("id=nowhere", "--secret id=nowhere: nowhere: No such file or directory"),
        ("id=a,src=.", "--secret id=a: . is a directory"),
        ("id=a,src=nowhere,env=VALUE", "--secret id=a: nowhere: No such file or directory"),
        ("id=a,src=large", "--secret id=a: large is larger than 500 KiB"),
        ('id=a,"src=x', '--secret: a double quote is not closed in "src=x'),
    ],
)
def test_refused_secrets(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(600_000))
    with pytest.raises(FlagError) as caught:
        grants(tmp_path, secret=(text,))
    assert caught.value.message == message


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A socket; its path is too long for an address."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("agent")
    return tmp_path / "agent"


def test_agents(agent: Path) -> None:
    directory = agent.parent
    for name in ("k1", "k2"):
        (directory / name).write_text("key")
    environ = {"SSH_AUTH_SOCK": str(agent)}
    assert grants(directory, environ, ssh=("default",)).agents == (AgentSource("default", str(agent)),)
    assert grants(directory, environ, ssh=("a=",)).agents == (AgentSource("a", str(agent)),)
    assert grants(directory, ssh=("a=agent",)).agents == (AgentSource("a", str(agent)),)
    keys = (str(directory / "k1"), str(directory / "k2"))
    assert grants(directory, ssh=("b=k1,k2", "a=agent")).agents == (
        AgentSource("b", None, keys),
        AgentSource("a", str(agent)),
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (("default",), "--ssh default: there is no agent: SSH_AUTH_SOCK is not set"),
        (("a=nowhere",), "--ssh a=nowhere: nowhere: No such file or directory"),
        (("a=agent,key",), "--ssh a=agent,key: a socket stands alone"),
        (("a=agent", "a=key"), "--ssh a is given twice"),
    ],
)
def test_refused_agents(texts: tuple[str, ...], message: str, agent: Path) -> None:
    (agent.parent / "key").write_text("key")
    with pytest.raises(FlagError) as caught:
        grants(agent.parent, ssh=texts)
    assert caught.value.message == message and caught.value.hint


def test_rights_and_networks(tmp_path: Path) -> None:
    found = grants(tmp_path, allow=("network.host", "device=a/b=c"), network="none")
    assert found.allows("network.host") and not found.allows("security.insecure")
    assert found.network == "none"
    for given in ({"allow": ("everything",)}, {"allow": ("network.host=x",)}, {"network": "bridge"}):
        with pytest.raises(FlagError, match="is not supported yet"):
            grants(tmp_path, **given)
