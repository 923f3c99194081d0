"""Whole builds with registries: bases pulled, images pushed, against the fake registry."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import Cancelled, PlanError
from builder.events import Event, PlanReady, StepOutput, StepStarted, Transfer, Warned
from builder.output.target import OutputError
from registry.auth import Credential
from registry.errors import Denied, LoginNeeded, RegistryError, WrongCredential
from tests.conftest import REPOSITORY
from tests.fakes.faults import Handler, Real, status
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import Gate
from tests.support.images import MadeImage, entry, make_image, make_index, make_layer
from tests.support.registrybuilds import BASE, GET_BLOB, Builds, base_name

NEWER = make_image(make_layer({"etc/": None, "etc/a": b"newer"}))


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    return Builds(tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        registry.put_image("team/base", BASE, "1")
        yield registry


def test_a_base_is_pulled_and_kept_under_its_name(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\nCOPY file /\n"
    first = builds.build(text)
    assert builds.titles()[0] == f"FROM {base_name(fake)}@{BASE.digest}"
    moved = [event for event in builds.events if isinstance(event, Transfer)]
    assert {event.what for event in moved} == {f"layer {layer.digest[:19]}" for layer in BASE.layers}
    assert {event.step for event in moved} == {
        step.step
        for told in builds.events
        if isinstance(told, PlanReady)
        for step in told.steps
        if step.title.startswith("COPY")
    }
    assert sum(event.done for event in moved if event.done == event.total) == sum(len(one.blob) for one in BASE.layers)
    with builds.store() as store:
        image = store.image(base_name(fake))
        assert image is not None and str(image.id) == BASE.id
        assert store.check() == []
    again = builds.build(text, offline=True)
    assert (again.image_id, builds.started()) == (first.image_id, 0)


def test_nothing_is_asked_for_what_is_there(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {base_name(fake)}\n")
    fake.log.clear()
    before = builds.connected
    builds.build(f"FROM {base_name(fake)}\n")
    assert (fake.log, builds.connected) == ([], before)


def test_a_digest_is_found_again_without_the_registry(builds: Builds, fake: FakeRegistry) -> None:
    pinned = f"FROM {fake.host}/team/base@{BASE.digest}\n"
    builds.build(pinned)
    builds.build(pinned, offline=True)
    # Whatever tag is written beside it; and a pull of the tag says what its digest is.
    builds.build(f"FROM {fake.host}/team/base:other@{BASE.digest}\n", offline=True)
    assert builds.titles() == [f"FROM {fake.host}/team/base:other@{BASE.digest}"]


def test_how_old_a_look_up_is(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {base_name(fake)}\n")
    assert not any(isinstance(event, StepOutput) for event in builds.events)
    builds.now += 3 * 86400
    builds.build(f"FROM {base_name(fake)}\n")
    (told,) = [event.data for event in builds.events if isinstance(event, StepOutput)]
    assert told == b"looked up 3 days ago; --pull looks again\n"


@pytest.mark.parametrize("policy", ["always", "newer"])
def test_looking_again_moves_only_what_is_new(builds: Builds, fake: FakeRegistry, policy: str) -> None:
    text = f"FROM {base_name(fake)}\n"
    builds.build(text)
    fake.log.clear()
    builds.build(text, pull=policy)
    assert [one.line for one in fake.requests("/v2/.")] == ["HEAD /v2/team/base/manifests/1"]
    fake.put_image("team/base", NEWER, "1")
    builds.build(text, pull=policy)
    assert builds.titles() == [f"FROM {base_name(fake)}@{NEWER.digest}"]


def test_newer_makes_do_with_what_is_there(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\n"
    builds.build(text)
    del fake.manifests["team/base", "1"]
    builds.build(text, pull="newer")
    assert any(isinstance(event, Warned) and "of the store is used" in event.message for event in builds.events)
    with pytest.raises(PlanError, match="has no tag 1"):
        builds.build(text, pull="always")


def test_never_asks_nobody(builds: Builds, fake: FakeRegistry) -> None:
    with pytest.raises(PlanError, match="there is no image") as caught:
        builds.build(f"FROM {base_name(fake)}\n", pull="never")
    assert "--pull=never" in (caught.value.hint or "")
    assert fake.log == []


def test_an_unknown_tag_is_told_with_its_line(builds: Builds, fake: FakeRegistry) -> None:
    with pytest.raises(PlanError, match="team/base has no tag 2") as caught:
        builds.build(f"FROM scratch AS x\nFROM {fake.host}/team/base:2\n")
    assert caught.value.span is not None and caught.value.span.first_line == 2
    assert "check the spelling" in (caught.value.hint or "")


def test_an_image_of_another_platform_takes_no_name(builds: Builds, fake: FakeRegistry) -> None:
    other = make_image(make_layer({"arm": b"x"}), architecture="arm64")
    platforms: list[tuple[MadeImage, str]] = [(BASE, "amd64"), (other, "arm64")]
    for image, _ in platforms:
        fake.put_image("team/base", image)
    entries = [entry(image, platform={"os": "linux", "architecture": name}) for image, name in platforms]
    fake.put_manifest("team/base", make_index(*entries), "application/vnd.oci.image.index.v1+json", "all")
    text = "FROM scratch\nCOPY --from=a /arm /\nCOPY --from=b /etc/a /\n"
    text = f"FROM --platform=linux/arm64 {fake.host}/team/base:all AS a\nFROM {fake.host}/team/base:all AS b\n{text}"
    builds.build(text)
    with builds.store() as store:
        named = store.image(f"{fake.host}/team/base:all")
        assert named is not None and str(named.id) == BASE.id
    builds.build(text, offline=True)


def test_an_image_is_named_once(builds: Builds, fake: FakeRegistry) -> None:
    index = make_index(entry(BASE, platform={"os": "windows", "architecture": "amd64"}))
    fake.put_manifest("team/base", index, "application/vnd.oci.image.index.v1+json", "other")
    name = f"{fake.host}/team/base:other"
    with pytest.raises(PlanError) as caught:
        builds.build(f"FROM {name}\n")
    assert caught.value.message.startswith(f"{name} has no image for linux/")


def test_a_push_and_its_names(builds: Builds, fake: FakeRegistry) -> None:
    with FakeRegistry().running() as second:
        names = (f"{fake.host}/team/app:1", f"{fake.host}/team/app:2", f"{second.host}/app:latest")
        done = builds.push(f"FROM {base_name(fake)}\nCOPY file /\n", *names)
        assert done.descriptor is not None
        for registry, key in ((fake, ("team/app", "1")), (fake, ("team/app", "2")), (second, ("app", "latest"))):
            stored = registry.manifests[key]
            assert registry.manifests[key[0], str(done.descriptor.digest)].raw == stored.raw
            document = json.loads(stored.raw)
            assert [layer["digest"] for layer in document["layers"][:2]] == [layer.digest for layer in BASE.layers]
        assert not fake.uploads and not second.uploads


def test_a_registry_that_fails_does_not_hide_what_the_others_did(builds: Builds, fake: FakeRegistry) -> None:
    with FakeRegistry().running() as second, FakeRegistry().running() as third:
        for broken in (second, third):
            broken.fault("PUT .*/manifests/", status(400))
        names = [f"{registry.host}/app:1" for registry in (second, fake, third)]
        with pytest.raises(RegistryError, match=f"{second.host} answered 400") as caught:
            builds.push("FROM scratch\nCOPY file /\n", *names)
    assert ("app", "1") in fake.manifests
    hint = caught.value.hint or ""
    assert f"besides: {third.host} answered 400" in hint
    assert hint.endswith(f"pushed all the same: {fake.host}/app:1")


def test_a_base_of_the_same_registry_is_mounted(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {base_name(fake)}\n")
    fake.log.clear()
    builds.push(f"FROM {base_name(fake)}\nCOPY file /\n", f"{fake.host}/team/app:1")
    sent = sum(len(one.body) for one in fake.log if one.method in {"PATCH", "PUT"})
    assert sent < len(BASE.layers[1].blob) + 5000
    for layer in BASE.layers:
        assert len(fake.requests(f"POST .*mount={layer.digest.replace(':', '(:|%3A)')}")) == 1


def test_an_unchanged_image_costs_one_look_for_each_blob(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\nCOPY file /\n"
    builds.push(text, f"{fake.host}/team/app:1")
    fake.log.clear()
    builds.push(text, f"{fake.host}/team/app:1")
    assert len(fake.requests("HEAD .*/blobs/")) == 4
    assert fake.requests(GET_BLOB) == [] and fake.requests("PATCH ") == []


PUSHED = "FROM scratch\nCOPY file /\n"


def test_no_permission_is_told_before_the_first_step(builds: Builds, fake: FakeRegistry) -> None:
    fake.gate.writers = frozenset()
    with pytest.raises(Denied, match="no permission to push"):
        builds.push(PUSHED, f"{fake.host}/team/app:1")
    assert builds.started() == 0


def test_credentials_are_proved_before_the_first_step(builds: Builds) -> None:
    with FakeRegistry(Gate("basic", {"me": "right"})).running() as fake:
        name = f"{fake.host}/team/app:1"
        with pytest.raises(LoginNeeded):
            builds.push(PUSHED, name)
        builds.known[fake.host] = Credential("me", "wrong")
        with pytest.raises(WrongCredential, match="does not accept the password of user 'me'"):
            builds.push(PUSHED, name)
        assert builds.started() == 0
        builds.known[fake.host] = Credential("me", "right")
        builds.push(PUSHED, name)
        assert ("team/app", "1") in fake.manifests


def test_a_failed_build_leaves_no_upload(builds: Builds, fake: FakeRegistry) -> None:
    with pytest.raises(PlanError):
        builds.push("FROM scratch\nCOPY file /\nWORKDIR /file/x\n", f"{fake.host}/team/app:1")
    assert not fake.uploads
    assert ("team/app", "1") not in fake.manifests


def test_a_push_that_fails_leaves_the_image_in_the_store(builds: Builds, fake: FakeRegistry) -> None:
    fake.fault("PUT .*/manifests/", status(400))
    with pytest.raises(RegistryError):
        builds.push(PUSHED, f"{fake.host}/team/app:1")
    with builds.store() as store:
        assert len(store.images()) == 1
        assert store.check() == []


def test_layers_go_while_the_build_runs(builds: Builds, fake: FakeRegistry) -> None:
    """The layer of the first step arrives although the second one waits for it."""
    arrived = threading.Event()
    waited: list[bool] = []

    def taken(handler: Handler, real: Real) -> None:
        handler.body()
        handler.answer(*real())
        arrived.set()

    def hear(event: Event) -> None:
        last = max(
            (step.step for told in builds.events if isinstance(told, PlanReady) for step in told.steps), default=0
        )
        if isinstance(event, StepStarted) and event.step == last:
            waited.append(arrived.wait(20))

    fake.fault("PUT .*/blobs/uploads/", taken, times=1)
    builds.hear = hear
    builds.push("FROM scratch\nCOPY file /\nWORKDIR /x\n", f"{fake.host}/team/app:1")
    assert waited == [True]


def test_a_cancelled_push_ends_and_leaves_no_upload(builds: Builds, fake: FakeRegistry) -> None:
    def cancel(handler: Handler, real: Real) -> None:
        builds.cancelled.set()
        time.sleep(1)
        handler.body()
        handler.answer(*real())

    fake.fault("PUT .*/manifests/", cancel)
    with pytest.raises(Cancelled, match="cancelled"):
        builds.push(PUSHED, f"{fake.host}/team/app:1")
    assert not fake.uploads


def test_a_build_that_needs_no_network_does_not_load_it(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {base_name(fake)}\nCOPY file /\n")
    (builds.directory / "context" / "Dockerfile").write_text(f"FROM {base_name(fake)}\nCOPY file /\n")
    code = (
        "import sys; from builder.cli import main; code = main(sys.argv[1:]); "
        "print(code, *{'requests', 'ssl', 'registry.session', 'registry.pull', 'registry.push'} & set(sys.modules))"
    )
    root, context = builds.directory / "store", builds.directory / "context"
    done = subprocess.run(
        [sys.executable, "-c", code, "--root", root, context],
        check=False,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
    )
    assert done.stdout == "0\n", done.stderr


def test_a_push_without_registries(builds: Builds) -> None:
    with pytest.raises(OutputError, match="no registries to push to"):
        builds.push(PUSHED, "127.0.0.1:1/team/app:1", offline=True)
