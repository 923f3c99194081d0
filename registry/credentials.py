"""Credentials: Docker's config.json, Podman's auth.json, and the programs that keep them (credential helpers).

Sources: docs.docker.com "docker login" (config.json, credential helper protocol), containers-auth.json(5). Nothing here
asks a person; helpers run as whoever runs this process.
"""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from layers.atomic import hidden
from layers.names import DEFAULT_HOST
from layers.tuples import NamedTuple
from registry.auth import Credential
from registry.configfiles import docker_path, home, parse_document, read_document
from registry.endpoints import HUB
from registry.errors import CredentialError, printable

HUB_KEY = "https://index.docker.io/v1/"
"""What Docker files its Hub's credentials under."""
_HUB_NAMES = frozenset({DEFAULT_HOST, "index.docker.io", HUB})
_TOKEN_USER = "<token>"  # noqa: S105 - the word by which helpers say that the secret is an identity token
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_MAX_HELPER_OUTPUT = 1 << 20
HELPER_TIMEOUT_S = 60.0

Runner = Callable[[Sequence[str], bytes, Mapping[str, str]], tuple[int, bytes]]
"""Runs a helper: arguments, input and environment to exit status and output."""


def run_helper(arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Raises CredentialError when it cannot be started, or does not end in HELPER_TIMEOUT_S."""
    import subprocess  # few users have helpers

    try:
        done = subprocess.run(
            arguments, input=given, env=environ, stdout=subprocess.PIPE, check=False, timeout=HELPER_TIMEOUT_S
        )
    except FileNotFoundError:
        raise CredentialError(
            f"the credential helper {arguments[0]} is not installed",
            hint="install it, or take it out of credsStore and credHelpers in Docker's config.json",
        ) from None
    except subprocess.TimeoutExpired:
        raise CredentialError(
            f"the credential helper {arguments[0]} gave no answer in {HELPER_TIMEOUT_S:.0f} s",
            hint="it may be waiting for a password or a locked keyring",
        ) from None
    except OSError as error:
        raise CredentialError(f"the credential helper {arguments[0]} does not start: {error.strerror}") from error
    return done.returncode, done.stdout[:_MAX_HELPER_OUTPUT]


class _Helper(NamedTuple):
    name: str
    server: str


class Credentials:
    """The credentials of one user. Files are read anew for every question: a login elsewhere counts at once."""

    def __init__(self, environ: Mapping[str, str], run: Runner = run_helper) -> None:
        self._environ = environ
        self._run = run

    def find(self, host: str, repository: str = "") -> Credential | None:
        """The credential for ``host`` as in references; the most specific entry wins. Raises CredentialError."""
        for document, path in self._documents():
            helper = _helper_of(document, host, path)
            if helper is not None:
                found = self._ask(helper)
                if found is not None:
                    return found
            found = _from_file(document, host, repository, path)
            if found is not None:
                return found
        return None

    def store(self, host: str, credential: Credential) -> str:
        """Keeps it where Docker and Podman look too; returns where. Raises CredentialError."""
        path = self._writable()
        document = read_document(str(path))
        helper = _helper_of(document, host, str(path))
        if helper is not None:
            user = _TOKEN_USER if credential.identity_token else credential.username
            secret = credential.identity_token or credential.password
            self._tell(helper, "store", {"ServerURL": helper.server, "Username": user, "Secret": secret})
            return f"docker-credential-{helper.name}"
        auths = _table(document, "auths", str(path))
        auths[_file_key(host)] = _entry(credential)
        _write(path, {**document, "auths": auths})
        return str(path)

    def erase(self, host: str) -> tuple[str, ...]:
        """Forgets it everywhere it can be found; returns where it was. Raises CredentialError."""
        places = []
        for path in self._paths():
            document = read_document(str(path))
            helper = _helper_of(document, host, str(path))
            if helper is not None and self._ask(helper) is not None:
                self._tell(helper, "erase", None)
                places.append(f"docker-credential-{helper.name}")
            auths = _table(document, "auths", str(path))
            gone = [key for key in auths if _host_of(key) in _names(host) and not _path_of(key)]
            if gone:
                kept = {key: value for key, value in auths.items() if key not in gone}
                _write(path, {**document, "auths": kept})
                places.append(str(path))
        return tuple(places)

    def docker_config(self) -> Mapping[str, Any]:
        """Docker's config.json, {} without one (its ``proxies`` are registry.proxies' business)."""
        return read_document(docker_path(self._environ))

    def _documents(self) -> Iterator[tuple[Mapping[str, Any], str]]:
        inline = self._environ.get("DOCKER_AUTH_CONFIG")
        if inline:
            yield parse_document(inline.encode(), "the variable DOCKER_AUTH_CONFIG"), "the variable DOCKER_AUTH_CONFIG"
        for path in self._paths():
            yield read_document(str(path)), str(path)

    def _paths(self) -> tuple[Path, ...]:
        named = self._environ.get("REGISTRY_AUTH_FILE")
        runtime = self._environ.get("XDG_RUNTIME_DIR")
        config = Path(self._environ.get("XDG_CONFIG_HOME") or f"{home(self._environ)}/.config")
        return (
            *((Path(named),) if named else ()),
            Path(docker_path(self._environ)),
            *((Path(runtime) / "containers/auth.json",) if runtime else ()),
            config / "containers/auth.json",
        )

    def _writable(self) -> Path:
        return self._paths()[0]

    def _ask(self, helper: _Helper) -> Credential | None:
        status, output = self._call(helper, "get", helper.server.encode())
        if status != 0:
            if b"credentials not found" in output.lower():
                return None
            raise _failed(helper, "get", output)
        document = parse_document(output, f"the output of docker-credential-{helper.name}", _by_hand(helper))
        user, secret = document.get("Username"), document.get("Secret")
        if not (isinstance(user, str) and isinstance(secret, str)):
            raise CredentialError(f"docker-credential-{helper.name} gave no Username and Secret", hint=_by_hand(helper))
        if not secret:
            return None
        return Credential(identity_token=secret) if user == _TOKEN_USER else Credential(user, secret)

    def _tell(self, helper: _Helper, verb: str, document: Mapping[str, str] | None) -> None:
        given = helper.server if document is None else json.dumps(document)
        status, output = self._call(helper, verb, given.encode())
        if status != 0:
            raise _failed(helper, verb, output)

    def _call(self, helper: _Helper, verb: str, given: bytes) -> tuple[int, bytes]:
        return self._run([f"docker-credential-{helper.name}", verb], given, self._environ)


def _failed(helper: _Helper, verb: str, output: bytes) -> CredentialError:
    # Only of a failure is the output shown: that of a success holds the secret.
    said = printable(output.decode(errors="replace"))
    return CredentialError(
        f"docker-credential-{helper.name} {verb} failed for {helper.server}" + (f": {said}" if said else ""),
        hint=_by_hand(helper),
    )


def _by_hand(helper: _Helper) -> str:
    return f"try it by hand: echo {helper.server} | docker-credential-{helper.name} get"


def _names(host: str) -> frozenset[str]:
    return _HUB_NAMES if host in _HUB_NAMES else frozenset({host})


def _file_key(host: str) -> str:
    return HUB_KEY if host in _HUB_NAMES else host


def _bare(key: str) -> str:
    return key.removeprefix("https://").removeprefix("http://")


def _host_of(key: str) -> str:
    return _bare(key).partition("/")[0]


def _path_of(key: str) -> str:
    """The repository or namespace an entry is for; the API's version in old keys is none."""
    path = _bare(key).partition("/")[2].strip("/")
    return "" if path in {"v1", "v2"} else path


def _helper_of(document: Mapping[str, Any], host: str, path: str) -> _Helper | None:
    named = _table(document, "credHelpers", path)
    name = next((named[key] for key in named if _host_of(key) in _names(host)), None) or document.get("credsStore")
    if not name:
        return None
    if not isinstance(name, str) or not _HELPER.match(name):
        raise CredentialError(f"{path} names no possible credential helper: {printable(str(name))!r}")
    return _Helper(name, _file_key(host))


def _from_file(document: Mapping[str, Any], host: str, repository: str, path: str) -> Credential | None:
    auths = _table(document, "auths", path)
    fitting = [
        (len(_path_of(key)), key)
        for key in auths
        if _host_of(key) in _names(host) and f"{repository}/".startswith(_path_of(key) + "/" if _path_of(key) else "")
    ]
    for _, key in sorted(fitting, reverse=True):
        found = _credential(auths[key], key, path)
        if found:
            return found
    return None


def _credential(entry: Any, key: str, path: str) -> Credential:
    if not isinstance(entry, dict):
        raise CredentialError(f"{path}: the entry for {printable(key)} is not an object")

    def text(name: str) -> str:
        value = entry.get(name)
        return value if isinstance(value, str) else ""

    user, password = text("username"), text("password")
    if text("auth"):
        try:
            # On lines of 76, as base64(1) writes long ones, Go reads it too.
            pair = base64.b64decode("".join(text("auth").split()), validate=True).decode()
        except (binascii.Error, ValueError):
            # The bytes are not quoted: they are a damaged secret.
            raise CredentialError(
                f"{path}: 'auth' of {printable(key)} is not base64", hint=f"run 'pybuild login {_host_of(key)}' again"
            ) from None
        user, _, password = pair.partition(":")
    token = text("identitytoken")
    if token:
        return Credential(user, identity_token=token)
    return Credential(user, password.strip("\0"), registry_token=text("registrytoken"))


def _entry(credential: Credential) -> dict[str, str]:
    pair = f"{credential.username}:{'' if credential.identity_token else credential.password}"
    entry = {"auth": base64.b64encode(pair.encode()).decode()}
    if credential.identity_token:
        entry["identitytoken"] = credential.identity_token
    return entry


def _table(document: Mapping[str, Any], key: str, path: str) -> dict[str, Any]:
    value = document.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CredentialError(f"{path}: {key!r} is not an object")
    return dict(value)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Readable by its owner only, whole or not at all; a link is followed."""
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = Path(hidden(str(target.parent)))
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(document, indent="\t").encode() + b"\n")
                file.flush()
                os.fsync(descriptor)
            beside.rename(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise CredentialError(f"cannot write {path}: {error.strerror}") from error
