"""An HTTP server on loopback: files with validators, redirects, endless bodies, and repositories by git's own CGI."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Page(NamedTuple):
    """``headers`` go out as they are; ``status`` 0: the body never ends."""

    body: bytes = b""
    headers: Mapping[str, str] = {}
    status: int = 200


class Asked(NamedTuple):
    """Names of ``headers`` in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Web:
    """``pages`` by path; ``repositories``: what is served below ``/git/``; ``secret``: the Authorization it wants."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    repositories: Path | None = None
    secret: str | None = None
    asked: list[Asked] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def of(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if urlsplit(asked.path).path == path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    web: Web


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        assert isinstance(self.server, _Server)
        found = self.server.web
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if found.secret is not None and not _same(self.headers.get("Authorization") or "", found.secret):
            self._send(Page(b"", {"WWW-Authenticate": "Basic"}, 401))
        elif self.path.startswith("/git/") and found.repositories is not None:
            self._send(_backend(found.repositories, self, body))
        else:
            self._send(found.pages.get(urlsplit(self.path).path, Page(status=404)))

    def _unchanged(self, page: Page) -> bool:
        validators = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        return any(name in page.headers and self.headers.get(ask) == page.headers[name] for name, ask in validators)

    def _send(self, page: Page) -> None:
        same = self._unchanged(page)
        self.send_response(304 if same else page.status or 200)
        for name, value in page.headers.items():
            self.send_header(name, value)
        if page.status == 0:
            self._send_for_ever()
            return
        body = b"" if same else page.body
        if "Content-Length" in page.headers:
            self.close_connection = True  # which may break off early
        elif not same:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_for_ever(self) -> None:
        self.close_connection = True
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 16))
        except OSError:
            return


def _same(given: str, wanted: str) -> bool:
    """The scheme's case does not count (RFC 9110, 11.1)."""
    (one, _, rest), (other, _, expected) = given.partition(" "), wanted.partition(" ")
    return (one.lower(), rest) == (other.lower(), expected)


@contextmanager
def web() -> Iterator[Web]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.web = Web(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _backend(top: Path, handler: BaseHTTPRequestHandler, body: bytes) -> Page:
    parts = urlsplit(handler.path)
    environ = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(top),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": parts.path.removeprefix("/git"),
        "QUERY_STRING": parts.query,
        "REQUEST_METHOD": handler.command,
        "CONTENT_TYPE": handler.headers.get("Content-Type") or "",
        "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding") or "",
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol") or "",
        "CONTENT_LENGTH": str(len(body)),
    }
    done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environ, check=True)
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    pairs = [line.partition(": ") for line in head.decode().split("\r\n")]
    headers = {name: value for name, _, value in pairs}
    return Page(rest, headers, int(headers.pop("Status", "200").split()[0]))


class Repository:
    """A repository of the test's; ``name`` ends in ``.git``."""

    def __init__(self, top: Path, name: str, *init: str) -> None:
        self.path = top / name
        self.work = top / f"{name}.work"
        self.work.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", *init, ".")

    def git(self, *words: str) -> str:
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": "1600000000 +0000",
            "GIT_COMMITTER_DATE": "1600000000 +0000",
        }
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always")
        done = subprocess.run(
            ["git", *identity, *words], cwd=self.work, env=environ, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        """Writes files (``->x`` is a link to x), commits them and publishes everything; gives the commit."""
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if text.startswith("->"):
                path.symlink_to(text[2:])
            else:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "m")
        self.publish()
        return self.git("rev-parse", "HEAD")

    def publish(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)
        self.git("clone", "-q", "--mirror", ".", str(self.path))
