"""The Docker Engine's API over a unix socket, against a server that answers as told."""

import http.client
import io
import json
import socket
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builder.output.target import OutputError
from builder.request import OutputSpec
from layers.store import Store
from tests.support import stored
from tests.support.validate import validate

PING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK"
LOADED = b'{"stream":"Loaded image: app:1\\n"}\r\n'
REFUSED = b'{"stream":"x"}\r\n{"errorDetail":{"message":"no space"},"error":"no space"}\r\n'


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status.encode(), len(body), body)


class Received:
    """What came with ``POST /images/load``."""

    request: bytes = b""
    headers: http.client.HTTPMessage
    body: bytes = b""


@contextmanager
def engine(path: Path, reply: bytes, *, read_body: bool = True) -> Iterator[Received]:
    """Answers a ping, then one load with ``reply``; without ``read_body`` it answers and hangs up at once."""
    received = Received()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as file:
                line = file.readline()
                headers = http.client.parse_headers(file)
                if line.startswith(b"GET /_ping"):
                    connection.sendall(PING)
                    continue
                received.request, received.headers = line.strip(), headers
                if read_body:
                    received.body = read_chunks(file)
                connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield received
        thread.join(30)
    finally:
        server.close()


def read_chunks(file: io.BufferedReader) -> bytes:
    parts = []
    while size := int(file.readline(), 16):
        parts.append(file.read(size))
        assert file.readline() == b"\r\n"
    assert file.readline() == b"\r\n"
    return b"".join(parts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def load(store: Store, socket_path: Path) -> None:
    asked = stored.request(OutputSpec("load", None), tags=("docker.io/me/app:1",), docker_host=f"unix://{socket_path}")
    stored.export(store, stored.build(store), asked)


def test_the_archive_goes_in_chunks(store: Store, tmp_path: Path) -> None:
    with engine(tmp_path / "sock", answer(LOADED)) as received:
        load(store, tmp_path / "sock")
    assert received.request == b"POST /images/load?quiet=1 HTTP/1.1"
    assert received.headers["Content-Type"] == "application/x-tar"
    assert received.headers["Transfer-Encoding"] == "chunked"
    (tmp_path / "image.tar").write_bytes(received.body)
    checked = validate(tmp_path / "image.tar")
    assert {layer["mediaType"] for layer in checked.manifest["layers"]} == {"application/vnd.oci.image.layer.v1.tar"}
    with tarfile.open(tmp_path / "image.tar") as archive:
        listed = archive.extractfile("manifest.json")
        assert listed is not None
        assert json.load(listed)[0]["RepoTags"] == ["me/app:1"]


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (answer(REFUSED), "refused the image: no space"),
        (answer(b'{"message":"bad archive"}\n', "400 Bad Request"), "refused the image: bad archive"),
        (answer(b"<html>", "502 Bad Gateway"), "refused the image: 502 Bad Gateway"),
        (b"nonsense\r\n\r\n", "cannot load into the Docker Engine"),
        (b"", "cannot load into the Docker Engine"),
    ],
)
def test_a_refusal_is_an_error(store: Store, tmp_path: Path, reply: bytes, problem: str) -> None:
    with engine(tmp_path / "sock", reply), pytest.raises(OutputError, match=problem):
        load(store, tmp_path / "sock")


def test_an_engine_that_hangs_up_in_the_middle(store: Store, tmp_path: Path) -> None:
    with (
        engine(tmp_path / "sock", answer(REFUSED, "500 Internal Server Error"), read_body=False),
        pytest.raises(OutputError, match=r"refused the image: no space|cannot load into the Docker Engine"),
    ):
        load(store, tmp_path / "sock")


def test_no_engine_behind_a_port(store: Store) -> None:
    asked = stored.request(OutputSpec("load", None), docker_host="tcp://127.0.0.1:1")
    with pytest.raises(OutputError, match=r"cannot load into the Docker Engine at tcp://127\.0\.0\.1:1: .*refused"):
        stored.export(store, stored.build(store), asked)


def test_no_engine(store: Store, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file or directory"):
        load(store, tmp_path / "sock")
