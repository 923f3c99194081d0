"""``--load``: the image into a Docker Engine, by its API (``POST /images/load``), over a unix socket or plain TCP.

Docker Engine API, version 1.24 and later. The archive is sent in chunks while it is made; nothing is written to disk.
"""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from builder.output.archive import repo_tags, with_layers
from builder.output.target import Finished, OutputError, Progress
from layers.compress import Compression
from layers.dockerarchive import write_docker_archive
from layers.image import Descriptor
from layers.store import Store

_PING_SECONDS = 10
_ANSWER_SECONDS = 600
"""How long the engine may take to unpack what it was sent."""
_MAX_ANSWER = 1 << 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """``host`` is as in DOCKER_HOST: ``unix:///var/run/docker.sock`` or ``tcp://host:port``."""

    def __init__(self, host: str, compression: Compression) -> None:
        self.compression = compression
        self._host = host

    def check(self) -> None:
        connection = self._connect(_PING_SECONDS)
        try:
            connection.request("GET", "/_ping")
            answer = connection.getresponse()
            answer.read(_MAX_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise OutputError(f"the Docker Engine at {self._host} answers {answer.status} {answer.reason}")

    def write(self, image: Finished, store: Store, progress: Progress) -> Descriptor:
        made = with_layers(image, store, self.compression, progress)
        connection = self._connect(_ANSWER_SECONDS)
        try:
            connection.putrequest("POST", "/images/load?quiet=1")
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            chunks = _Chunks(connection)
            try:
                write_docker_archive(made, repo_tags(image.names), store.blobs, progress.counting(chunks.write))
                chunks.end()
            except (BrokenPipeError, ConnectionResetError):
                # The engine stopped reading: what it answered says why.
                self._read_answer(connection)
                raise
            self._read_answer(connection)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error
        finally:
            connection.close()
        return made.descriptor

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        url = urlsplit(self._host)
        if url.scheme == "unix":
            return _UnixConnection(url.path, seconds)
        if url.scheme in {"tcp", "http"} and url.hostname:
            return http.client.HTTPConnection(url.hostname, url.port or 2375, timeout=seconds)
        raise OutputError(
            f"DOCKER_HOST {self._host} is not supported",
            hint="use unix:///path or tcp://host:port, or write -o type=docker,dest=FILE and 'docker load' it",
        )

    def _unreachable(self, error: Exception) -> OutputError:
        return OutputError(
            f"cannot load into the Docker Engine at {self._host}: {error}",
            hint="start it or set DOCKER_HOST; -t NAME alone keeps the image in pybuild's store",
        )

    def _read_answer(self, connection: http.client.HTTPConnection) -> None:
        answer = connection.getresponse()
        body = answer.read(_MAX_ANSWER)
        problem = _problem(body)
        if answer.status != http.client.OK or problem:
            raise OutputError(
                f"the Docker Engine at {self._host} refused the image: {problem or f'{answer.status} {answer.reason}'}"
            )


class _Chunks:
    """A body in HTTP/1.1 chunks, one for each write: archives come in large pieces."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def write(self, data: bytes | memoryview) -> None:
        self._connection.send(b"%x\r\n" % len(data))
        self._connection.send(data)
        self._connection.send(b"\r\n")

    def end(self) -> None:
        self._connection.send(b"0\r\n\r\n")


def _problem(body: bytes) -> str:
    """The error in an answer: an object with ``message``, or one of a stream of objects with ``error``."""
    for line in body.splitlines():
        try:
            document: Any = json.loads(line)
        except ValueError:
            continue
        if isinstance(document, dict):
            text = document.get("error") or document.get("message")
            if isinstance(text, str):
                return text
    return ""
