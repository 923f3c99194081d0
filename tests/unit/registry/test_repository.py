import hashlib
import json

import pytest

from layers.digest import BlobDigest, Digest
from layers.errors import IntegrityError
from registry.client import Client, Network
from registry.endpoints import HostSettings
from registry.errors import BadAnswer, RegistryError
from registry.reference import Reference
from registry.repository import Repository, Upload
from tests.fakes.registry import FakeRegistry
from tests.support.answers import Answered, Script
from tests.support.registries import PACE, session

BASE = "https://r.example"
BLOB = BlobDigest(Digest.of(b"blob"))


def repository(*answers: Answered, host: str = "r.example") -> tuple[Repository, Script]:
    """After its ping."""
    script = Script(Answered(), *answers)
    network = Network(script, lambda _: HostSettings(), PACE)
    client = Client(host, HostSettings(), network, lambda: None)
    assert client.base == f"https://{host}"
    return Repository(client, "team/app"), script


@pytest.mark.parametrize(
    ("location", "url"),
    [
        (f"{BASE}/v2/team/app/blobs/uploads/1?a=b%2Fc", f"{BASE}/v2/team/app/blobs/uploads/1?a=b%2Fc"),
        ("/u/1", f"{BASE}/u/1"),
        ("1", f"{BASE}/v2/team/app/blobs/uploads/1"),
        ("//r.example/u", f"{BASE}/u"),
        ("http://r.example/u", f"{BASE}/u"),
        (f"{BASE}:443/u", f"{BASE}:443/u"),
    ],
)
def test_where_uploads_go(location: str, url: str) -> None:
    ours, _ = repository(Answered(202, {"location": location}))
    assert ours.start_upload() == Upload(url)


@pytest.mark.parametrize(
    "location",
    ["https://evil.example/u", "http://r.example:8080/u", "https://r.example:444/u", "ftp://r.example/", "https://[",
     "https://u:p@r.example/u", "https://r.example:x/u"],
)  # fmt: skip
def test_where_uploads_do_not_go(location: str) -> None:
    ours, script = repository(Answered(202, {"location": location}))
    with pytest.raises(BadAnswer):
        ours.start_upload()
    assert len(script.sent) == 2


def test_an_upload_without_a_place() -> None:
    ours, _ = repository(Answered(202))
    with pytest.raises(BadAnswer, match="did not say where"):
        ours.start_upload()


@pytest.mark.parametrize(
    ("header", "offset"),
    [("0-99", 100), ("bytes=0-99", 100), ("0-0", 0), ("", 0), ("5-9", 0), ("x", 0)],
)
def test_how_far_an_upload_is(header: str, offset: int) -> None:
    ours, _ = repository(Answered(204, {"range": header}))
    assert ours.upload_status(Upload(f"{BASE}/u", 50)).offset == offset


def test_the_digest_is_added_to_what_is_there() -> None:
    ours, script = repository(Answered(201), Answered(201))
    ours.finish_upload(Upload(f"{BASE}/u?state=a%2Fb"), BLOB)
    ours.finish_upload(Upload(f"{BASE}/u"), BLOB)
    digest = str(BLOB).replace(":", "%3A")
    assert script.lines[1:] == [f"PUT {BASE}/u?state=a%2Fb&digest={digest}", f"PUT {BASE}/u?digest={digest}"]


def test_a_blob_stored_as_another() -> None:
    ours, _ = repository(Answered(201, {"docker-content-digest": str(Digest.of(b"other"))}))
    with pytest.raises(BadAnswer, match="stored the blob"):
        ours.finish_upload(Upload(f"{BASE}/u"), BLOB)


@pytest.mark.parametrize("header", ["", "bytes 0-9/10", "bytes 6-9/10", "bytes=5-9", "bytes 5-9"])
def test_parts_that_were_not_asked_for(header: str) -> None:
    answer = Answered(206, {"content-range": header})
    ours, _ = repository(answer)
    with pytest.raises(BadAnswer, match="another part of a blob"):
        ours.open_blob(BLOB, 5)
    assert answer.closed


def test_a_part_that_nobody_asked_for() -> None:
    ours, _ = repository(Answered(206, {"content-range": "bytes 5-9/10"}))
    with pytest.raises(RegistryError, match="answered 206"):
        ours.open_blob(BLOB)


def test_manifests_are_verified_by_the_digest_asked_for() -> None:
    raw = b'{"schemaVersion":2}'
    wrong = Digest.of(b"x")
    ours, _ = repository(Answered(200, {"docker-content-digest": str(wrong)}, raw))
    with pytest.raises(IntegrityError):
        ours.get_manifest("1")
    ours, _ = repository(Answered(200, {"docker-content-digest": str(Digest.of(raw))}, raw))
    with pytest.raises(IntegrityError):
        ours.get_manifest(wrong)
    ours, _ = repository(Answered(200, {"content-type": "application/x; charset=utf-8"}, raw))
    found = ours.get_manifest("1")
    assert (found.digest, found.media_type, found.size) == (Digest.of(raw), "application/x", len(raw))


def test_manifests_of_other_algorithms() -> None:
    raw = b"{}"
    digest = Digest("sha512", hashlib.sha512(raw).hexdigest())
    ours, _ = repository(Answered(200, {}, raw), Answered(200, {}, raw + b" "))
    assert ours.get_manifest(digest).digest == digest
    with pytest.raises(IntegrityError):
        ours.get_manifest(digest)


def test_tags_page_by_page() -> None:
    with FakeRegistry().running() as fake, session() as ours:
        for tag in "abcde":
            fake.put_manifest("x", b"{}", "x", tag)
        found = ours.sources(Reference.parse(f"{fake.host}/x"))[0]
        assert list(found.tags()) == list("abcde")
        assert len(fake.requests("/tags/list")) == 3


@pytest.mark.parametrize("body", [b'{"tags":5}', b'{"tags":[5]}'])
def test_tags_that_are_none(body: bytes) -> None:
    ours, _ = repository(Answered(200, {}, body))
    with pytest.raises(BadAnswer):
        list(ours.tags())


def test_pages_elsewhere() -> None:
    ours, script = repository(Answered(200, {"link": '<https://evil.example/x>; rel="next"'}, b'{"tags":["a"]}'))
    with pytest.raises(BadAnswer):
        list(ours.tags())
    assert len(script.sent) == 2


@pytest.mark.parametrize("api", [True, False])
def test_referrers(api: bool) -> None:
    subject = Digest.of(b"image")
    raw = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                      "subject": {"mediaType": "m", "digest": str(subject), "size": 5}}).encode()  # fmt: skip
    with FakeRegistry().running() as fake, session() as ours:
        fake.referrers_api = api
        digest = fake.put_manifest("x", raw, "application/vnd.oci.image.manifest.v1+json")
        if not api:
            index = fake.referring(str(subject))
            fake.put_manifest("x", index, "application/vnd.oci.image.index.v1+json", f"sha256-{subject.hex}")
        found = ours.sources(Reference.parse(f"{fake.host}/x"))[0]
        assert [str(one.digest) for one in found.referrers(subject, "application/x")] == [digest]
        assert found.referrers(Digest.of(b"nobody")) == ()
