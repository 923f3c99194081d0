"""Files over HTTP for ADD, contexts and Dockerfiles: fetched once, then asked for again only if they changed.

What came is a blob of the store, and a record says of which address, with its validators (RFC 9110, 8.8).
"""

import base64
import hashlib
import posixpath
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError, PybuildError
from layers.tuples import NamedTuple
from layers.webfiles import WebFile

if TYPE_CHECKING:
    from layers.store import Store
    from registry.messages import Response
    from registry.session import Session

UNNAMED = "__unnamed__"
SCHEMES = ("http://", "https://")

Secret = Callable[[str], bytes | None]
"""The value of a secret of the build; None when it has none of this name."""


class Fetched(NamedTuple):
    """``digest`` is a blob of the store; ``mtime`` is Last-Modified in seconds since 1970, 0 without one."""

    digest: BlobDigest
    size: int
    mtime: int


class Http(NamedTuple):
    """What fetching works with. ``session`` opens the connection; None where the network may not be used."""

    store: "Store"
    session: "Callable[[], Session] | None"
    cancelled: Event
    secret: Secret = lambda _: None
    moved: Callable[[int], None] = lambda _: None
    """Told of bytes that have come."""

    def fetch(self, url: str, *, anew: bool = False) -> Fetched:
        """The file at ``url`` as it is now. ``anew``: what an earlier answer gave will not do. Raises PybuildError,
        RegistryError among them."""
        known = self.store.web_files.find(url)
        if known is not None and (anew or not self.store.blobs.has(known.digest)):
            known = None
        if self.session is None:
            raise PybuildError(f"{url}: there is no network to fetch it over", code="download")
        address, headers = _request(url, known, self.secret)
        record = self.session().download(address, headers, lambda response: self._take(response, known))
        self.store.web_files.put(url, record)
        return Fetched(record.digest, record.size, record.mtime)

    def _take(self, response: "Response", known: WebFile | None) -> WebFile:
        from registry.errors import Stopped

        if response.status == 304:
            if known is None:
                raise PybuildError("the server says that nothing changed, but was not asked", code="download")
            return known
        state = hashlib.sha256()
        with self.store.blobs.writer() as writer:
            for data in response.chunks():
                if self.cancelled.is_set():
                    raise Stopped
                state.update(data)
                writer.write(data)
                self.moved(len(data))
            digest = BlobDigest(Digest("sha256", state.hexdigest()))
            _check_length(response, writer.size)
            writer.commit(digest, writer.size)
        headers = response.headers
        modified = headers.get("last-modified", "")
        return WebFile(digest, writer.size, _seconds(modified), headers.get("etag", ""), modified)


def check_sum(expected: str, found: BlobDigest, url: str) -> None:
    """Raises IntegrityError. ``expected`` is ``sha256:...``."""
    if str(found) != expected:
        raise IntegrityError(
            f"{url}: digest mismatch: {found}, expected {expected}",
            hint="the file is not the one that --checksum means: check both",
        )


def file_name(url: str) -> str:
    """The last part of the path as written, percent-decoded."""
    name = posixpath.basename(unquote(urlsplit(url).path.rstrip("/")))
    return name if name not in {"", ".", ".."} and "\0" not in name else UNNAMED


def _request(url: str, known: WebFile | None, secret: Secret) -> tuple[str, dict[str, str]]:
    """The address without a user name, and the headers."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    headers: dict[str, str] = {}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.modified:
        headers["If-Modified-Since"] = known.modified
    if at:
        headers["Authorization"] = "Basic " + base64.b64encode(unquote(userinfo).encode()).decode()
    authorization = _authorization(parts.hostname or "", secret)
    if authorization:
        headers["Authorization"] = authorization
    return urlunsplit(parts._replace(netloc=host, fragment="")), headers


def _authorization(host: str, secret: Secret) -> str:
    """By secrets that are named for the host, without its port (reference 1.10)."""
    for name, prefix in (("HTTP_AUTH_HEADER_", ""), ("HTTP_AUTH_TOKEN_", "Bearer ")):
        value = secret(name + host)
        if value is not None:
            text = value.decode("ascii", "replace").strip()
            if any(ord(letter) < 0x20 for letter in text) or "\ufffd" in text:
                raise PybuildError(f"the secret {name}{host} is no value of a header", code="secret")
            return prefix + text
    return ""


def _check_length(response: "Response", size: int) -> None:
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) != size:
        from registry.errors import Unreachable

        raise Unreachable(f"the connection broke after {size} of {announced} bytes", temporary=True)


def _seconds(modified: str) -> int:
    try:
        return int(parsedate_to_datetime(modified).timestamp()) if modified else 0
    except (ValueError, TypeError, OverflowError):
        return 0
