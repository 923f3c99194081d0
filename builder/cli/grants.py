"""``--secret``, ``--ssh``, ``--allow`` and ``--network``: what a build may hand to its steps.

Values as ``docker buildx build`` takes them (reference 4.1).
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builder.dockerfile.mounts import MountError, fields
from builder.grants import DEVICE, NETWORK_HOST, SECURITY_INSECURE, AgentSource, Grants, SecretSource
from builder.settings import FlagError, Host, UnsupportedFlag, absolute
from builder.solve.secrets import MAX_SECRET

NETWORKS = ("default", "none", "host")
_AGENT = "SSH_AUTH_SOCK"


def parse_grants(given: Mapping[str, Any], host: Host) -> Grants:
    """From the options of ``build`` or ``plan``. Raises FlagError."""
    network = given["network"] or "default"
    if network not in NETWORKS:
        raise UnsupportedFlag(f"--network {network}", f"it is one of {', '.join(NETWORKS)}")
    secrets = {source.id: source for source in (_secret(text, host) for text in given["secret"])}
    agents = tuple(_agent(text, host) for text in given["ssh"])
    twice = next((agent.id for at, agent in enumerate(agents) if agent.id in {a.id for a in agents[:at]}), None)
    if twice is not None:
        raise FlagError(f"--ssh {twice} is given twice", hint="give each agent an id of its own: --ssh ID=SOCKET")
    return Grants(tuple(secrets.values()), agents, tuple(_right(text) for text in given["allow"]), network)


def _right(text: str) -> str:
    if text not in {NETWORK_HOST, SECURITY_INSECURE, DEVICE} and not text.startswith(f"{DEVICE}="):
        raise UnsupportedFlag(f"--allow {text}", f"it is one of {NETWORK_HOST}, {SECURITY_INSECURE}, {DEVICE}[=NAME]")
    return text


def _secret(text: str, host: Host) -> SecretSource:
    found: dict[str, str] = {}
    try:
        parts = fields(text)
    except MountError as error:
        raise FlagError(f"--secret: {error.message}", hint=error.hint) from None
    for part in parts:
        key, equals, value = part.partition("=")
        key = {"source": "src"}.get(key.lower(), key.lower())
        if not equals or key not in {"id", "src", "env", "type"}:
            raise FlagError(f"--secret: {part} is not known", hint="write --secret id=ID,src=FILE or id=ID,env=NAME")
        found[key] = value
    kind = found.get("type") or None
    if kind not in {None, "file", "env"}:
        raise FlagError(f"--secret type={kind} is not known", hint="it is file or env")
    if not found.get("id"):
        raise FlagError("--secret without an id", hint="write --secret id=ID,src=FILE or id=ID,env=NAME")
    path, name = found.get("src", ""), found.get("env", "")
    if kind == "env" and not name:
        path, name = "", path
    if not path and not name:
        path, name = ("", found["id"]) if found["id"] in host.environ else (found["id"], "")
    source = _file(found["id"], path, host) if path else None
    # Of both the variable counts, as in BuildKit, but the file has to be there.
    return _variable(found["id"], name, host) if name or source is None else source


def _variable(secret: str, name: str, host: Host) -> SecretSource:
    """One that is not set is empty, as in buildx."""
    return SecretSource(secret, value=host.environ.get(name, "").encode(errors="surrogateescape"))


def _file(secret: str, path: str, host: Host) -> SecretSource:
    place = absolute(host.cwd, path)
    try:
        status = Path(place).stat()
    except OSError as error:
        hint = "src is a path from the working directory; a value in the environment is named with env=NAME"
        raise FlagError(f"--secret id={secret}: {path}: {error.strerror}", hint=hint) from error
    if stat.S_ISDIR(status.st_mode) or status.st_size > MAX_SECRET:
        problem = "is a directory" if stat.S_ISDIR(status.st_mode) else f"is larger than {MAX_SECRET >> 10} KiB"
        raise FlagError(f"--secret id={secret}: {path} {problem}", hint="name a file with a password, a token or a key")
    return SecretSource(secret, path=place)


def _agent(text: str, host: Host) -> AgentSource:
    name, _, value = text.partition("=")
    paths = [path for path in value.split(",") if path] or [host.environ.get(_AGENT, "")]
    if not paths[0]:
        raise FlagError(
            f"--ssh {text}: there is no agent: {_AGENT} is not set",
            hint="start one with: eval $(ssh-agent) && ssh-add; or name a socket or a key: --ssh default=FILE",
        )
    sockets: list[str] = []
    keys: list[str] = []
    for path in paths:
        place = absolute(host.cwd, path)
        try:
            status = Path(place).stat()
        except OSError as error:
            raise FlagError(f"--ssh {text}: {path}: {error.strerror}", hint="name a socket, or private keys") from error
        (sockets if stat.S_ISSOCK(status.st_mode) else keys).append(place)
    if sockets and len(paths) > 1:
        raise FlagError(f"--ssh {text}: a socket stands alone", hint="name one socket, or any number of private keys")
    return AgentSource(name or "default", sockets[0] if sockets else None, tuple(keys))
