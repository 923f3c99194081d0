import base64
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from registry.auth import Credential
from registry.credentials import Credentials, run_helper
from registry.errors import CredentialError

HUB = "https://index.docker.io/v1/"


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def auths(**entries: object) -> dict[str, object]:
    return {"auths": entries}


def home(directory: Path, config: object = None, auth: object = None) -> dict[str, str]:
    """The environment of a user with these files."""
    for name, document in ((".docker/config.json", config), (".config/containers/auth.json", auth)):
        if document is not None:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document))
    return {"HOME": str(directory)}


class Helper:
    """A credential helper in memory, by its protocol."""

    def __init__(self, **known: tuple[str, str]) -> None:
        self.known: dict[str, tuple[str, str]] = dict(known)
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
        self.calls.append(tuple(arguments))
        match arguments[1]:
            case "get":
                if given.decode() not in self.known:
                    return 1, b"credentials not found in native keychain\n"
                user, secret = self.known[given.decode()]
                return 0, json.dumps({"ServerURL": given.decode(), "Username": user, "Secret": secret}).encode()
            case "store":
                document = json.loads(given)
                self.known[document["ServerURL"]] = document["Username"], document["Secret"]
                return 0, b""
            case "erase":
                del self.known[given.decode()]
                return 0, b""
        return 1, b"unknown verb"


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("r.example:5000", "r.example:5000"),
        ("https://r.example", "r.example"),
        ("http://r.example/v2/", "r.example"),
        (HUB, "docker.io"),
        ("docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
    ],
)
def test_keys_of_docker(tmp_path: Path, key: str, host: str) -> None:
    found = Credentials(home(tmp_path, auths(**{key: {"auth": encoded("me", "a:b")}}))).find(host, "team/app")
    assert found == Credential("me", "a:b")


def test_other_hosts_get_nothing(tmp_path: Path) -> None:
    credentials = Credentials(home(tmp_path, auths(**{"r.example": {"auth": encoded("me", "x")}})))
    for host in ("r.example:5000", "example", "a.r.example", "docker.io"):
        assert credentials.find(host) is None


@pytest.mark.parametrize(
    ("repository", "user"),
    [("team/app", "app"), ("team/app/sub", "app"), ("team/application", "team"), ("team/x", "team"), ("x", "all")],
)
def test_the_most_specific_entry_wins(tmp_path: Path, repository: str, user: str) -> None:
    entries = {key: {"auth": encoded(name, "x")} for key, name in
               (("r.example", "all"), ("r.example/team", "team"), ("r.example/team/app", "app"))}  # fmt: skip
    found = Credentials(home(tmp_path, auth={"auths": entries})).find("r.example", repository)
    assert found == Credential(user, "x")


def test_tokens_in_files(tmp_path: Path) -> None:
    entries = {"a.example": {"auth": encoded("u", ""), "identitytoken": "id"}, "b.example": {"registrytoken": "rt"}}
    credentials = Credentials(home(tmp_path, {"auths": entries}))
    assert credentials.find("a.example") == Credential("u", identity_token="id")
    assert credentials.find("b.example") == Credential(registry_token="rt")


def test_where_is_looked_and_in_which_order(tmp_path: Path) -> None:
    def entry(user: str) -> dict[str, object]:
        return auths(**{"r.example": {"auth": encoded(user, "x")}})

    environ = home(tmp_path, entry("docker"), entry("containers"))
    assert Credentials(environ).find("r.example") == Credential("docker", "x")
    (tmp_path / ".docker/config.json").unlink()
    assert Credentials(environ).find("r.example") == Credential("containers", "x")
    (tmp_path / "run/containers").mkdir(parents=True)
    (tmp_path / "run/containers/auth.json").write_text(json.dumps(entry("runtime")))
    environ["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    assert Credentials(environ).find("r.example") == Credential("runtime", "x")
    environ["DOCKER_AUTH_CONFIG"] = json.dumps(entry("variable"))
    assert Credentials(environ).find("r.example") == Credential("variable", "x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text(json.dumps(entry("other")))
    del environ["DOCKER_AUTH_CONFIG"]
    environ["DOCKER_CONFIG"] = str(tmp_path / "other")
    assert Credentials(environ).find("r.example") == Credential("other", "x")
    (tmp_path / "file").write_text(json.dumps(entry("file")))
    environ["REGISTRY_AUTH_FILE"] = str(tmp_path / "file")
    assert Credentials(environ).find("r.example") == Credential("file", "x")


def test_nothing_anywhere(tmp_path: Path) -> None:
    assert Credentials({"HOME": str(tmp_path)}).find("r.example") is None
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text("")
    assert Credentials({"HOME": str(tmp_path)}).find("r.example") is None


def test_helpers_are_asked(tmp_path: Path) -> None:
    helper = Helper(**{"r.example": ("me", "from helper"), "t.example": ("<token>", "id"), HUB: ("hub", "h")})
    config = {"credsStore": "store", "credHelpers": {"r.example": "one.special"}, "auths": {"r.example": {}}}
    credentials = Credentials(home(tmp_path, config), helper)
    assert credentials.find("r.example") == Credential("me", "from helper")
    assert credentials.find("t.example") == Credential(identity_token="id")
    assert credentials.find("docker.io") == Credential("hub", "h")
    assert credentials.find("none.example") is None
    assert [call[0] for call in helper.calls] == [
        "docker-credential-one.special",
        *["docker-credential-store"] * 3,
    ]


@pytest.mark.parametrize("output", [b"", b"[]", b"{}", b'{"Username":"u"}', b'{"Username":1,"Secret":2}'])
def test_helpers_that_make_no_sense(tmp_path: Path, output: bytes) -> None:
    with pytest.raises(CredentialError):
        Credentials(home(tmp_path, {"credsStore": "x"}), lambda *_: (0, output)).find("r.example")


def test_a_helper_that_fails_shows_what_it_said(tmp_path: Path) -> None:
    credentials = Credentials(home(tmp_path, {"credsStore": "x"}), lambda *_: (1, b"keyring \x1b[1mlocked"))
    with pytest.raises(CredentialError, match=r"docker-credential-x get failed for r\.example: keyring"):
        credentials.find("r.example")


@pytest.mark.parametrize("name", ["../../bin/evil", "a b", "", "-x", 5])
def test_names_of_helpers(tmp_path: Path, name: object) -> None:
    helper = Helper()
    credentials = Credentials(home(tmp_path, {"credsStore": "ok", "credHelpers": {"r.example": name}}), helper)
    if name == "":
        assert credentials.find("r.example") is None
    else:
        with pytest.raises(CredentialError, match="names no possible credential helper"):
            credentials.find("r.example")
        assert helper.calls == []


def test_a_helper_is_a_program_on_path(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-real"
    program.write_text('#!/bin/sh\nread server\necho "{\\"Username\\":\\"$1 $server\\",\\"Secret\\":\\"$WORD\\"}"\n')
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "WORD": "w"}
    status, output = run_helper([str(program), "get"], b"r.example\n", environ)
    assert (status, json.loads(output)) == (0, {"Username": "get r.example", "Secret": "w"})
    with pytest.raises(CredentialError, match="docker-credential-missing is not installed"):
        run_helper(["docker-credential-missing", "get"], b"", environ)


def test_store_writes_a_file_of_our_own(tmp_path: Path) -> None:
    environ = home(tmp_path, {"auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "kept"})
    credentials = Credentials(environ)
    path = tmp_path / ".docker/config.json"
    path.chmod(0o644)
    assert credentials.store("r.example", Credential("me", "pass")) == str(path)
    assert credentials.store("docker.io", Credential(identity_token="id")) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["psFormat"] == "kept"
    assert document["auths"]["r.example"] == {"auth": encoded("me", "pass")}
    assert set(document["auths"]) == {"other.example", "r.example", HUB}
    assert credentials.find("r.example") == Credential("me", "pass")
    assert credentials.find("docker.io") == Credential(identity_token="id")
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]


def test_store_follows_a_link_and_makes_directories(tmp_path: Path) -> None:
    environ = {"REGISTRY_AUTH_FILE": str(tmp_path / "new/deep/auth.json")}
    Credentials(environ).store("r.example", Credential("me", "pass"))
    assert stat.S_IMODE((tmp_path / "new/deep").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "new/deep/auth.json")
    Credentials({"REGISTRY_AUTH_FILE": str(tmp_path / "link")}).store("s.example", Credential("me", "pass"))
    assert (tmp_path / "link").is_symlink()
    assert set(json.loads((tmp_path / "new/deep/auth.json").read_text())["auths"]) == {"r.example", "s.example"}


def test_store_and_erase_with_a_helper(tmp_path: Path) -> None:
    helper = Helper()
    credentials = Credentials(home(tmp_path, {"credsStore": "box"}), helper)
    assert credentials.store("r.example", Credential("me", "pass")) == "docker-credential-box"
    credentials.store("t.example", Credential(identity_token="id"))
    assert helper.known == {"r.example": ("me", "pass"), "t.example": ("<token>", "id")}
    assert "pass" not in (tmp_path / ".docker/config.json").read_text()
    assert credentials.erase("r.example") == ("docker-credential-box",)
    assert list(helper.known) == ["t.example"]
    assert credentials.erase("r.example") == ()


def test_erase_finds_it_everywhere(tmp_path: Path) -> None:
    entry = {"auth": encoded("me", "x")}
    config = auths(**{"https://r.example/v1/": entry, "r.example": entry, "s.example": entry})
    environ = home(tmp_path, config, auths(**{"r.example": entry, "r.example/team": entry}))
    credentials = Credentials(environ)
    places = credentials.erase("r.example")
    assert [Path(place).name for place in places] == ["config.json", "auth.json"]
    assert set(json.loads((tmp_path / ".docker/config.json").read_text())["auths"]) == {"s.example"}
    assert set(json.loads((tmp_path / ".config/containers/auth.json").read_text())["auths"]) == {"r.example/team"}


def test_base64_on_several_lines(tmp_path: Path) -> None:
    """As base64(1) writes it."""
    text = base64.encodebytes(b"me:" + b"x" * 100).decode()
    assert text.count("\n") > 1
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"r.example": {"auth": text}}}))
    found = Credentials({"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path)}).find("r.example")
    assert found == Credential("me", "x" * 100)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ('{"auths":[]}', "'auths' is not an object"),
        ('{"auths":{"r.example":5}}', "is not an object"),
        ('{"auths":{"r.example":{"auth":"%%%s3cret"}}}', "'auth' of r.example is not base64"),
        ('{"credHelpers":[]}', "'credHelpers' is not an object"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(text)
    with pytest.raises(CredentialError) as caught:
        Credentials({"HOME": str(tmp_path)}).find("r.example")
    assert said in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert "s3cret" not in f"{caught.value!r}{caught.value.hint}"


def test_a_directory_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(CredentialError, match="cannot read"):
        Credentials({"HOME": str(tmp_path)}).find("r.example")
    with pytest.raises(CredentialError, match="cannot read"):
        Credentials({"HOME": str(tmp_path)}).store("r.example", Credential("a", "b"))
