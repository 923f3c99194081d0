"""ssh agents for steps: a socket of the step's own, behind which are the user's agent or keys read from files.

A step may ask which keys there are and have something signed, no more: whatever would change the user's agent is
answered with a failure, as BuildKit does (draft-ietf-sshm-ssh-agent, "Protocol Messages").
"""

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence

from builder.grants import AgentSource
from layers.errors import PybuildError
from layers.tuples import NamedTuple

ALLOWED = frozenset({11, 13})
"""SSH_AGENTC_REQUEST_IDENTITIES and SSH_AGENTC_SIGN_REQUEST."""
FAILURE = b"\0\0\0\1\5"
MAX_MESSAGE = 256 << 10
"""OpenSSH's own limit."""
MAX_KEY = 100 << 10

_SOCKET = "s"
_KEYRING = "k"
_START_SECONDS = 10.0


class AgentFailed(PybuildError):
    code = "ssh"


class Owner(NamedTuple):
    mode: int
    uid: int
    gid: int


@contextlib.contextmanager
def agent_socket(source: AgentSource, directory: str, owner: Owner) -> Iterator[str]:
    """The path of a socket in ``directory`` (made here), served until the end. Raises AgentFailed, OSError."""
    os.mkdir(directory, 0o700)
    with contextlib.ExitStack() as stack:
        top = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, top)
        if source.socket is not None:
            upstream = source.socket
            _connect(upstream, source.id).close()
        else:
            stack.enter_context(_keyring(source, directory))
            upstream = f"/proc/self/fd/{top}/{_KEYRING}"
        proxy = _Proxy(f"/proc/self/fd/{top}/{_SOCKET}", upstream, source.id)
        stack.callback(proxy.close)
        path = os.path.join(directory, _SOCKET)
        os.chown(path, owner.uid, owner.gid)
        os.chmod(path, owner.mode & 0o777)
        yield path


def _connect(path: str, name: str) -> socket.socket:
    """A path may be longer than an address (108 bytes): then it is reached through its directory."""
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        upstream.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    except OSError as error:
        upstream.close()
        text = f"the ssh agent {name} ({path}) does not answer: {error.strerror}"
        raise AgentFailed(text, hint="is it still running? ssh-add -l tells") from error
    finally:
        os.close(directory)
    return upstream


class _Proxy:
    """Takes connections in threads of its own until it is closed."""

    def __init__(self, path: str, upstream: str, name: str) -> None:
        self._upstream = upstream
        self._name = name
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._listener.bind(path)
            self._listener.listen()
        except BaseException:
            self._listener.close()
            raise
        self._thread = threading.Thread(target=self._accept, name="ssh-agent", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for each in self._open:
                with contextlib.suppress(OSError):  # it has ended by itself
                    each.shutdown(socket.SHUT_RDWR)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), name="ssh-agent", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection. What goes wrong ends it: the program in the step says what it makes of that."""
        with client, contextlib.suppress(OSError, AgentFailed), _connect(self._upstream, self._name) as upstream:
            with self._lock:
                if self._closed:
                    return
                self._open |= {client, upstream}
            try:
                _relay(client, upstream)
            finally:
                with self._lock:
                    self._open -= {client, upstream}


def _relay(client: socket.socket, upstream: socket.socket) -> None:
    while (request := _message(client)) is not None:
        if len(request) > 4 and request[4] in ALLOWED:
            upstream.sendall(request)
            answer = _message(upstream)
            if answer is None:
                return
        else:
            answer = FAILURE
        client.sendall(answer)


def _message(connection: socket.socket) -> bytes | None:
    """A message with its length in front; None at the end of the connection, or for one that is too long."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    body = _exactly(connection, size) if size <= MAX_MESSAGE else None
    return None if body is None else head + body


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            return None
        data += chunk
    return data


_KEEPER = f"ssh-agent -D -a {_KEYRING} & read -r _; kill $!; wait"
"""Ends with its standard input, which is a pipe whose other end goes with this process, however it ends."""


@contextlib.contextmanager
def _keyring(source: AgentSource, directory: str) -> Iterator[None]:
    """The system's ssh-agent with the keys of ``source``, outside of the sandbox."""
    if shutil.which("ssh-agent") is None or shutil.which("ssh-add") is None:
        raise AgentFailed(
            f"--ssh {source.id}: keys in files need the programs ssh-agent and ssh-add, which are not there",
            hint="install openssh-client, or name the socket of an agent: --ssh default=$SSH_AUTH_SOCK",
        )
    agent = subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a terminal's Ctrl-C is for us
    )
    try:
        _wait_for(agent, os.path.join(directory, _KEYRING), source.id)
        for path in source.keys:
            _add(path, directory, source.id)
        yield
    finally:
        assert agent.stdin is not None
        agent.stdin.close()
        agent.wait()


def _wait_for(agent: "subprocess.Popen[bytes]", path: str, name: str) -> None:
    waited = threading.Event()
    for _ in range(int(_START_SECONDS / 0.01)):
        if os.path.exists(path):
            return
        if agent.poll() is not None:
            break
        waited.wait(0.01)
    raise AgentFailed(f"--ssh {name}: ssh-agent did not start", hint="does ssh-agent work when it is started by hand?")


def _add(path: str, directory: str, name: str) -> None:
    """Through standard input: ssh-add refuses files that others may read, BuildKit does not."""
    with open(path, "rb") as file:
        key = file.read(MAX_KEY)
    environ = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "SSH_ASKPASS"}}
    done = subprocess.run(
        ["ssh-add", "-q", "-"],
        cwd=directory,
        env={**environ, "SSH_AUTH_SOCK": _KEYRING, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
        input=key,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal to ask for a passphrase on
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise AgentFailed(
            f"--ssh {name}: {path}: not a private key that can be used{f' ({said[-1]})' if said else ''}",
            hint="a key with a passphrase has to be added to an agent: ssh-add FILE, and --ssh default",
        )


def find(sources: Sequence[AgentSource], id: str) -> AgentSource | None:
    return next((source for source in sources if source.id == id), None)
