"""What an upload reads; how it goes on after trouble is in test_push."""

import io
import threading

import pytest

from layers.errors import IntegrityError
from registry.errors import Stopped
from registry.push import bytes_blob
from registry.reference import Reference
from registry.repository import Repository
from registry.session import Session
from registry.upload import Blob, Readable, Uploader
from tests.fakes import faults
from tests.fakes.registry import FakeRegistry
from tests.support.registries import PACE, session

DATA = bytes(range(256)) * 1000


class Counted:
    """Counts openings and what is still open."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0

    def __call__(self) -> Readable:
        self.opened += 1
        self.open += 1
        counted = self

        class Reader(io.BytesIO):
            def close(self) -> None:
                counted.open -= 0 if self.closed else 1
                super().close()

        return Reader(DATA)


def target(ours: Session, fake: FakeRegistry) -> Repository:
    return ours.target(Reference.parse(f"{fake.host}/x"))


def counted_blob() -> tuple[Blob, Counted]:
    counted = Counted()
    return bytes_blob(DATA, "")._replace(open=counted), counted


def test_a_blob_is_read_once_and_closed() -> None:
    blob, counted = counted_blob()
    with FakeRegistry().running() as fake, session() as ours:
        Uploader(target(ours, fake), PACE, threading.Event(), chunk_size=10_000).send(blob, lambda _: None)
        assert fake.blobs["x", str(blob.descriptor.digest)] == DATA
    assert (counted.opened, counted.open) == (1, 0)


def test_a_blob_is_read_again_only_from_before() -> None:
    """What the registry has not kept of a chunk is read again, from the begin of the file."""
    blob, counted = counted_blob()
    with FakeRegistry().running() as fake, session() as ours:
        fake.fault("PATCH .*s20000", faults.swallow(1000), times=1)
        Uploader(target(ours, fake), PACE, threading.Event(), chunk_size=10_000).send(blob, lambda _: None)
        assert fake.blobs["x", str(blob.descriptor.digest)] == DATA
    assert (counted.opened, counted.open) == (2, 0)


def test_readers_are_closed_on_failure() -> None:
    blob, counted = counted_blob()
    with FakeRegistry().running() as fake, session() as ours:
        stop = threading.Event()
        uploader = Uploader(target(ours, fake), PACE, stop, chunk_size=10_000)
        with pytest.raises(Stopped):
            uploader.send(blob, lambda _: stop.set())
        assert len(fake.uploads) == 1
        uploader.give_up()
        uploader.give_up()
        assert fake.uploads == {}
    assert counted.open == 0


def test_giving_up_is_not_kept_from_by_the_registry() -> None:
    blob, _ = counted_blob()
    with FakeRegistry().running() as fake, session() as ours:
        fake.fault("DELETE ", faults.status(500))
        uploader = Uploader(target(ours, fake), PACE, threading.Event())
        with pytest.raises(IntegrityError):
            uploader.send(blob._replace(open=lambda: io.BytesIO(b"")), lambda _: None)
        uploader.give_up()
        assert fake.requests("DELETE")
