"""The commands for what the store holds, on a real store."""

import json
import tarfile
from pathlib import Path

import pytest

from builder.cli.images import size, table
from layers.entry import BytesSource, Entry, Kind
from layers.image import History, ImageConfig, Platform, encode
from layers.store import Store, StoredImage
from tests.unit.cli.conftest import Run

APP = "docker.io/library/app:1.0"


def make(root: Path, *names: str, author: str = "") -> StoredImage:
    """An image of one layer with the file ``hello``."""
    with Store.open(str(root)) as store:
        entry = Entry(b"hello", Kind.FILE, mode=0o644, size=3, source=BytesSource(b"hi\n"))
        layer = store.add_layer([entry], ())
        config = ImageConfig(
            platform=Platform("linux", "amd64"),
            env=(("PATH", "/bin"),),
            author=author,
            created="2024-05-01T12:30:00.5Z",
            diff_ids=(store.diff_id(layer, None),),
            history=(
                History(created="2024-05-01T12:00:00Z", created_by="COPY hello / # buildkit", comment="buildkit"),
                History(created="2024-05-01T12:30:00.5Z", created_by="CMD\t[\x1b[2J" + "x" * 90, empty_layer=True),
            ),
        )
        return store.put_image(encode(config), (layer,), (None,), names)


@pytest.fixture
def store(tmp_path: Path, context: Path) -> Path:
    """What PYBUILD_ROOT says."""
    return tmp_path / "store"


def test_an_empty_store(run: Run, store: Path) -> None:
    assert run("images") == (0, "REPOSITORY  TAG  IMAGE ID  CREATED  LAYERS\n", "")
    assert run("images", "--json").out == "[]\n"


def test_images(run: Run, store: Path) -> None:
    app = make(store, APP, "reg.example:5000/a/b:2")
    bare = make(store, author="ann")
    lines = [line.split() for line in run("images").out.splitlines()]
    assert sorted(lines[1:]) == sorted(
        [
            ["app", "1.0", app.id.hex[:12], "2024-05-01", "12:30:00", "1"],
            ["reg.example:5000/a/b", "2", app.id.hex[:12], "2024-05-01", "12:30:00", "1"],
            ["<none>", "<none>", bare.id.hex[:12], "2024-05-01", "12:30:00", "1"],
        ]
    )
    assert set(run("images", "-q", "--no-trunc").out.split()) == {str(app.id), str(bare.id)}
    found = {image["id"]: image for image in json.loads(run("images", "--json").out)}
    assert found[str(app.id)]["names"] == [APP, "reg.example:5000/a/b:2"]
    assert found[str(app.id)]["platform"] == "linux/amd64"


@pytest.mark.parametrize("name", ["app:1.0", APP, "{id}", "{hex}", "{short}"])
def test_inspect(name: str, run: Run, store: Path) -> None:
    image = make(store, APP)
    ran = run("inspect", name.format(id=image.id, hex=image.id.hex, short=image.id.hex[:12]))
    (found,) = json.loads(ran.out)
    assert found["Id"] == str(image.id)
    assert found["RepoTags"] == ["app:1.0"]
    assert found["Config"]["Env"] == ["PATH=/bin"]
    assert found["Architecture"] == "amd64"
    assert found["RootFS"]["Layers"] == [str(diff_id) for diff_id in ImageConfig.parse(image.config).diff_ids]


@pytest.mark.parametrize("command", ["inspect", "history", "tag", "rmi", "save"])
def test_an_image_that_is_not_there(command: str, run: Run, store: Path) -> None:
    more = ("new",) if command == "tag" else ()
    ran = run(command, "nope", *more)
    assert ran.code == 1
    assert ran.err == "error: there is no image nope in the store\nhint: pybuild images lists what is there\n"


def test_history(run: Run, store: Path) -> None:
    image = make(store, APP)
    (diff_id,) = ImageConfig.parse(image.config).diff_ids
    lines = run("history", "app:1.0").out.splitlines()
    assert lines[0].split() == ["LAYER", "CREATED", "CREATED", "BY", "COMMENT"]
    assert lines[1].split() == ["2024-05-01", "12:30:00", "CMD", "[" + "x" * 54 + "…"]
    assert lines[2].split()[0] == diff_id.hex[:12]
    assert lines[2].endswith("COPY hello / # buildkit" + " " * 39 + "buildkit")
    entries = json.loads(run("history", "--json", "app:1.0").out)
    assert [entry["layer"] for entry in entries] == [None, str(diff_id)]
    assert "x" * 90 in run("history", "--no-trunc", "app:1.0").out


def test_tag_moves_names(run: Run, store: Path) -> None:
    first, second = make(store, APP), make(store, author="ann")
    assert run("tag", str(second.id), "app:1.0", "other").code == 0
    with Store.open(str(store)) as opened:
        found = {image.id: image.names for image in opened.images()}
    assert found[first.id] == ()
    assert set(found[second.id]) == {APP, "docker.io/library/other:latest"}
    assert run("tag", "other", "bad@sha256:" + "0" * 64).code == 2


def test_rmi_by_name_keeps_an_image_with_another(run: Run, store: Path) -> None:
    image = make(store, APP, "docker.io/library/b:1")
    assert run("rmi", "app:1.0").out == "Untagged: app:1.0\n"
    assert run("rmi", "b:1").out == f"Untagged: b:1\nDeleted: {image.id}\n"
    assert json.loads(run("images", "--json").out) == []


def test_rmi_by_id(run: Run, store: Path) -> None:
    image = make(store, APP, "docker.io/library/b:1")
    ran = run("rmi", image.id.hex[:12])
    assert (ran.code, ran.out) == (1, "")
    assert "has 2 names: " in ran.err
    ran = run("rmi", "--force", image.id.hex[:12])
    assert ran.out.splitlines()[-1] == f"Deleted: {image.id}"
    assert json.loads(run("images", "--json").out) == []


def test_prune(run: Run, store: Path) -> None:
    kept = make(store, APP)
    make(store, author="ann")
    ran = run("prune", "--all")
    assert ran.code == 0
    assert "Removed images: 1\n" in ran.out
    assert [image["id"] for image in json.loads(run("images", "--json").out)] == [str(kept.id)]


@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_save_and_load(kind: str, run: Run, store: Path, tmp_path: Path) -> None:
    image = make(store, APP)
    assert run("save", "--format", kind, "-o", "app.tar", "app:1.0") == (0, "", "")
    with tarfile.open("app.tar") as archive:
        names = archive.getnames()
    assert f"blobs/sha256/{image.id.hex}" in names
    assert ("manifest.json" in names) == (kind == "docker")
    ran = run("load", "--root", str(tmp_path / "other"), "-i", "app.tar", "-t", "again")
    assert ran == (0, "Loaded image: app:1.0\nLoaded image: again:latest\n", "")
    with Store.open(str(tmp_path / "other")) as other:
        (loaded,) = other.images()
    assert (loaded.id, set(loaded.names)) == (image.id, {APP, "docker.io/library/again:latest"})
    assert run("load", "-q", "-i", "app.tar").out == f"{image.id}\n"


def test_save_by_id_has_no_name(run: Run, store: Path) -> None:
    image = make(store, APP)
    assert run("save", "-o", "x.tar", image.id.hex[:12]).code == 0
    with tarfile.open("x.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert json.loads(manifest.read())[0]["RepoTags"] is None


def test_save_takes_one_image(run: Run, store: Path) -> None:
    make(store, APP)
    make(store, "docker.io/library/b:1", author="ann")
    ran = run("save", "-o", "x.tar", "app:1.0", "b:1")
    assert (ran.code, ran.err.split("\n")[0]) == (
        2,
        "error: saving several images into one archive is not supported yet",
    )
    assert not Path("x.tar").exists()


def test_archives_and_terminals_do_not_mix(run: Run, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, APP)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert "an archive is not written to a terminal" in run("save", "app:1.0").err
    assert "there is no archive on standard input" in run("load").err


def test_load_of_what_is_no_image(run: Run, store: Path) -> None:
    ran = run("load", "-i", "Dockerfile")
    assert ran.code == 1
    assert "Dockerfile is neither" in ran.err
    assert run("load", "-i", "nowhere").err.endswith("nowhere: No such file or directory\n")


def test_table() -> None:
    assert table(("A", "BC"), [("long", "x"), ("", "y")]) == "A     BC\nlong  x\n      y"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (12_345_678, "12.3 MB"), (5 * 10**12, "5 TB")]
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text
