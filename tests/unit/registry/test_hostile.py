"""A hostile or broken registry: a clear error, soon, with nothing stored and no credential given away."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from layers.blobs import Blobs
from layers.digest import Digest
from layers.errors import IntegrityError, InvalidImage, PybuildError
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, RateLimited, RegistryError, Unreachable, Untrusted
from registry.pace import Pace
from registry.pull import MAX_LAYERS, PulledImage, Puller
from registry.push import KnownOrigins, push
from registry.reference import Reference
from registry.repository import MAX_MANIFEST
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.images import entry, make_image, make_index, make_layer, sha256
from tests.support.registries import (
    AMD64,
    IMPATIENT,
    PACE,
    PASSWORD,
    USER,
    left_over,
    login,
    make_blobs,
    session,
    to_push,
)

OCI = "application/vnd.oci.image"
IMAGE = make_image(make_layer({"a": b"a" * 100_000}, compressed=False), make_layer({"b": b"b"}))
BIG = IMAGE.layers[0]
BLOB = rf"GET /v2/x/blobs/{BIG.digest}"
CONFIG = rf"GET /v2/x/blobs/{IMAGE.id}"
MANIFEST = "GET /v2/x/manifests/"


@pytest.fixture(params=["asked", "transported"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions go either way: all that protects has to hold for both."""
    if request.param == "transported":
        monkeypatch.setattr("registry.asking.askable", lambda *_: False)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry(Gate("basic", {USER: PASSWORD})).running() as made:
        made.put_image("x", IMAGE, "1")
        yield made


@pytest.fixture
def other() -> Iterator[FakeRegistry]:
    """Another host: it takes whatever it is given."""
    with FakeRegistry(address="127.0.0.2").running() as made:
        made.put_image("x", IMAGE, "1")
        yield made


def pull(fake: FakeRegistry, directory: Path, pace: Pace = PACE) -> PulledImage:
    """Everything, into a store that must stay as it is when this fails."""
    name = Reference.parse(f"{fake.host}/x:1")
    blobs = make_blobs(directory)
    with session({fake.host: login()}, pace=pace) as ours:
        puller = Puller(ours)
        try:
            image = puller.resolve(name, AMD64)
            puller.fetch(image, image.manifest.layers, blobs)
        except PybuildError:
            assert not left_over(directory)
            _only_right_ones(blobs)
            raise
        return image


def _only_right_ones(blobs: Blobs) -> None:
    for digest in blobs:
        with blobs.open(digest) as reader:
            reader.drain()


def announced(size: int) -> Callable[[bytes], bytes]:
    """A manifest whose first layer says it has ``size`` bytes."""

    def change(raw: bytes) -> bytes:
        document = json.loads(raw)
        document["layers"][0]["size"] = size
        return json.dumps(document).encode()

    return change


def replace_manifest(fake: FakeRegistry, change: Callable[[bytes], bytes]) -> None:
    fake.put_manifest("x", change(IMAGE.manifest), f"{OCI}.manifest.v1+json", "1")


Case = tuple[str, faults.Act, type[PybuildError], str]


@pytest.mark.parametrize(
    "case",
    [
        (BLOB, faults.changed(faults.damaged), IntegrityError, "have the digest"),
        (CONFIG, faults.changed(faults.damaged), IntegrityError, "sent a config that is not"),
        (MANIFEST, faults.changed(faults.damaged), IntegrityError, "sent a manifest with the digest"),
        (BLOB, faults.changed(lambda data: data + b"x"), IntegrityError, "sent more than the"),
        (CONFIG, faults.changed(lambda data: data + b"x"), BadAnswer, "a config of more than"),
        (BLOB, faults.changed(lambda data: data[:-1]), IntegrityError, "bytes of the layer"),
        (CONFIG, faults.changed(lambda data: data[:-1]), IntegrityError, "sent a config that is not"),
        (BLOB, faults.cut(10), Unreachable, "cannot reach"),
        (CONFIG, faults.cut(10), Unreachable, "cannot reach"),
        (MANIFEST, faults.cut(10), Unreachable, "cannot reach"),
        (BLOB, faults.endless, IntegrityError, "sent more than the"),
        (CONFIG, faults.endless, BadAnswer, "a config of more than"),
        (MANIFEST, faults.endless, BadAnswer, f"a manifest of more than {MAX_MANIFEST} bytes"),
        (BLOB, faults.status(500), RegistryError, "answered 500"),
        (CONFIG, faults.status(502), RegistryError, "answered 502"),
        (MANIFEST, faults.status(503), RegistryError, "answered 503"),
        (BLOB, faults.reset, Unreachable, "cannot reach"),
        (MANIFEST, faults.reset, Unreachable, "connection reset by peer"),
        (BLOB, faults.slow, Unreachable, "too little came in too long a time"),
        (BLOB, faults.slow_body, Unreachable, "too little came in too long a time"),
        (CONFIG, faults.slow_body, Unreachable, "too little came in too long a time"),
        (MANIFEST, faults.slow, Unreachable, "too little came in too long a time"),
        (MANIFEST, faults.status(429, Retry_After="86400"), RateLimited, "allows no more requests"),
        (MANIFEST, faults.status(204), RegistryError, "answered 204"),
        (MANIFEST, faults.changed(bytes, Docker_Content_Digest="sha256:0"), BadAnswer, "a digest that is none"),
        (MANIFEST, faults.redirect("/v2/x/manifests/1"), BadAnswer, "redirects in a circle"),
        (MANIFEST, faults.redirect("file:///etc/passwd"), BadAnswer, "an address that cannot be used"),
        (MANIFEST, faults.redirect("http://user:pw@127.0.0.1/"), BadAnswer, "an address that cannot be used"),
        (MANIFEST, faults.redirect("http://[/"), BadAnswer, "an address that cannot be used"),
        (MANIFEST, faults.redirect("http://127.0.0.1:99999/"), BadAnswer, "an address that cannot be used"),
        (MANIFEST, faults.redirect("http://example.com/x"), Untrusted, "over plain HTTP"),
    ],
)
def test_answers(fake: FakeRegistry, tmp_path: Path, case: Case) -> None:
    pattern, act, kind, said = case
    fake.fault(pattern, act)
    with pytest.raises(kind) as caught:
        pull(fake, tmp_path, IMPATIENT)
    assert said in caught.value.message
    assert PASSWORD not in f"{caught.value!r} {caught.value.hint}"
    assert len(fake.requests(pattern)) < 20


@pytest.mark.parametrize("act", [faults.endless, faults.status(500), faults.status(404), faults.slow_body])
def test_a_first_answer_that_is_of_no_use(fake: FakeRegistry, tmp_path: Path, act: faults.Act) -> None:
    """It would only say which credentials are wanted; the next ones do too."""
    fake.fault("GET /v2/$", act)
    assert pull(fake, tmp_path, IMPATIENT).config == IMAGE.config


def test_endless_bodies_are_cut_off(fake: FakeRegistry, tmp_path: Path) -> None:
    """Some buffers beyond what is allowed, not more: this bounds memory, and what is written."""
    fake.fault(BLOB, faults.endless)
    with pytest.raises(IntegrityError):
        pull(fake, tmp_path)
    assert sum(one.sent for one in fake.requests(BLOB)) < 20 << 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (announced(len(BIG.blob) + 1), "bytes of the layer"),
        (announced(len(BIG.blob) - 1), "sent more than the"),
        (announced(1 << 60), "too large"),
        (announced(-1), "its size is negative"),
        (lambda raw: raw.replace(b'"size"', b'"sizf"', 1), "a config of more than 0 bytes"),
        (lambda raw: b"[" * 100_000, "is not JSON"),
        (lambda raw: b"{}", "schemaVersion is not 2"),
        (lambda raw: raw.replace(b'"schemaVersion": 2', b'"schemaVersion": 1'), "schema 1 cannot be used"),
        (lambda raw: raw.replace(b"config.v1+json", b"helm.v1+json"), "is no container image"),
        (lambda raw: raw.replace(b"layer.v1.tar+gzip", b"layer.v1.tar+lzma"), "cannot be used"),
        (lambda raw: raw.replace(b'"layers": [', b'"layers": [' + b"%s," % json.dumps(
            {"mediaType": f"{OCI}.layer.v1.tar", "digest": BIG.digest, "size": 1}).encode() * (MAX_LAYERS + 1)),
         "layers, more than"),
        (lambda raw: raw.replace(BIG.digest.encode(), b"sha256:../../etc/passwd"), "not a digest"),
        (lambda raw: raw + b" " * MAX_MANIFEST, "a manifest of more than"),
    ],
)  # fmt: skip
def test_manifests(fake: FakeRegistry, tmp_path: Path, change: Callable[[bytes], bytes], said: str) -> None:
    replace_manifest(fake, change)
    with pytest.raises(PybuildError) as caught:
        pull(fake, tmp_path)
    assert said in caught.value.message


def test_schema_1(fake: FakeRegistry, tmp_path: Path) -> None:
    fake.put_manifest("x", b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "1")
    with pytest.raises(InvalidImage, match="is an image of schema 1"):
        pull(fake, tmp_path)


def test_an_index_that_contains_itself(fake: FakeRegistry, tmp_path: Path) -> None:
    """It cannot, unless the registry lies about digests: whatever it is asked for, it sends this index."""
    raw = make_index({"mediaType": f"{OCI}.index.v1+json", "digest": sha256(b"it"), "size": 5})
    fake.put_manifest("x", raw, f"{OCI}.index.v1+json", "1")
    fake.put_manifest("x", raw, f"{OCI}.index.v1+json", sha256(b"it"))
    with pytest.raises(IntegrityError, match="sent a manifest with the digest"):
        pull(fake, tmp_path)


def test_indexes_nested_without_end(fake: FakeRegistry, tmp_path: Path) -> None:
    raw = IMAGE.manifest
    for _ in range(10):
        media_type = json.loads(raw)["mediaType"]
        fake.put_manifest("x", raw, media_type, "1")
        raw = make_index({"mediaType": media_type, "digest": sha256(raw), "size": len(raw)})
    with pytest.raises(InvalidImage, match="indexes within indexes"):
        pull(fake, tmp_path)
    assert len(fake.requests(MANIFEST)) < 10


def test_a_manifest_of_another_size_than_the_index_says(fake: FakeRegistry, tmp_path: Path) -> None:
    index = make_index({**entry(IMAGE), "size": len(IMAGE.manifest) + 1})
    fake.put_manifest("x", index, f"{OCI}.index.v1+json", "1")
    with pytest.raises(IntegrityError, match="bytes, not"):
        pull(fake, tmp_path)


def test_layers_and_config_disagree(fake: FakeRegistry, tmp_path: Path) -> None:
    replace_manifest(fake, lambda raw: json.dumps({**json.loads(raw), "layers": []}).encode())
    with pytest.raises(InvalidImage, match="its config has 2 layers, its manifest 0"):
        pull(fake, tmp_path)


def test_redirected_blobs_come_without_credentials(fake: FakeRegistry, other: FakeRegistry, tmp_path: Path) -> None:
    fake.fault("GET /v2/x/blobs/", faults.redirect(f"{other.base}/v2/x/blobs/{BIG.digest}"))
    with pytest.raises(PybuildError):
        pull(fake, tmp_path)
    assert other.requests("GET")
    assert other.secrets_seen() == []
    assert fake.secrets_seen()


def test_redirects_may_lead_to_storage_elsewhere(fake: FakeRegistry, other: FakeRegistry, tmp_path: Path) -> None:
    fake.fault(BLOB, faults.redirect(f"{other.base}/v2/x/blobs/{BIG.digest}"))
    pull(fake, tmp_path)
    assert [one.line for one in other.requests("GET")] == [f"GET /v2/x/blobs/{BIG.digest}"]
    assert other.secrets_seen() == []


def test_a_host_that_was_led_to_cannot_ask_for_a_password(
    fake: FakeRegistry, other: FakeRegistry, tmp_path: Path
) -> None:
    other.gate = Gate("basic", {USER: PASSWORD})
    fake.fault(BLOB, faults.redirect(f"{other.base}/v2/x/blobs/{BIG.digest}"))
    with pytest.raises(BadAnswer, match=f"sent us on to {other.host}, which answered 401"):
        pull(fake, tmp_path)
    assert other.log
    assert other.secrets_seen() == []


def test_no_password_for_a_token_service_elsewhere(fake: FakeRegistry, other: FakeRegistry, tmp_path: Path) -> None:
    fake.gate = Gate("bearer", {USER: PASSWORD}, realm=f"{other.base}/token")
    with pytest.raises(Untrusted, match="asks for its password to be sent to another host") as caught:
        pull(fake, tmp_path)
    assert 'token-hosts = ["127.0.0.2"]' in (caught.value.hint or "")
    assert other.log == []


def test_a_token_service_elsewhere_can_be_allowed(fake: FakeRegistry, other: FakeRegistry) -> None:
    gate = Gate("bearer", {USER: PASSWORD}, realm=f"{other.base}/token")
    fake.gate = other.gate = gate
    settings = {fake.host: HostSettings(token_hosts=("127.0.0.2",))}
    with session({fake.host: login()}, settings) as ours:
        Puller(ours).resolve(Reference.parse(f"{fake.host}/x:1"), AMD64)
    assert other.requests("POST /token")


def test_a_token_service_that_sends_us_on(fake: FakeRegistry, other: FakeRegistry, tmp_path: Path) -> None:
    """The form with the password is not sent again; nor is the header."""
    fake.gate = Gate("bearer", {USER: PASSWORD})
    fake.fault("POST /token", faults.redirect(f"{other.base}/token"))
    with pytest.raises(BadAnswer, match=r"the token service of .* answered 307"):
        pull(fake, tmp_path)
    assert other.log == []
    again = tmp_path / "again"
    again.mkdir()
    fake.fault("POST /token", faults.status(405))
    fake.fault("GET /token", faults.redirect(f"{other.base}/token"))
    with pytest.raises(PybuildError):
        pull(fake, again)
    assert other.requests("GET /token")
    assert other.secrets_seen() == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"not json", "sent no JSON object"),
        (b"[]", "sent no JSON object"),
        (b"{}", "sent no token"),
        (b'{"token":"a\\r\\nX-Evil: 1"}', "sent no token"),
        (b'{"token":5}', "sent no token"),
        (b"x" * (2 << 20), "a token of more than"),
    ],
)
def test_tokens_that_are_none(fake: FakeRegistry, tmp_path: Path, body: bytes, said: str) -> None:
    fake.gate = Gate("bearer", {USER: PASSWORD})
    fake.fault(" /token", faults.status(200, body))
    with pytest.raises(BadAnswer) as caught:
        pull(fake, tmp_path)
    assert said in caught.value.message


def test_endless_challenges(fake: FakeRegistry, tmp_path: Path) -> None:
    """Whatever token we bring, it wants another one."""
    fake.gate = Gate("bearer", {USER: PASSWORD})
    fake.fault(MANIFEST, faults.status(401, WWW_Authenticate=f'Bearer realm="{fake.base}/token",scope="a:b:c"'))
    with pytest.raises(RegistryError, match="no permission to pull"):
        pull(fake, tmp_path)
    assert len(fake.log) < 15


def test_uploads_are_not_sent_elsewhere(fake: FakeRegistry, other: FakeRegistry) -> None:
    fake.fault("POST /v2/x/blobs/uploads/", faults.status(202, Location=f"{other.base}/v2/x/blobs/uploads/1"))
    new = make_image(make_layer({"new": b"new"}))
    with session({fake.host: login()}) as ours, pytest.raises(BadAnswer, match="to go to another host"):
        push(ours, [Reference.parse(f"{fake.host}/x:2")], to_push(new), KnownOrigins())
    assert other.log == []


def test_texts_of_a_registry_do_not_reach_the_terminal_as_they_are(fake: FakeRegistry, tmp_path: Path) -> None:
    body = b'{"errors":[{"code":"DENIED","message":"\\u001b]0;pwned\\u0007\\u202egood%s"}]}' % (b"x" * 9000)
    fake.fault(MANIFEST, faults.status(403, body))
    with pytest.raises(RegistryError) as caught:
        pull(fake, tmp_path)
    assert "pwned" in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


def test_a_wrong_digest_of_a_pushed_manifest(fake: FakeRegistry) -> None:
    fake.fault("PUT /v2/x/manifests/", faults.status(201, Docker_Content_Digest=str(Digest.of(b"other"))))
    with session({fake.host: login()}) as ours, pytest.raises(BadAnswer, match="stored the manifest"):
        push(ours, [Reference.parse(f"{fake.host}/x:2")], to_push(IMAGE), KnownOrigins())
