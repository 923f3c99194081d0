"""Which files a build is made from."""

from pathlib import Path

import pytest

from builder.cli.sources import read_files
from builder.settings import FlagError


def make(root: Path, **files: str) -> str:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def test_the_usual_place(tmp_path: Path) -> None:
    make(tmp_path, ctx__Dockerfile="FROM a", ctx__dockerfile="FROM b")
    files = read_files("ctx", None, str(tmp_path))
    assert files == (str(tmp_path / "ctx"), "ctx/Dockerfile", b"FROM a", None)
    assert read_files(".", None, str(tmp_path / "ctx")).dockerfile_path == "Dockerfile"


def test_lower_case(tmp_path: Path) -> None:
    cwd = make(tmp_path, dockerfile="FROM b")
    assert read_files(".", None, cwd).dockerfile_text == b"FROM b"


def test_a_named_file_is_relative_to_the_working_directory(tmp_path: Path) -> None:
    cwd = make(tmp_path, My="FROM mine", ctx__My="FROM other")
    assert read_files("ctx", "My", cwd)[1:3] == ("My", b"FROM mine")


def test_no_dockerfile(tmp_path: Path) -> None:
    with pytest.raises(FlagError, match=r"there is no Dockerfile in \."):
        read_files(".", None, str(tmp_path))


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [(None, None, None), (None, "a", b"a"), ("b", "a", b"b"), ("", "a", b"")],
)
def test_ignore_files(tmp_path: Path, own: str | None, common: str | None, expected: bytes | None) -> None:
    cwd = make(tmp_path, ctx__Dockerfile="", sub__D="")
    if own is not None:
        (tmp_path / "sub/D.dockerignore").write_text(own)
    if common is not None:
        (tmp_path / "ctx/.dockerignore").write_text(common)
    assert read_files("ctx", "sub/D", cwd).ignore_text == expected
    assert read_files("ctx", None, cwd).ignore_text == (common.encode() if common is not None else None)
