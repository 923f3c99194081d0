"""The endpoints of the distribution protocol for one repository, one method each, and nothing else.

Source: OCI distribution-spec, "Endpoints"; media types are listed in the order we prefer them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from layers import media
from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError
from layers.image import Descriptor
from layers.manifest import Index, parse_index
from layers.tuples import NamedTuple
from registry.auth import repository_scope
from registry.client import Client, Want
from registry.errors import Action, BadAnswer, RegistryError, UnknownName, Where, printable
from registry.messages import Answer, Body, Response, origin

MAX_MANIFEST = 4 << 20
"""Bytes; distribution-spec lets registries refuse longer ones."""
_MAX_TAG_PAGES = 1000
_ACCEPT = ", ".join((media.OCI_INDEX, media.OCI_MANIFEST, media.DOCKER_LIST, media.DOCKER_MANIFEST))
_LINK = re.compile(r'\s*<([^>]*)>\s*;.*?rel\s*=\s*"?next"?', re.IGNORECASE)
_RANGE = re.compile(r"(?:bytes[=\s])?0-(\d+)\Z")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(?:\d+|\*)\Z")


class Found(NamedTuple):
    """A manifest or index, or what a HEAD tells of one: then ``raw`` is empty. ``digest`` is None if nobody said it."""

    media_type: str
    digest: Digest | None
    size: int
    raw: bytes = b""


class Upload(NamedTuple):
    """An upload session. ``offset``: bytes the registry has; ``least``: the smallest chunk it takes."""

    url: str
    offset: int = 0
    least: int = 0


class Repository:
    """``repository`` as the registry knows it. All methods raise RegistryError; safe to use from many threads."""

    def __init__(self, client: Client, repository: str, *, verb: str = "pull") -> None:
        self.client = client
        self.repository = repository
        self._verb = verb
        self._pull = (repository_scope(repository, "pull"),)
        self._push = (repository_scope(repository, "pull", "push"),)
        self._delete = (repository_scope(repository, "delete", "pull", "push"),)
        # One token for a whole push: what reads in it asks for no other.
        self._read = self._push if verb == "push" else self._pull

    @property
    def name(self) -> str:
        return f"{self.client.name}/{self.repository}"

    def _action(self, subject: str = "") -> Action:
        return Action("push to" if self._verb == "push" else self._verb, self.client.name, self.repository, subject)

    def _path(self, kind: str, name: str) -> str:
        return f"/v2/{self.repository}/{kind}/{name}"

    def ping(self) -> None:
        """GET /v2/: proves the credential, as far as the registry asks for one here."""
        self.client.ask_all(Want(self._action(), "GET", "/v2/", self._read, ok=frozenset({200, 404})))

    def head_manifest(self, reference: str | Digest) -> Found | None:
        """None when there is none."""
        want = Want(self._action(), "HEAD", self._path("manifests", str(reference)), self._read, {"Accept": _ACCEPT})
        try:
            answer = self.client.ask_all(want)
        except UnknownName:
            return None
        return Found(_media_type(answer.headers), self._said_digest(answer), _length(answer.headers))

    def get_manifest(self, reference: str | Digest) -> Found:
        """Verified against ``reference`` when that is a digest, else against what the registry says it is.

        Raises IntegrityError, and BadAnswer for one of more than MAX_MANIFEST bytes.
        """
        subject = f"manifest {reference}" if isinstance(reference, Digest) else f"tag {reference}"
        path = self._path("manifests", str(reference))
        want = Want(self._action(subject), "GET", path, self._read, {"Accept": _ACCEPT})
        answer = self.client.ask_all(want, MAX_MANIFEST, "a manifest")
        expected = reference if isinstance(reference, Digest) else self._said_digest(answer)
        digest = Digest.of(answer.body) if expected is None else _digest_as(expected, answer.body)
        if expected is not None and digest != expected:
            raise IntegrityError(
                f"{self.name} sent a manifest with the digest {digest} as {expected}",
                hint="the registry, or something before it, changes what it serves: nothing of it was kept",
            )
        return Found(_media_type(answer.headers), digest, len(answer.body), answer.body)

    def put_manifest(self, reference: str | Digest, raw: bytes, media_type: str) -> Digest:
        """Returns the digest of ``raw``. Raises BadAnswer when the registry understood another one."""
        path = self._path("manifests", str(reference))
        want = Want(
            self._action(f"as {reference}"),
            "PUT",
            path,
            self._push,
            {"Content-Type": media_type},
            raw,
            frozenset({200, 201, 202}),
        )
        answer = self.client.ask_all(want)
        said, digest = self._said_digest(answer), Digest.of(raw)
        if said is not None and said.algorithm == digest.algorithm and said != digest:
            raise BadAnswer(f"{self.name} stored the manifest {digest} as {said}", where=Where(answer.url))
        return digest

    def head_blob(self, digest: BlobDigest) -> int | None:
        """Its size in bytes, None when it is not there."""
        want = Want(self._action(f"blob {digest}"), "HEAD", self._path("blobs", str(digest)), self._read)
        try:
            answer = self.client.ask_all(want)
        except UnknownName:
            return None
        return _length(answer.headers)

    def open_blob(self, digest: BlobDigest, start: int = 0) -> tuple[Response, int]:
        """The bytes from ``start`` on, unverified; and where they begin: a registry may ignore the range.

        Not repeated: who reads it has to be ready for its breaking off, and to take it up again, anyway.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        want = Want(
            self._action(f"blob {digest}"),
            "GET",
            self._path("blobs", str(digest)),
            self._read,
            headers,
            ok=frozenset({200, 206}) if start else frozenset({200}),
            once=True,
        )
        response = self.client.ask(want)
        if response.status == 200:
            return response, 0
        found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != start:
            response.close()
            raise BadAnswer(f"{self.name} sent another part of a blob than it was asked for", where=Where(response.url))
        return response, start

    def get_blob(self, digest: BlobDigest, size: int, what: str) -> bytes:
        """A small one, verified. Raises IntegrityError, and BadAnswer for one of more than ``size`` bytes."""
        want = Want(self._action(f"blob {digest}"), "GET", self._path("blobs", str(digest)), self._read)
        data = self.client.ask_all(want, size, what).body
        if len(data) != size or _digest_as(digest, data) != digest:
            raise IntegrityError(
                f"{self.name} sent {what} that is not {digest} of {size} bytes: nothing of it was kept"
            )
        return data

    def start_upload(self, mount: BlobDigest | None = None, origin: str = "") -> Upload | None:
        """None when the blob ``mount`` was mounted from the repository ``origin`` of this registry: nothing to send.

        Repeated like what only reads: of a session that nobody heard of the registry rids itself in its time.
        """
        path = self._path("blobs", "uploads/")
        scopes: tuple[str, ...] = self._push
        if mount is not None:
            path += "?" + urlencode({"mount": str(mount), "from": origin}, safe=":/")
            scopes = (*scopes, repository_scope(origin, "pull"))
        want = Want(self._action(), "POST", path, scopes, {"Content-Length": "0"}, ok=frozenset({201, 202}))
        try:
            answer = self.client.ask_all(want)
        except RegistryError as error:
            if mount is None or error.where.status not in {400, 401, 403, 404, 405}:
                raise
            return self.start_upload()  # it may be the mount alone that is not allowed or not known
        return None if answer.status == 201 and mount is not None else self._next(answer, Upload("", 0))

    def patch(self, upload: Upload, size: int, body: Callable[[], Body]) -> Upload:
        """Sends ``size`` bytes that follow those the registry has. Not repeated: see ``upload_status``."""
        last = upload.offset + size - 1
        headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{upload.offset}-{last}"}
        want = Want(
            self._action(), "PATCH", upload.url, self._push, headers, body, frozenset({200, 202, 204}), once=True
        )
        return self._next(self.client.ask_all(want), upload._replace(offset=last + 1))

    def finish_upload(self, upload: Upload, digest: BlobDigest, body: bytes | Callable[[], Body] = b"") -> None:
        """Closes the session, with the whole blob as ``body``, or none if it was sent. Not repeated."""
        headers = {"Content-Type": "application/octet-stream"}
        want = Want(
            self._action(),
            "PUT",
            _with_query(upload.url, "digest", str(digest)),
            self._push,
            headers,
            body,
            frozenset({200, 201, 204}),
            once=True,
        )
        answer = self.client.ask_all(want)
        said = self._said_digest(answer)
        if said is not None and said != digest:
            raise BadAnswer(f"{self.name} stored the blob {digest} as {said}", where=Where(answer.url))

    def upload_status(self, upload: Upload) -> Upload:
        """How far the registry has come. Raises UnknownName when it has forgotten the session."""
        want = Want(self._action("such upload"), "GET", upload.url, self._push, ok=frozenset({200, 202, 204}))
        return self._next(self.client.ask_all(want), upload._replace(offset=0))

    def cancel_upload(self, upload: Upload) -> None:
        """DELETE of the session; one that is gone is as good.

        Docker's registry wants the right to delete for it, which few who may push have: expect ``Denied``.
        """
        ok = frozenset({200, 202, 204, 404})
        self.client.ask_all(Want(self._action("such upload"), "DELETE", upload.url, self._delete, ok=ok))

    def tags(self) -> Iterator[str]:
        """All tags, in the registry's order."""
        path = f"/v2/{self.repository}/tags/list?n=1000"
        for _ in range(_MAX_TAG_PAGES):
            answer = self.client.ask_all(Want(self._action("tags"), "GET", path, self._read), MAX_MANIFEST, "tags")
            names = self._document(answer).get("tags") or []
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise BadAnswer(f"{self.name} sent a list of tags that is none", where=Where(answer.url))
            yield from names
            following = _LINK.match(answer.headers.get("link", ""))
            if following is None:
                return
            path = self._here(answer.url, following[1])
        raise BadAnswer(f"{self.name} sent more than {_MAX_TAG_PAGES} pages of tags")

    def referrers(self, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What refers to a manifest, from the Referrers API or else from the tag that stands in for it."""
        path = self._path("referrers", str(digest))
        if artifact_type:
            path += "?" + urlencode({"artifactType": artifact_type})
        try:
            want = Want(self._action("referrers"), "GET", path, self._read, {"Accept": media.OCI_INDEX})
            answer = self.client.ask_all(want, MAX_MANIFEST, "an index")
            return parse_index(answer.body).manifests
        except UnknownName:
            pass
        try:
            found = self.get_manifest(f"{digest.algorithm}-{digest.hex}"[:128])
        except UnknownName:
            return ()
        index: Index = parse_index(found.raw)
        return index.manifests

    def _document(self, answer: Answer) -> Mapping[str, object]:
        from layers.gojson import loads

        return loads(answer.body, f"the answer of {self.name}")

    def _said_digest(self, answer: Answer) -> Digest | None:
        text = answer.headers.get("docker-content-digest")
        if not text:
            return None
        try:
            return Digest.parse(text)
        except ValueError:
            raise BadAnswer(f"{self.name} sent a digest that is none: {printable(text)}") from None

    def _next(self, answer: Answer, upload: Upload) -> Upload:
        location = answer.headers.get("location")
        url = self._here(answer.url, location) if location else upload.url
        if not url:
            raise BadAnswer(f"{self.name} started an upload, but did not say where", where=Where(answer.url))
        found = _RANGE.match(answer.headers.get("range", "").strip())
        if found and len(found[1]) > 15:
            raise BadAnswer(f"{self.name} claims to have more of an upload than was sent", where=Where(answer.url))
        # "0-0" may mean that nothing is there, and may mean one byte: it tells us nothing.
        offset = int(found[1]) + 1 if found and found[1].strip("0") else upload.offset
        least = answer.headers.get("oci-chunk-min-length", "")
        return Upload(url, offset, int(least) if least.isdecimal() and len(least) < 12 else upload.least)

    def _here(self, asked: str, location: str) -> str:
        """An address the registry gave, absolute and on the registry: layers and credentials are not sent elsewhere.

        Behind a proxy that ends TLS, registries are known to say ``http`` for what is ``https``.
        """
        base = self.client.base
        try:
            parts, ours = urlsplit(urljoin(asked, location)), urlsplit(base)
            if (parts.scheme, ours.scheme, parts.netloc) == ("http", "https", ours.netloc):
                parts = parts._replace(scheme="https")
            url = urlunsplit(parts)
            same = origin(url) == origin(base) and not parts.username
        except ValueError:
            same, url = False, ""
        if not same:
            host = printable(location.partition("://")[2].partition("/")[0].rpartition("@")[2])
            raise BadAnswer(
                f"{self.name} wants what is sent to it to go to another host, {host}",
                hint="a proxy before the registry may give it a wrong host name; otherwise do not trust this registry",
            )
        return url


def _with_query(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    added = f"{name}={quote(value, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip()


def _length(headers: Mapping[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _digest_as(like: Digest, data: bytes) -> Digest:
    import hashlib

    return Digest(like.algorithm, hashlib.new(like.algorithm, data, usedforsecurity=True).hexdigest())
