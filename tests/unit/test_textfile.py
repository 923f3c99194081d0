"""Files that say what to build, from contexts that mean no good."""

import os
import threading
from pathlib import Path

import pytest

from builder import textfile
from builder.textfile import read_text
from layers.errors import PybuildError


def test_a_file_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"FROM a\n")
    (tmp_path / "link").symlink_to("real")
    assert read_text(str(tmp_path / "link")) == b"FROM a\n"


@pytest.mark.parametrize("special", [True, False])
def test_what_never_ends_is_refused(special: bool) -> None:
    with pytest.raises(PybuildError, match="has more than 64 MiB" if special else "is not a regular file"):
        read_text("/dev/zero", special=special)


def test_the_longest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textfile, "MAX_TEXT", 10)
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_text(str(tmp_path / "file")) == b"x" * 10
    (tmp_path / "file").write_bytes(b"x" * 11)
    with pytest.raises(PybuildError, match="has more than"):
        read_text(str(tmp_path / "file"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "it")
    with pytest.raises(PybuildError, match="is not a regular file"):
        read_text(str(tmp_path / "it"))


def test_a_pipe_that_was_named_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"FROM a\n" * 20_000,))
    writer.start()
    assert read_text(str(tmp_path / "pipe"), special=True) == b"FROM a\n" * 20_000
    writer.join()
