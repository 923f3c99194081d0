"""Sessions for tests: no file and no environment but what a test gives; short waits. And Debian's registry."""

import base64
import contextlib
import io
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layers.blobs import Blobs
from layers.digest import BlobDigest, Digest
from layers.image import Descriptor, Platform
from layers.manifest import parse_manifest
from registry.auth import Credential
from registry.credentials import Credentials
from registry.endpoints import HostSettings
from registry.messages import Timeouts
from registry.pace import Clock, Pace, Patience
from registry.proxies import Proxies
from registry.push import Document, PushedImage
from registry.registries import Registries
from registry.session import Session
from registry.upload import Blob
from tests.support.certificates import Pair
from tests.support.images import MadeImage

AMD64 = Platform("linux", "amd64")
USER, PASSWORD = "builder", "correct horse"
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"
PACE = Pace(
    Clock(sleep=lambda seconds: time.sleep(min(seconds, 0.02))),
    Patience(attempts=3, first_s=0.01, longest_s=0.02, retry_after_s=5.0),
    Timeouts(connect=10.0, read=10.0, patience=20.0),
)
IMPATIENT = PACE._replace(timeouts=Timeouts(connect=10.0, read=10.0, patience=0.5))


class Helpers(Credentials):
    """Credentials of a test, by host; counts how often they were asked for."""

    def __init__(self, known: Mapping[str, Credential]) -> None:
        super().__init__({"HOME": "/nonexistent"})
        self.known = dict(known)
        self.asked: list[str] = []

    def find(self, host: str, repository: str = "") -> Credential | None:
        self.asked.append(host)
        return self.known.get(host)


def session(
    credentials: Mapping[str, Credential] | Credentials | None = None,
    hosts: Mapping[str, HostSettings] | None = None,
    *,
    mirrors: Mapping[str, tuple[str, ...]] | None = None,
    pace: Pace = PACE,
) -> Session:
    known = credentials if isinstance(credentials, Credentials) else Helpers(credentials or {})
    return Session(Registries(hosts or {}, mirrors or {}), known, Proxies(), pace)


def login(user: str = USER, password: str = PASSWORD) -> Credential:
    return Credential(user, password)


def basic_header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def reader(data: bytes, digest: str, media_type: str) -> Blob:
    descriptor = Descriptor(media_type, BlobDigest(Digest.parse(digest)), len(data))
    return Blob(descriptor, lambda: io.BytesIO(data))


def to_push(image: MadeImage) -> PushedImage:
    """As the exporter will: blobs, then the manifest."""
    layers = [reader(layer.blob, layer.digest, layer.media_type) for layer in image.layers]
    manifest = parse_manifest(image.manifest)
    config = reader(image.config, image.id, manifest.config.media_type)
    media_type = json.loads(image.manifest)["mediaType"]
    return PushedImage((*layers, config), (Document(image.manifest, media_type),))


class Lease:
    """What keeps blobs of a store, as far as Blobs needs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._count = iter(range(1_000_000))

    def temporary(self, kind: str) -> str:
        return str(self.directory / f"{kind}-{next(self._count)}")

    def hold_blob(self, digest: BlobDigest) -> None:
        """Nothing is pruned in these tests."""


def make_blobs(directory: Path) -> Blobs:
    """``directory/blobs``; what is being written is in ``directory/tmp``."""
    (directory / "tmp").mkdir()
    (directory / "blobs").mkdir()
    return Blobs(str(directory / "blobs"), Lease(directory / "tmp"))


def left_over(directory: Path) -> list[Path]:
    """Whatever a transfer left behind that is not a blob."""
    return [path for name in ("tmp", "partial") if (directory / name).exists() for path in (directory / name).iterdir()]


def free_port(wanted: int = 0) -> int:
    """OSError when the one that is wanted is not free."""
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", wanted))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def docker_registry(
    directory: Path, pair: Pair | None, *, htpasswd: bool = True, port: int = 0, more: Mapping[str, Any] = {}
) -> Iterator[str]:
    """Debian's docker-registry on loopback, with TLS if ``pair`` is given; yields its host and port.

    ``port``: any free one if 0; ``more``: sections of its configuration, instead of ours.
    """
    port = free_port(port)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "htpasswd").write_text(HTPASSWD)
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "of a test"},
    }
    if pair is not None:
        config["http"] = {"addr": f"127.0.0.1:{port}", "tls": {"certificate": str(pair.cert), "key": str(pair.key)}}
    if htpasswd:
        config["auth"] = {"htpasswd": {"realm": "of a test", "path": str(directory / "htpasswd")}}
    # JSON is YAML.
    (directory / "config.yml").write_text(json.dumps({**config, **more}))
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(directory / "config.yml")],
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
        )
        try:
            _await_port(port, process, directory / "log")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"docker-registry does not listen: {log.read_text()[-2000:]}")
