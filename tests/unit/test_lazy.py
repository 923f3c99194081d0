"""Base layers move when somebody needs their bytes, and not before: the registry's log proves it."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from builder import api
from builder.errors import Cancelled, PlanError
from builder.events import Event, Transfer
from builder.request import OutputSpec
from layers.errors import PybuildError
from registry.errors import Denied
from tests.fakes import faults
from tests.fakes.faults import Handler, Real
from tests.fakes.registry import FakeRegistry
from tests.support.images import MadeImage, make_image, make_layer
from tests.support.registrybuilds import BASE, Builds, base_name

METADATA = "ENV A=b\nLABEL c=d\nWORKDIR /\nCMD x\n"
OTHER = make_image(make_layer({"other": b"of another image"}))


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builds:
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    return Builds(tmp_path)


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        registry.put_image("team/base", BASE, "1")
        registry.put_image("team/other", OTHER, "1")
        yield registry


def fetched(fake: FakeRegistry, image: MadeImage = BASE) -> list[str]:
    """The layers of ``image`` that were asked for, in its order."""
    return [layer.digest for layer in image.layers if fake.requests(f"GET .*/blobs/{layer.digest}")]


def uploaded(fake: FakeRegistry) -> int:
    return sum(len(one.body) for one in fake.requests("(PATCH|PUT) .*/blobs/uploads/"))


ALL = [layer.digest for layer in BASE.layers]


# What moves nothing


def test_metadata_moves_no_layer(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {base_name(fake)}\n{METADATA}")
    assert fetched(fake) == []
    with builds.store() as store:
        assert store.check() == []
        assert list(store.blobs) == []


def test_metadata_pushed_to_the_same_registry_moves_no_layer(builds: Builds, fake: FakeRegistry) -> None:
    builds.push(f"FROM {base_name(fake)}\n{METADATA}", f"{fake.host}/team/app:1")
    assert fetched(fake) == []
    config = json.loads(fake.manifests["team/app", "1"].raw)["config"]
    assert uploaded(fake) == config["size"]
    for digest in ALL:
        assert ("team/app", digest) in fake.blobs


def test_a_copy_onto_known_layers_moves_none_of_them(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\nCOPY file /etc/\n"
    builds.build(text)
    assert fetched(fake) == ALL
    fake.log.clear()
    (builds.directory / "context" / "file").write_bytes(b"changed")
    builds.push(text, f"{fake.host}/team/app:1")
    assert fetched(fake) == []
    assert uploaded(fake) < 2000


def test_an_index_is_enough_when_blob_and_snapshot_are_gone(builds: Builds, fake: FakeRegistry) -> None:
    """As after a power cut, or in a store whose blobs somebody removed."""
    text = f"FROM {base_name(fake)}\nCOPY file /etc/\n"
    builds.build(text)
    shutil.rmtree(builds.directory / "store" / "blobs" / "sha256")
    fake.log.clear()
    (builds.directory / "context" / "file").write_bytes(b"changed")
    builds.push(text, f"{fake.host}/team/app:1")
    assert fetched(fake) == []


def test_nothing_moves_before_permission_to_push_is_sure(builds: Builds, fake: FakeRegistry) -> None:
    fake.gate.writers = frozenset()
    with pytest.raises(Denied):
        builds.push(f"FROM {base_name(fake)}\nCOPY file /etc/\n", f"{fake.host}/team/app:1")
    assert fetched(fake) == []
    assert builds.started() == 0


def test_a_build_of_one_image_leaves_the_other_alone(builds: Builds, fake: FakeRegistry) -> None:
    builds.build(f"FROM {fake.host}/team/other:1 AS other\nFROM {base_name(fake)}\nCOPY --from=other /other /\n")
    assert fetched(fake, OTHER) == [OTHER.layers[0].digest]
    fake.log.clear()
    builds.build(f"FROM {fake.host}/team/other:1 AS other\nFROM scratch\nCOPY --from={base_name(fake)} /etc/a /\n")
    assert fetched(fake, OTHER) == []


def test_a_copy_out_of_an_image_fetches_only_that_image(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\n{METADATA}COPY --from={fake.host}/team/other:1 /other /\n"
    builds.build(f"FROM scratch\nCOPY --from={fake.host}/team/other:1 /other /\n")
    assert (fetched(fake), fetched(fake, OTHER)) == ([], [OTHER.layers[0].digest])
    builds.build(text)
    assert fetched(fake) == ALL  # the destination has to be known


def test_planning_moves_no_layer(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\nCOPY file /etc/\nRUN true\nCOPY --from={fake.host}/team/other:1 /other /\n"
    asked = builds.request(text)
    _, states = api.plan(asked, connect=builds.connect)
    assert [state.state for state in states.values()].count("depends") == 1
    assert (fetched(fake), fetched(fake, OTHER)) == ([], [])


def test_bases_are_looked_up_at_once(builds: Builds, fake: FakeRegistry) -> None:
    """Each answer waits for the other's question."""
    both = threading.Barrier(2, timeout=20)

    def act(handler: Handler, real: Real) -> None:
        both.wait()
        handler.answer(*real())

    fake.fault("GET .*/manifests/", act)
    builds.build(f"FROM {base_name(fake)} AS a\nFROM {fake.host}/team/other:1\nCOPY --link --from=a /etc/a /\n")
    assert not both.broken


def test_an_unchanged_push_is_one_head_a_blob(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\n{METADATA}"
    builds.push(text, f"{fake.host}/team/app:1")
    fake.log.clear()
    builds.push(text, f"{fake.host}/team/app:1")
    heads = [one.path for one in fake.requests("HEAD .*/blobs/")]
    assert len(heads) == len(set(heads)) == 3
    assert fetched(fake) == []
    assert uploaded(fake) == 0


# What needs bytes


@pytest.mark.parametrize("kind", ["oci", "docker", "tar", "local"])
def test_an_archive_needs_every_layer(builds: Builds, fake: FakeRegistry, kind: str, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    builds.build(f"FROM {base_name(fake)}\n", outputs=(OutputSpec(kind, str(dest)),))
    assert fetched(fake) == ALL
    assert dest.exists()
    with builds.store() as store:
        assert store.check() == []
    # What was fetched for an output is not fetched again.
    fake.log.clear()
    builds.build(f"FROM {base_name(fake)}\nCOPY file /etc/\n")
    assert fetched(fake) == []


def test_another_registry_gets_what_it_lacks(builds: Builds, fake: FakeRegistry) -> None:
    with FakeRegistry().running() as second:
        second.put_blob("team/app", BASE.layers[0].blob)
        builds.push(f"FROM {base_name(fake)}\n{METADATA}", f"{second.host}/team/app:1")
        assert fetched(fake) == ALL[1:]
        assert ("team/app", ALL[1]) in second.blobs


def test_two_builds_at_once_share(builds: Builds, fake: FakeRegistry) -> None:
    text = f"FROM {base_name(fake)}\nCOPY file /\n"
    fake.fault("GET .*/blobs/", faults.late(0.3))
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(builds.build, text) for _ in range(3)]:
            done.result()
    for digest in ALL:
        assert len(fake.requests(f"GET .*/blobs/{digest}")) == 1


# What cannot be had


def planned(builds: Builds, fake: FakeRegistry) -> str:
    """The base is looked up, its layers are left where they are."""
    builds.build(f"FROM {base_name(fake)}\n{METADATA}")
    fake.log.clear()
    return f"FROM {base_name(fake)}\n{METADATA}COPY file /etc/\n"


def test_a_layer_that_is_gone(builds: Builds, fake: FakeRegistry) -> None:
    text = planned(builds, fake)
    del fake.blobs["team/base", ALL[1]]
    with pytest.raises(PlanError) as caught:
        builds.build(text)
    said = f"layer {ALL[1][:19]} of {base_name(fake)} (from {fake.host}/team/base) is not in the store"
    assert caught.value.message.startswith(said)
    assert "pybuild load" in (caught.value.hint or "")
    assert caught.value.span is not None and caught.value.span.first_line == 6
    fake.put_blob("team/base", BASE.layers[1].blob)
    fake.log.clear()
    builds.build(text)
    assert fetched(fake) == ALL[1:]


def test_a_layer_with_other_bytes(builds: Builds, fake: FakeRegistry) -> None:
    text = planned(builds, fake)
    fake.fault(f"GET .*/blobs/{ALL[0]}", faults.changed(faults.damaged))
    with pytest.raises(PlanError, match="have the digest") as caught:
        builds.build(text)
    assert caught.value.code == "integrity"
    with builds.store() as store:
        assert ALL[0] not in map(str, store.blobs)
        assert store.check() == []


def test_a_layer_that_is_not_what_its_image_says(builds: Builds, fake: FakeRegistry) -> None:
    lie = make_layer({"lie": b"x"})
    false = make_image(lie._replace(tar=make_layer({"truth": b"x"}).tar))
    fake.put_image("team/false", false, "1")
    with pytest.raises(PlanError, match="its image says"):
        builds.build(f"FROM {fake.host}/team/false:1\nCOPY file /\n")


def test_a_false_image_does_not_spoil_a_true_one(builds: Builds, fake: FakeRegistry) -> None:
    """Both say that they have the same layer; only one has."""
    true = BASE.layers[0]
    lie = make_layer({"etc/": None, "etc/a": b"lie"})._replace(tar=true.tar)
    fake.put_image("team/false", make_image(lie), "1")
    fake.put_image("team/true", make_image(true), "1")
    for name in ("false", "true"):
        builds.build(f"FROM {fake.host}/team/{name}:1\n{METADATA}")
    assert fetched(fake, make_image(lie)) == []
    builds.push(f"FROM {fake.host}/team/true:1\n{METADATA}", f"{fake.host}/team/app:1")
    (layer,) = json.loads(fake.manifests["team/app", "1"].raw)["layers"]
    assert layer["digest"] == true.digest
    builds.build(f"FROM {fake.host}/team/false:1\nCOPY --from={fake.host}/team/false:1 /etc/a /b\n")


def test_a_connection_that_breaks_is_taken_up(builds: Builds, fake: FakeRegistry) -> None:
    large = make_image(make_layer({"large": bytes(range(256)) * 2000}, compressed=False))
    fake.put_image("team/large", large, "1")
    blob = f"GET .*/blobs/{large.layers[0].digest}"
    fake.fault(blob, faults.cut(300_000), times=1)
    builds.build(f"FROM {fake.host}/team/large:1\nCOPY file /\n")
    first, second = (one.headers.get("Range", "") for one in fake.requests(blob))
    assert first == ""
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 300_000


def test_offline(builds: Builds, fake: FakeRegistry) -> None:
    text = planned(builds, fake)
    fake.fault("", faults.reset)
    builds.build(f"FROM {base_name(fake)}\n{METADATA}")
    with pytest.raises(PlanError, match="cannot be fetched") as caught:
        builds.build(text)
    assert f"{fake.host}/team/base" in caught.value.message
    fake.faults.clear()
    builds.build(text)
    fake.fault("", faults.reset)
    builds.build(text, tags=("docker.io/library/app:1",))
    builds.build("FROM app:1\nCOPY file /more\n")


def test_never_asking_anybody(builds: Builds, fake: FakeRegistry) -> None:
    text = planned(builds, fake)
    with pytest.raises(PybuildError, match="no registry may be asked") as caught:
        builds.build(text, pull="never")
    assert "--pull=never" in (caught.value.hint or "")
    assert fake.log == []


def test_cancelling_ends_a_transfer(builds: Builds, fake: FakeRegistry) -> None:
    """Soon, and what came of it is taken up later."""
    large = make_image(make_layer({"large": bytes(range(256)) * 2000}, compressed=False))
    fake.put_image("team/large", large, "1")
    fake.fault(f"GET .*/blobs/{large.layers[0].digest}", faults.slow_body, times=1)

    def hear(event: Event) -> None:
        if isinstance(event, Transfer):
            builds.cancelled.set()

    builds.hear = hear
    started = time.monotonic()
    with pytest.raises(Cancelled):
        builds.build(f"FROM {fake.host}/team/large:1\nCOPY file /\n")
    assert time.monotonic() - started < 15
    builds.hear = lambda _: None
    builds.cancelled.clear()
    builds.build(f"FROM {fake.host}/team/large:1\nCOPY file /\n")
    with builds.store() as store:
        assert store.check() == []


def test_a_failing_step_ends_the_transfers_of_others(builds: Builds, fake: FakeRegistry) -> None:
    fake.fault(f"GET .*/blobs/{ALL[1]}", faults.slow_body)
    started = time.monotonic()
    with pytest.raises(PlanError, match="is not a directory"):
        builds.build(
            f"FROM {base_name(fake)} AS slow\nCOPY file /\nFROM scratch\nCOPY file /\n"
            "WORKDIR /file/x\nCOPY --from=slow /file /y\n"
        )
    assert time.monotonic() - started < 15
