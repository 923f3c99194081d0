"""Pushes: what is sent and what is not, in which order, and how they go on after trouble."""

import io
import random
import threading
import time
from collections.abc import Iterator

import pytest

from layers.errors import IntegrityError
from registry.auth import Credential
from registry.errors import Denied, RegistryError, Stopped
from registry.pace import Clock
from registry.push import Document, KnownOrigins, Push, bytes_blob, push
from registry.reference import Reference
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.images import make_image, make_layer
from tests.support.registries import PACE, PASSWORD, USER, Helpers, login, session, to_push

DATA = random.Random(1).randbytes(500_000)
BLOB = bytes_blob(DATA, "application/octet-stream")
IMAGE = make_image(make_layer({"a": b"a"}), make_layer({"b": b"b"}))
OPAQUE = r"/v2/x/blobs/uploads/[0-9a-f]+"


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as made:
        yield made


def name(fake: FakeRegistry, text: str = "x:1") -> Reference:
    return Reference.parse(f"{fake.host}/{text}")


def send(fake: FakeRegistry, *, chunk_size: int = 100_000, progress: list[int] | None = None) -> None:
    """One blob in five chunks."""
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=chunk_size)
        try:
            work.send(BLOB, None if progress is None else progress.append)
        finally:
            work.abort()
    assert fake.blobs["x", str(BLOB.descriptor.digest)] == DATA
    assert fake.uploads == {}


def test_manifests_come_last(fake: FakeRegistry) -> None:
    with session() as ours:
        push(ours, [name(fake), name(fake, "x:2")], to_push(IMAGE), KnownOrigins())
    lines = [one.line for one in fake.log]
    assert lines[-2:] == ["PUT /v2/x/manifests/1", "PUT /v2/x/manifests/2"]
    assert all("/blobs/" in line or line == "GET /v2/" for line in lines[:-2])


def test_an_unchanged_image_costs_a_head_per_blob(fake: FakeRegistry) -> None:
    with session() as ours:
        push(ours, [name(fake)], to_push(IMAGE), KnownOrigins())
    fake.log.clear()
    moved: list[int] = []
    with session() as ours:
        push(ours, [name(fake)], to_push(IMAGE), KnownOrigins(), lambda _, count: moved.append(count))
    assert sorted(one.method for one in fake.log) == ["GET", "HEAD", "HEAD", "HEAD", "PUT"]
    assert sum(moved) == sum(blob.descriptor.size for blob in to_push(IMAGE).blobs)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_head_per_blob_with_credentials_too(kind: str) -> None:
    with FakeRegistry(Gate(kind, {USER: PASSWORD})).running() as fake:
        for _ in range(2):
            fake.log.clear()
            with session({fake.host: login()}) as ours:
                push(ours, [name(fake)], to_push(IMAGE), KnownOrigins())
        assert len([one for one in fake.log if one.method == "HEAD"]) == 3


def test_a_base_layer_is_mounted(fake: FakeRegistry) -> None:
    base = make_image(IMAGE.layers[0])
    fake.put_image("base", base, "1")
    origins = KnownOrigins()
    manifest = to_push(base)
    origins.remember(fake.host, "base", manifest.blobs[0].descriptor.digest)
    moved: list[int] = []
    with session() as ours:
        push(ours, [name(fake)], to_push(IMAGE), origins, lambda _, count: moved.append(count))
    digest = IMAGE.layers[0].digest
    assert [one.status for one in fake.requests(f"POST .*mount={digest}&from=base")] == [201]
    sent = [one.body for one in fake.log if one.method in {"PUT", "PATCH"}]
    assert IMAGE.layers[0].blob not in sent
    assert sum(moved) == sum(blob.descriptor.size for blob in to_push(IMAGE).blobs)


def test_a_mount_that_is_not_made_is_an_upload(fake: FakeRegistry) -> None:
    origins = KnownOrigins()
    for blob in to_push(IMAGE).blobs:
        origins.remember(fake.host, "gone", blob.descriptor.digest)
    with session() as ours:
        push(ours, [name(fake)], to_push(IMAGE), origins)
    assert len(fake.requests("POST")) == 3


def test_older_repositories_are_asked_when_the_newest_has_lost_it(fake: FakeRegistry) -> None:
    """Their sessions are given up: nothing is sent."""
    origins = KnownOrigins()
    fake.put_blob("base", BLOB.open().read(1 << 20))
    for repository in ("base", "gone", "gone/too"):
        origins.remember(fake.host, repository, BLOB.descriptor.digest)

    def unread() -> io.BytesIO:
        raise AssertionError("a blob that can be mounted is not read")

    with session() as ours:
        Push(ours.target(name(fake)), origins, PACE).send(BLOB._replace(open=unread))
    assert ("x", str(BLOB.descriptor.digest)) in fake.blobs
    assert not fake.uploads


@pytest.mark.parametrize("code", [400, 401, 403, 404])
def test_a_mount_that_is_refused_is_an_upload(fake: FakeRegistry, code: int) -> None:
    fake.fault("POST .*mount=", faults.status(code))
    origins = KnownOrigins()
    origins.remember(fake.host, "secret", BLOB.descriptor.digest)
    with session() as ours:
        Push(ours.target(name(fake)), origins, PACE).send(BLOB)
    assert ("x", str(BLOB.descriptor.digest)) in fake.blobs


def test_a_second_repository_mounts_from_the_first(fake: FakeRegistry) -> None:
    with session() as ours:
        push(ours, [name(fake), name(fake, "y:1")], to_push(IMAGE), KnownOrigins())
    assert len([one for one in fake.log if one.method == "PUT" and "/blobs/" in one.path]) == 3
    assert len(fake.requests("POST /v2/y/.*mount=.*from=x")) == 3
    assert ("y", "1") in fake.manifests


def test_several_registries(fake: FakeRegistry) -> None:
    with FakeRegistry().running() as second, session() as ours:
        done = push(ours, [name(fake), name(second, "z:2")], to_push(IMAGE), KnownOrigins())
        assert [str(one.reference) for one in done] == [f"{fake.host}/x:1", f"{second.host}/z:2"]
        assert ("z", "2") in second.manifests
    assert ("x", "1") in fake.manifests


def test_one_registry_that_fails_does_not_keep_others_from_theirs(fake: FakeRegistry) -> None:
    with FakeRegistry().running() as second, session() as ours:
        second.fault("PUT .*/manifests/", faults.refused(403, "DENIED"))
        with pytest.raises(Denied):
            push(ours, [name(second), name(fake)], to_push(IMAGE), KnownOrigins())
    assert ("x", "1") in fake.manifests


def test_by_digest_without_a_tag(fake: FakeRegistry) -> None:
    with session() as ours:
        push(ours, [Reference.parse(f"{fake.host}/x")], to_push(IMAGE), KnownOrigins())
    assert set(fake.manifests) == {("x", IMAGE.digest)}


def test_in_chunks(fake: FakeRegistry) -> None:
    moved: list[int] = []
    send(fake, progress=moved)
    assert [len(one.body) for one in fake.requests("PATCH")] == [100_000] * 5
    assert [one.headers["Content-Range"] for one in fake.requests("PATCH")][:2] == ["0-99999", "100000-199999"]
    assert sum(moved) == len(DATA)


def test_a_small_one_takes_two_requests(fake: FakeRegistry) -> None:
    send(fake, chunk_size=1 << 20)
    assert [one.method for one in fake.log if "/uploads/" in one.path] == ["POST", "PUT"]


def test_the_least_chunk_of_a_registry_is_kept_to(fake: FakeRegistry) -> None:
    fake.least = 300_000
    send(fake)
    assert [len(one.body) for one in fake.requests("PATCH")] == [300_000, 200_000]


def test_goes_on_where_the_registry_stands(fake: FakeRegistry) -> None:
    """The third chunk breaks off after 30,000 bytes, which the registry has kept."""
    fake.fault("PATCH .*s200000", faults.swallow(30_000), times=1)
    moved: list[int] = []
    send(fake, progress=moved)
    begins = [one.headers["Content-Range"].partition("-")[0] for one in fake.requests("PATCH")]
    assert begins == ["0", "100000", "200000", "230000", "330000", "430000"]
    assert len(fake.requests("GET " + OPAQUE)) == 1
    assert sum(moved) == len(DATA)


def test_an_answer_that_nobody_heard(fake: FakeRegistry) -> None:
    fake.fault("PATCH .*s100000", faults.unheard, times=1)
    send(fake)
    assert len(fake.requests("PATCH")) == 5


def test_an_end_that_nobody_heard(fake: FakeRegistry) -> None:
    """The session is gone, the blob is there: nothing is sent twice."""
    fake.fault("PUT ", faults.unheard, times=1)
    send(fake)
    assert len(fake.requests("PUT")) == 1
    assert len(fake.requests("PATCH")) == 5


def test_a_session_that_is_gone(fake: FakeRegistry) -> None:
    fake.fault("PATCH .*s300000", faults.refused(404, "BLOB_UPLOAD_UNKNOWN"), times=1)
    fake.fault("GET " + OPAQUE, faults.refused(404, "BLOB_UPLOAD_UNKNOWN"), times=1)
    moved: list[int] = []
    send(fake, progress=moved)
    assert len(fake.requests("POST")) == 2
    assert sum(moved) == len(DATA)


def test_a_registry_that_takes_one_patch_only(fake: FakeRegistry) -> None:
    fake.chunks = False
    send(fake)
    assert len(fake.requests("POST")) == 2


def test_a_proxy_that_limits_the_length_of_requests() -> None:
    data = random.Random(2).randbytes(3 << 20)
    blob = bytes_blob(data, "")
    with FakeRegistry().running() as fake, session() as ours:
        fake.largest = 2 << 20
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=8 << 20)
        work.send(blob)
        assert fake.blobs["x", str(blob.descriptor.digest)] == data


@pytest.mark.parametrize("code", [500, 503, 429])
def test_trouble_that_passes(fake: FakeRegistry, code: int) -> None:
    fake.fault("(POST|PATCH|PUT|HEAD) ", faults.status(code), times=2)
    send(fake)
    assert [one.status for one in fake.log].count(code) == 2


@pytest.mark.parametrize("act", [faults.status(500), faults.status(504), faults.reset, faults.unheard])
@pytest.mark.parametrize("what", ["POST .*/uploads/$", "POST .*mount="])
def test_an_upload_that_does_not_begin_at_once(fake: FakeRegistry, act: faults.Act, what: str) -> None:
    """Neither the check before a build, nor a mount, nor an upload fails for what is over a moment later."""
    origins = KnownOrigins()
    seen: list[int] = []
    with session() as ours:
        push(ours, [name(fake, "base")], to_push(IMAGE), origins)
        work = Push(ours.target(name(fake, "app")), origins, PACE)
        for step in (work.check, lambda: work.send_all(to_push(IMAGE).blobs, 1), lambda: work.send(BLOB)):
            fake.faults[:] = [faults.Fault(what, act, times=2)]
            step()
            seen.append(fake.faults[0].seen)
    assert seen.count(2) == (1 if "mount" in what else 2)


def test_trouble_that_stays(fake: FakeRegistry) -> None:
    fake.fault("PATCH ", faults.status(500))
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=1000)
        with pytest.raises(RegistryError, match="answered 500"):
            work.send(BLOB)
        assert len(fake.requests("PATCH")) == 3
        work.abort()
    assert fake.uploads == {}


def test_claims_to_have_what_was_not_sent(fake: FakeRegistry) -> None:
    fake.fault("PATCH ", faults.status(202, Range="0-99999999"))
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=1000)
        with pytest.raises(RegistryError, match="claims to have other bytes"):
            work.send(BLOB)
        work.abort()
    assert fake.uploads == {}


def test_a_failing_push_deletes_its_sessions(fake: FakeRegistry) -> None:
    """The second of two blobs fails; what the first has begun is not left behind."""
    fake.fault("PATCH .*s100000", faults.refused(403, "DENIED"))
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=100_000)
        with pytest.raises(Denied, match="no permission to push to"):
            work.send_all([BLOB], 2)
        assert len(fake.uploads) == 1
        work.abort()
    assert fake.uploads == {}


def test_nothing_is_sent_after_an_abort(fake: FakeRegistry) -> None:
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)
        work.abort()
        with pytest.raises(Stopped):
            work.send(BLOB)
    assert fake.log == []


def test_an_abort_ends_an_upload(fake: FakeRegistry) -> None:
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=1000)
        with pytest.raises(Stopped):
            work.send(BLOB, lambda count: work.abort() if count else None)
        work.abort()
    assert fake.uploads == {}


def test_a_blob_that_is_cut_short(fake: FakeRegistry) -> None:
    short = BLOB._replace(open=lambda: io.BytesIO(DATA[:1000]))
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)
        with pytest.raises(IntegrityError, match="has 1000 bytes"):
            work.send(short)
        work.abort()
    assert fake.uploads == {}


def test_a_blob_can_be_sent_after_a_failure(fake: FakeRegistry) -> None:
    fake.fault("HEAD ", faults.refused(403, "DENIED"), times=1)
    with session() as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)
        with pytest.raises(Denied):
            work.send(BLOB)
        work.send(BLOB)


def test_no_permission_to_push() -> None:
    """Known before anything is built: the token lets us pull only."""
    gate = Gate("bearer", {USER: PASSWORD}, writers=frozenset())
    with FakeRegistry(gate).running() as fake, session({fake.host: login()}) as ours:
        with pytest.raises(Denied) as caught:
            Push(ours.target(name(fake)), KnownOrigins(), PACE).check()
        assert caught.value.message.startswith(f"no permission to push to {fake.host}/x")
        assert caught.value.hint == (
            f"ask its owner for the right to push to it, or log in as another user: 'pybuild login {fake.host}'"
        )


def test_the_right_to_delete_is_not_needed() -> None:
    """Docker's registry asks for it even where somebody gives up an upload of his own."""
    gate = Gate("bearer", {USER: PASSWORD}, deleters=frozenset())
    with FakeRegistry(gate).running() as fake, session({fake.host: login()}) as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)
        work.check()
        work.send(BLOB)
        assert ("x", str(BLOB.descriptor.digest)) in fake.blobs
        assert len([one for one in fake.log if one.method == "DELETE" and one.status == 401]) == 1


def test_tokens_that_expire_do_not_fail_a_long_push() -> None:
    """A token lives for a tenth of the time the push takes, and is renewed between chunks."""
    gate = Gate("bearer", {USER: PASSWORD}, life=0.2)
    with FakeRegistry(gate).running() as fake:
        fake.fault("PATCH ", _delayed)
        with session({fake.host: login()}) as ours:
            work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=25_000)
            work.send(BLOB)
            work.seal([Document(b"{}", "application/vnd.oci.image.manifest.v1+json")], ["1"])
        assert len(fake.requests("/token")) > 5


def _delayed(handler: faults.Handler, real: faults.Real) -> None:
    time.sleep(0.1)
    handler.answer(*real())


def test_a_token_that_is_refused_is_fetched_anew() -> None:
    """Its life was said to be longer than it is."""
    gate = Gate("bearer", {USER: PASSWORD}, life=300)
    with FakeRegistry(gate).running() as fake, session({fake.host: login()}) as ours:
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE, chunk_size=100_000)
        fake.fault("PATCH .*s200000", _revoked(gate), times=1)
        work.send(BLOB)
        assert fake.blobs["x", str(BLOB.descriptor.digest)] == DATA


def _revoked(gate: Gate) -> faults.Act:
    def act(handler: faults.Handler, real: faults.Real) -> None:
        gate.issued.clear()
        handler.body()
        handler.answer(*real())

    return act


def test_credentials_are_asked_for_anew_before_the_manifest() -> None:
    known = Helpers({})
    with FakeRegistry(Gate("basic", {"robot": "first"})).running() as fake, session(known) as ours:
        known.known[fake.host] = Credential("robot", "first")
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)
        work.send(BLOB)
        asked = len(known.asked)
        known.known[fake.host] = Credential("robot", "second")
        fake.gate.users["robot"] = "second"
        work.seal([Document(b"{}", "application/vnd.oci.image.manifest.v1+json")], ["1"])
        assert len(known.asked) == asked + 1


def test_credentials_are_asked_for_anew_when_refused() -> None:
    known = Helpers({})
    with FakeRegistry(Gate("basic", {"robot": "second"})).running() as fake, session(known) as ours:
        known.known[fake.host] = Credential("robot", "first")
        work = Push(ours.target(name(fake)), KnownOrigins(), PACE)

        def rotate(host: str, repository: str = "") -> Credential | None:
            known.asked.append(host)
            return Credential("robot", "first" if len(known.asked) == 1 else "second")

        known.find = rotate  # type: ignore[method-assign]  # a helper whose secret changes
        work.send(BLOB)
        assert len(known.asked) == 2


def test_retry_after_is_waited_for(fake: FakeRegistry) -> None:
    waits: list[float] = []
    pace = PACE._replace(clock=Clock(sleep=waits.append, jitter=lambda: 1.0))
    fake.fault("HEAD ", faults.status(429, Retry_After="3"), times=1)
    with session(pace=pace) as ours:
        Push(ours.target(name(fake)), KnownOrigins(), pace).send(BLOB)
    assert waits == [3.0 + pace.patience.first_s]


def test_parallel_pushes_of_one_image(fake: FakeRegistry) -> None:
    problems: list[Exception] = []

    def one(tag: str) -> None:
        try:
            with session() as ours:
                push(ours, [name(fake, f"x:{tag}")], to_push(IMAGE), KnownOrigins())
        except Exception as error:  # shown below
            problems.append(error)

    threads = [threading.Thread(target=one, args=(tag,)) for tag in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert {tag for repository, tag in fake.manifests} >= {"a", "b", "c"}
