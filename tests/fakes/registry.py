"""A registry in this process: the distribution protocol on loopback, with a log of requests and faults on request."""

import contextlib
import json
import re
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.faults import Act, Answer, Fault
from tests.fakes.tokens import Gate
from tests.support.images import MadeImage, sha256

_NAME = r"/v2/(?P<repository>[a-z0-9/._-]+)"


@dataclass
class Logged:
    """A request, from when its first line was read; ``sent`` are the bytes of the answer's body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    status: int = 0
    sent: int = 0

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Stored:
    raw: bytes
    media_type: str


class FakeRegistry:
    """Settings may be changed at any time. ``chunks``: whether a second PATCH is taken; ``ranges``: whether parts of
    blobs are; ``least``: the smallest chunk; ``largest``: the longest body; ``referrers_api``: whether there is one.
    """

    def __init__(
        self,
        gate: Gate | None = None,
        *,
        address: str = "127.0.0.1",
        tls: tuple[Path, Path] | None = None,
        clients: Path | None = None,
    ) -> None:
        self.gate = gate or Gate()
        self.chunks = True
        self.ranges = True
        self.referrers_api = True
        self.least = 0
        self.largest = 1 << 40
        self.log: list[Logged] = []
        self.faults: list[Fault] = []
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], Stored] = {}
        self.uploads: dict[str, tuple[str, bytearray]] = {}
        self.lock = threading.RLock()
        self.ended = False
        self._server = _Server((address, 0), self, _context(tls, clients))
        self.host = f"{address}:{self._server.server_address[1]}"
        self.base = f"http{'s' if tls else ''}://{self.host}"

    @contextlib.contextmanager
    def running(self) -> Iterator["FakeRegistry"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended = True
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def fault(self, pattern: str, act: Act, times: int = 1_000_000) -> None:
        self.faults.insert(0, Fault(pattern, act, times))

    def put_blob(self, repository: str, data: bytes) -> str:
        self.blobs[repository, sha256(data)] = data
        return sha256(data)

    def put_manifest(self, repository: str, raw: bytes, media_type: str, *tags: str) -> str:
        for name in (sha256(raw), *tags):
            self.manifests[repository, name] = Stored(raw, media_type)
        return sha256(raw)

    def put_image(self, repository: str, image: MadeImage, *tags: str) -> str:
        for data in (image.config, *(layer.blob for layer in image.layers)):
            self.put_blob(repository, data)
        return self.put_manifest(repository, image.manifest, json.loads(image.manifest)["mediaType"], *tags)

    def requests(self, pattern: str) -> list[Logged]:
        """Those whose ``METHOD path`` matches, and that were not refused for want of credentials."""
        return [one for one in self.log if re.search(pattern, one.line) and one.status != 401]

    def secrets_seen(self) -> list[str]:
        """Whatever came here that looks like a credential."""
        found = [value for one in self.log for name, value in one.headers.items() if name.lower() == "authorization"]
        return found + [one.body.decode(errors="replace") for one in self.log if b"password" in one.body]

    def referring(self, digest: str) -> bytes:
        entries = []
        for (_, name), stored in self.manifests.items():
            document = json.loads(stored.raw)
            if name == sha256(stored.raw) and (document.get("subject") or {}).get("digest") == digest:
                entries.append({"mediaType": stored.media_type, "digest": name, "size": len(stored.raw)})
        media_type = "application/vnd.oci.image.index.v1+json"
        return json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).encode()


def _context(tls: tuple[Path, Path] | None, clients: Path | None) -> ssl.SSLContext | None:
    """With ``clients``, an authority, clients need a certificate too."""
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*tls)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], registry: FakeRegistry, context: ssl.SSLContext | None) -> None:
        self.registry = registry
        self._context = context
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self._context is not None:
            # The handshake happens at the first read, in the connection's own thread.
            return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are what the faults are for."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._read = False
        self._logged = Logged("", "", {})

    def log_message(self, format: str, *arguments: Any) -> None:
        """Kept in the registry's log instead."""

    @property
    def registry(self) -> FakeRegistry:
        return self.server.registry

    def ended(self) -> bool:
        return self.registry.ended

    def body(self, limit: int | None = None) -> bytes:
        if not self._read:
            self._read = True
            length = int(self.headers.get("Content-Length") or 0)
            self._logged.body = self.rfile.read(length if limit is None else min(length, limit))
        return self._logged.body

    def raw(self, data: bytes) -> None:
        self._logged.status = self._logged.status or 200
        self._logged.sent += len(data)
        self.wfile.write(data)
        self.wfile.flush()

    def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self._logged.status, self._logged.sent = status, 0 if self.command == "HEAD" else len(data)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            if not (status == 204 and name == "Content-Length"):
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and data:
            self.wfile.write(data)

    def _any(self) -> None:
        self._read = False
        self._logged = Logged(self.command, self.path, dict(self.headers))
        line = self._logged.line
        with self.registry.lock:
            self.registry.log.append(self._logged)
            fault = next((f for f in self.registry.faults if f.seen < f.times and re.search(f.pattern, line)), None)
            if fault is not None:
                fault.seen += 1
        if fault is not None:
            fault.act(self, self._real)
        else:
            self.body()
            self.answer(*self._real())

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any

    def _real(self) -> Answer:
        parts = urlsplit(self.path)
        registry, authorization = self.registry, self.headers.get("Authorization", "")
        if parts.path == "/token":
            code, data = registry.gate.token(self.command, parts.query, self.body(), authorization)
            return code, {"Content-Type": "application/json"}, data
        found = re.match(_NAME + r"/(manifests|blobs|tags|referrers)/", parts.path)
        scope = ""
        if found:
            actions = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(self.command, "pull,push")
            scope = f"repository:{found['repository']}:{actions}"
        if not registry.gate.open(authorization, scope):
            challenge = registry.gate.challenge(registry.base, scope)
            return 401, {"WWW-Authenticate": challenge}, _error("UNAUTHORIZED", "authentication required")
        if registry.gate.kind == "none" and registry.gate.writers == frozenset() and scope.endswith("push"):
            return 403, {}, _error("DENIED", "requested access to the resource is denied")
        if parts.path == "/v2/":
            return 200, {}, b"{}"
        for pattern, method in _ROUTES:
            matched = re.fullmatch(_NAME + pattern, parts.path)
            if matched:
                with registry.lock:
                    return method(self, registry, matched.groupdict(), parse_qs(parts.query))
        return 404, {}, _error("NOT_FOUND", "no such page")


Groups = dict[str, str]
Query = dict[str, list[str]]


def _error(code: str, message: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


def _manifest(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    key = groups["repository"], groups["name"]
    if handler.command == "PUT":
        raw = handler.body()
        document = json.loads(raw)
        needed = [*(document.get("layers") or ()), *([document["config"]] if "config" in document else [])]
        missing = [blob["digest"] for blob in needed if (key[0], blob["digest"]) not in registry.blobs]
        if missing:
            return 404, {}, _error("MANIFEST_BLOB_UNKNOWN", f"blob unknown: {missing[0]}")
        tags = () if ":" in key[1] else (key[1],)
        digest = registry.put_manifest(key[0], raw, handler.headers["Content-Type"], *tags)
        return 201, {"Docker-Content-Digest": digest, "Location": handler.path}, b""
    stored = registry.manifests.get(key)
    if stored is None:
        return 404, {}, _error("MANIFEST_UNKNOWN", "manifest unknown")
    return 200, {"Content-Type": stored.media_type, "Docker-Content-Digest": sha256(stored.raw)}, stored.raw


def _blob(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    data = registry.blobs.get((groups["repository"], groups["digest"]))
    if data is None:
        return 404, {}, _error("BLOB_UNKNOWN", "blob unknown")
    headers = {"Docker-Content-Digest": groups["digest"], "Content-Type": "application/octet-stream"}
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if wanted is None or not registry.ranges:
        return 200, headers, data
    start = int(wanted[1])
    if start >= len(data):
        return 416, {}, b""
    return 206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:]


def _start(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    repository = groups["repository"]
    mount, source = query.get("mount", [""])[0], query.get("from", [""])[0]
    if mount and (source, mount) in registry.blobs:
        registry.blobs[repository, mount] = registry.blobs[source, mount]
        return 201, {"Docker-Content-Digest": mount, "Location": f"/v2/{repository}/blobs/{mount}"}, b""
    number = uuid.uuid4().hex
    registry.uploads[number] = repository, bytearray()
    return 202, _where(registry, repository, number), b""


def _where(registry: FakeRegistry, repository: str, number: str) -> dict[str, str]:
    """The address changes with what was received, as it does with Docker's registry."""
    size = len(registry.uploads[number][1])
    headers = {"Location": f"{registry.base}/v2/{repository}/blobs/uploads/{number}?_state=s{size}"}
    headers["Range"] = f"0-{max(0, size - 1)}"
    return headers | ({"OCI-Chunk-Min-Length": str(registry.least)} if registry.least else {})


def _upload(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    repository, number = groups["repository"], groups["number"]
    if number not in registry.uploads:
        return 404, {}, _error("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    received = registry.uploads[number][1]
    if handler.command in {"GET", "DELETE"}:
        where = _where(registry, repository, number)
        if handler.command == "DELETE":
            del registry.uploads[number]
        return 204, where, b""
    problem = _refused_chunk(handler, registry, received, query)
    if problem is not None:
        return problem
    received += handler.body()
    if handler.command == "PATCH":
        return 202, _where(registry, repository, number), b""
    data = bytes(received)
    if query.get("digest") != [sha256(data)]:
        return 400, {}, _error("DIGEST_INVALID", "provided digest did not match uploaded content")
    del registry.uploads[number]
    registry.put_blob(repository, data)
    return 201, {"Docker-Content-Digest": sha256(data), "Location": f"/v2/{repository}/blobs/{sha256(data)}"}, b""


def _refused_chunk(handler: _Handler, registry: FakeRegistry, received: bytearray, query: Query) -> Answer | None:
    if query.get("_state") != [f"s{len(received)}"]:
        return 400, {}, _error("BLOB_UPLOAD_INVALID", "stale state")
    length = int(handler.headers.get("Content-Length") or 0)
    if length > registry.largest:
        return 413, {}, b"too large"
    if handler.command == "PATCH" and received and not registry.chunks:
        return 416, {}, b""
    begin = handler.headers.get("Content-Range", "").partition("-")[0]
    if begin and int(begin) != len(received):
        return 416, {}, b""
    return None


def _tags(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    repository = groups["repository"]
    names = sorted(name for owner, name in registry.manifests if owner == repository and ":" not in name)
    if not names:
        return 404, {}, _error("NAME_UNKNOWN", "repository name not known to registry")
    page = [name for name in names if name > query.get("last", [""])[0]][: min(2, int(query.get("n", ["2"])[0]))]
    more = bool(page) and page[-1] != names[-1]
    link = {"Link": f'</v2/{repository}/tags/list?n=2&last={page[-1]}>; rel="next"'} if more else {}
    return 200, link, json.dumps({"name": repository, "tags": page}).encode()


def _referrers(handler: _Handler, registry: FakeRegistry, groups: Groups, query: Query) -> Answer:
    if not registry.referrers_api:
        return 404, {}, _error("NOT_FOUND", "no such page")
    return 200, {"Content-Type": "application/vnd.oci.image.index.v1+json"}, registry.referring(groups["digest"])


Route = Callable[[_Handler, FakeRegistry, Groups, Query], Answer]
_ROUTES: tuple[tuple[str, Route], ...] = (
    (r"/manifests/(?P<name>[^/]+)", _manifest),
    (r"/blobs/uploads/", _start),
    (r"/blobs/uploads/(?P<number>[^/]+)", _upload),
    (r"/blobs/(?P<digest>[a-z0-9]+:[0-9a-f]+)", _blob),
    (r"/tags/list", _tags),
    (r"/referrers/(?P<digest>[^/]+)", _referrers),
)
