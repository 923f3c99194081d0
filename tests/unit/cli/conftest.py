"""A command line to call, a directory to build, and a builder that only remembers what it was asked."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import builder
from builder.cli import main
from builder.events import Emit
from builder.request import BuildRequest
from layers.errors import PybuildError
from layers.image import Descriptor

IMAGE_ID = "sha256:" + "1" * 64


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


class Result(NamedTuple):
    image_id: str
    names: tuple[str, ...]
    descriptor: Descriptor | None


class FakeApi(ModuleType):
    """Stands for builder.api. ``error`` is raised by the next build; ``during`` runs inside it."""

    def __init__(self) -> None:
        super().__init__("builder.api")
        self.requests: list[BuildRequest] = []
        self.error: BaseException | None = None
        self.during: Callable[[Emit, threading.Event], None] = lambda emit, cancelled: None
        self.descriptor: Descriptor | None = None

    def build(self, request: BuildRequest, emit: Emit, *, cancelled: threading.Event, connect: object) -> Result:
        self.requests.append(request)
        self.during(emit, cancelled)
        if self.error is not None:
            raise self.error
        return Result(IMAGE_ID, request.tags, self.descriptor)

    def plan(self, request: BuildRequest, *, connect: object) -> tuple[object, object]:
        self.requests.append(request)
        raise PybuildError("planned")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    monkeypatch.setitem(sys.modules, "builder.api", fake)
    monkeypatch.setattr(builder, "api", fake, raising=False)
    return fake


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the test: a context with a Dockerfile; the store is beside it."""
    root = tmp_path / "context"
    root.mkdir()
    (root / "Dockerfile").write_text("FROM debian\nRUN make &&\\\n  make install\nCMD x\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    return root


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*args: str) -> Ran:
        code = main(args)
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return call
