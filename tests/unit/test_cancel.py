"""A cancelled build ends in the middle of whatever it does to bytes: it does not wait for the end of a large file."""

import threading
from pathlib import Path

import pytest

from builder import api
from builder.errors import Cancelled
from builder.events import Event, Phase
from builder.request import BuildRequest, OutputSpec
from layers.image import Platform
from layers.store import Store

SIZE = 24 << 20


def request(directory: Path, *outputs: OutputSpec) -> BuildRequest:
    return BuildRequest(
        context=str(directory / "context"),
        dockerfile_path="Dockerfile",
        dockerfile_text=b"FROM scratch\nCOPY big /big\n",
        root=str(directory / "store"),
        platform=Platform("linux", "amd64"),
        outputs=outputs,
    )


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("layers.durability.start", lambda root: None)
    (tmp_path / "context").mkdir()
    with (tmp_path / "context/big").open("wb") as file:
        file.truncate(SIZE)
    return tmp_path


class Cancelling:
    """Cancels the build when a phase of this name begins; remembers which phases ended after that."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.cancelled = threading.Event()
        self.ended: list[str] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Phase) and event.name == self.phase and event.start:
            self.cancelled.set()
        elif isinstance(event, Phase) and not event.start and self.cancelled.is_set():
            self.ended.append(event.name)


def cancel(asked: BuildRequest, phase: str) -> Cancelling:
    heard = Cancelling(phase)
    with pytest.raises(Cancelled, match="the build was cancelled"):
        api.build(asked, heard, cancelled=heard.cancelled)
    return heard


@pytest.mark.parametrize(
    ("phase", "outputs"),
    [
        ("context", ()),
        ("pack", ()),
        ("output", (OutputSpec("oci", "image.tar"),)),
        ("output", (OutputSpec("tar", "files.tar"),)),
        ("output", (OutputSpec("local", "files"),)),
    ],
    ids=["hashing", "packing", "archive", "tar", "directory"],
)
def test_a_large_file(directory: Path, phase: str, outputs: tuple[OutputSpec, ...]) -> None:
    placed = tuple(spec._replace(dest=str(directory / str(spec.dest))) for spec in outputs)
    heard = cancel(request(directory, *placed), phase)
    assert "output" not in heard.ended
    assert sorted(path.name for path in directory.iterdir()) == ["context", "store"]
    with Store.open(str(directory / "store")) as store:
        assert store.images() == [] or phase == "output"
    result = api.build(request(directory, *placed), lambda _: None)
    assert result.image_id
