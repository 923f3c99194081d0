"""Builds in one store with a fake registry, in this process."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from builder import api
from builder.api import BuildResult
from builder.events import Event, PlanReady, StepStarted
from builder.request import BuildRequest, OutputSpec
from layers.image import Platform
from layers.store import Store
from registry.auth import Credential
from registry.session import Session
from tests.fakes.registry import FakeRegistry
from tests.support.images import make_image, make_layer
from tests.support.registries import session

AMD64 = Platform("linux", "amd64")
BASE = make_image(make_layer({"etc/": None, "etc/a": b"one"}), make_layer({"etc/b": b"two" * 9000}))
GET_BLOB = r"GET .*/blobs/"


class Builds:
    """Builds in one store, of one context; ``known`` are the credentials by host."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.now = 2_000_000_000.0
        self.known: dict[str, Credential] = {}
        self.connected = 0
        self.events: list[Event] = []
        self.hear: Callable[[Event], None] = lambda _: None
        self.cancelled = threading.Event()
        (directory / "context").mkdir()
        (directory / "context" / "file").write_bytes(b"of the context")

    def connect(self) -> Session:
        self.connected += 1
        return session(self.known)

    def request(self, text: str) -> BuildRequest:
        return BuildRequest(
            context=str(self.directory / "context"),
            dockerfile_path="Dockerfile",
            dockerfile_text=text.encode(),
            root=str(self.directory / "store"),
            platform=AMD64,
        )

    def build(self, text: str, *, offline: bool = False, **fields: Any) -> BuildResult:
        self.events.clear()

        def emit(event: Event) -> None:
            self.events.append(event)
            self.hear(event)

        return api.build(
            self.request(text)._replace(**fields),
            emit,
            cancelled=self.cancelled,
            connect=None if offline else self.connect,
            clock=lambda: self.now,
        )

    def push(self, text: str, *names: str, **fields: Any) -> BuildResult:
        return self.build(text, tags=names, outputs=(OutputSpec("registry", None, names=names),), **fields)

    def titles(self) -> list[str]:
        return [step.title for event in self.events if isinstance(event, PlanReady) for step in event.steps]

    def started(self) -> int:
        return sum(isinstance(event, StepStarted) for event in self.events)

    def store(self) -> Store:
        return Store.open(str(self.directory / "store"))


def base_name(fake: FakeRegistry) -> str:
    return f"{fake.host}/team/base:1"
