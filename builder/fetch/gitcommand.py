"""Runs the system's git, with nothing of its configuration but what is said here.

No hooks, no system or user configuration, no prompts, no protocol but those named, no program that an address or a
repository could choose. Credentials go by the environment, never by the command line, which everybody can read.
"""

import base64
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from builder.errors import Cancelled
from builder.fetch.giturl import GitSource
from builder.request import FETCH_ENVIRONMENT
from layers.errors import PybuildError
from layers.tuples import NamedTuple

MAX_OUTPUT = 64 << 20
"""Bytes of what one command may say; a server decides how many refs it has."""
ASK_S = 120.0
FETCH_S = 3600.0
_POLL_S = 0.05
_TAIL = 8 << 10
NETWORK = "http:https:git:ssh"
_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.symlinks=true",
    "core.autocrlf=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
Secret = Callable[[str], bytes | None]


class GitError(PybuildError):
    """What git could not do."""

    code = "git"


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str


class Way(NamedTuple):
    """How one command is run. ``protocols``: those that may be spoken, "" for none. ``auth``: settings that others
    must not see. ``more``: variables. ``keep``: a descriptor that stays open in it."""

    cwd: str = "/"
    protocols: str = ""
    auth: Sequence[tuple[str, str]] = ()
    more: Mapping[str, str] = {}
    timeout: float = ASK_S
    keep: int | None = None


PLAIN = Way()


class Command(NamedTuple):
    """How git is run. ``environ`` is the user's; of it only ``FETCH_ENVIRONMENT`` is passed on."""

    environ: Mapping[str, str]
    cancelled: Event
    secret: Secret = lambda _: None

    def run(self, *words: str, way: Way = PLAIN) -> Ran:
        """Raises GitError without git, and when it takes too long; Cancelled."""
        arguments = ["git", *(word for setting in _SETTINGS for word in ("-c", setting)), *words]
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=way.cwd,
                    env={**self._environment(way.protocols, way.auth), **way.more},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    umask=0o022,
                    start_new_session=True,
                    pass_fds=() if way.keep is None else (way.keep,),
                )
            except FileNotFoundError as error:
                raise GitError("git is not installed", hint="install git, for example with: apt install git") from error
            self._wait(process, words[0], way.timeout, lambda: os.fstat(out.fileno()).st_size)
            out.seek(0)
            size = err.seek(0, os.SEEK_END)
            err.seek(max(0, size - _TAIL))
            return Ran(process.returncode, out.read(MAX_OUTPUT + 1), err.read().decode(errors="replace"))

    def check(self, what: str, *words: str, way: Way = PLAIN) -> bytes:
        """What it says. As ``run``; raises GitError, which ``what`` begins, when git fails."""
        ran = self.run(*words, way=way)
        if ran.code:
            raise failure(what, ran)
        return ran.out

    def credentials(self, source: GitSource) -> tuple[tuple[str, str], ...]:
        """Settings that prove who asks: a secret of the build, the address itself, or the user's credential helpers;
        each for this server alone."""
        scheme = source.remote.partition("://")[0]
        if scheme not in {"http", "https"}:
            return ()
        place = f"{scheme}://{source.host}/"
        header = self._header(source)
        if header:
            return ((f"http.{place}.extraHeader", f"Authorization: {header}"),)
        ran = self.run(
            *("config", "--global", "-z", "--get-regexp", r"^credential\."),
            way=Way(more={"GIT_CONFIG_GLOBAL": _user_config(self.environ)}),
        )
        pairs = [line.partition("\n") for line in ran.out.decode(errors="surrogateescape").split("\0") if line]
        return tuple((key, value) for key, _, value in pairs)

    def _header(self, source: GitSource) -> str:
        for suffix in (f".{source.host}",) if source.foreign else (f".{source.host}", ""):
            header, token = self.secret(f"GIT_AUTH_HEADER{suffix}"), self.secret(f"GIT_AUTH_TOKEN{suffix}")
            if header is not None:
                return _line(header)
            if token is not None:
                return _basic(f"x-access-token:{_line(token)}")
        return _basic(source.userinfo if ":" in source.userinfo else source.userinfo + ":") if source.userinfo else ""

    def _environment(self, protocols: str, auth: Sequence[tuple[str, str]]) -> dict[str, str]:
        made = {name: self.environ[name] for name in FETCH_ENVIRONMENT if name in self.environ}
        made.setdefault("PATH", os.defpath)
        made |= {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "true",
            "GIT_ALLOW_PROTOCOL": protocols or "none",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_SSH_COMMAND": _ssh(self.environ.get("HOME", "")),
            "GIT_CONFIG_COUNT": str(len(auth)),
            "LC_ALL": "C",
        }
        for number, (key, value) in enumerate(auth):
            made[f"GIT_CONFIG_KEY_{number}"], made[f"GIT_CONFIG_VALUE_{number}"] = key, value
        return made

    def _wait(self, process: "subprocess.Popen[bytes]", name: str, timeout: float, said: Callable[[], int]) -> None:
        deadline = time.monotonic() + timeout
        try:
            while True:
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    if self.cancelled.is_set():
                        raise Cancelled("the build was cancelled") from None
                    if time.monotonic() > deadline:
                        raise GitError(f"git {name} took longer than {timeout:.0f} seconds") from None
                    if said() > MAX_OUTPUT:
                        raise GitError(f"git {name}: the server says more than {MAX_OUTPUT >> 20} MiB") from None
                else:
                    return
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def failure(what: str, ran: Ran) -> GitError:
    """With what git said last, and what may be done about it."""
    from registry.errors import printable

    lines = [line for line in ran.err.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ERROR:"))]
    said = printable(_without_userinfo(" ".join(lines[-3:]) or ran.err.strip()[-300:]))
    return GitError(f"{what}: {said or f'git ended with code {ran.code}'}", hint=_hint(said))


def _hint(said: str) -> str | None:
    text = said.lower()
    if "could not read username" in text or "authentication failed" in text or "403" in text or "401" in text:
        return "a private repository needs --secret id=GIT_AUTH_TOKEN, or a credential helper of git's"
    if "permission denied" in text or "host key" in text:
        return "try the address with git clone first: the keys are those of your ssh agent and ~/.ssh"
    if "not found" in text or "does not exist" in text or "does not appear to be" in text:
        return "check the address; a private repository needs --secret id=GIT_AUTH_TOKEN"
    return None


def _without_userinfo(text: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]*@", "", text)


def _user_config(environ: Mapping[str, str]) -> str:
    given = environ.get("GIT_CONFIG_GLOBAL")
    home = environ.get("HOME")
    if given is not None or not home:
        return given or "/dev/null"
    own = Path(home, ".gitconfig")
    return str(own if own.exists() else Path(environ.get("XDG_CONFIG_HOME") or Path(home, ".config"), "git", "config"))


def _ssh(home: str) -> str:
    """In a user namespace ssh looks for another user's home: it is told where the known hosts are."""
    words = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
    if home:
        words += ["-o", f'UserKnownHostsFile="{home}/.ssh/known_hosts"']
    return shlex.join(words)


def _line(value: bytes) -> str:
    text = value.decode("ascii", "replace").strip()
    if "\ufffd" in text or any(ord(letter) < 0x20 for letter in text):
        raise GitError("a secret for git is no value of a header", hint="give the token alone, on one line")
    return text


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()
