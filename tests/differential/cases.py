"""Cases: what is built, where it comes from, and how it is laid out on disk."""

import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.conftest import FIXTURES
from tests.support.casefolder import settle_context

PARITY = FIXTURES / "parity"
WRITTEN = FIXTURES / "differential" / "cases"


class Expectation(NamedTuple):
    """What the reference says of an image, for what a peer is too old for. Values are written as JSON would be.

    ``files``: the content of files by path, or the kind of what is there (``dir``, ``symlink TARGET``, ``absent``), or
    mode and owner (``0644 0:0``), or ``mtime SECONDS``; several of them in a list. ``config``: values of the
    config's keys. ``history``: the last ``created_by``. ``refused``: part of what is said instead of building.
    """

    row: str
    files: Mapping[str, tuple[str, ...]]
    config: Mapping[str, object]
    history: tuple[str, ...]
    refused: str | None = None


class Case(NamedTuple):
    """``folder``: what the context is copied from. ``setup``: a shell script that makes the rest of it, run inside.

    ``refused``: True when no builder may build it, False when all must, None when they only have to agree.
    """

    name: str
    origin: str
    dockerfile: str
    setup: str = ""
    arguments: tuple[str, ...] = ()
    folder: Path | None = None
    refused: bool | None = None
    expected: Expectation | None = None


def fixture_cases() -> tuple[Case, ...]:
    """The folders of fixtures/parity."""
    folders = sorted(path for path in PARITY.iterdir() if path.is_dir())
    return tuple(
        Case(
            path.name,
            "fixture",
            (path / "Dockerfile").read_bytes().decode("utf-8", "surrogateescape"),
            folder=path,
            refused=path.name.startswith("refused-"),
        )
        for path in folders
    )


def written_cases() -> tuple[Case, ...]:
    """The tables of fixtures/differential/cases/*.toml; a case is called by its file and its table."""
    return tuple(
        _written(f"{path.stem}-{name}", table)
        for path in sorted(WRITTEN.glob("*.toml"))
        for name, table in tomllib.loads(path.read_text()).items()
    )


_KEYS = {"dockerfile", "setup", "arguments", "refused", "expect"}


def _written(name: str, table: Mapping[str, object]) -> Case:
    assert set(table) <= _KEYS, f"{name}: {set(table) - _KEYS}"
    dockerfile, setup, refused = table["dockerfile"], table.get("setup", ""), table.get("refused", False)
    arguments, expect = table.get("arguments", []), table.get("expect")
    assert isinstance(dockerfile, str), name
    assert isinstance(setup, str), name
    assert isinstance(refused, bool), name
    assert isinstance(arguments, list), name
    expected = _expectation(name, expect) if isinstance(expect, dict) else None
    refused = refused or (expected is not None and expected.refused is not None)
    return Case(name, "written", dockerfile, setup, tuple(arguments), None, refused, expected)


def _expectation(name: str, table: Mapping[str, object]) -> Expectation:
    assert set(table) <= {"row", "files", "config", "history", "refused"}, name
    row, files, config = table["row"], table.get("files", {}), table.get("config", {})
    history, refused = table.get("history", []), table.get("refused")
    assert isinstance(row, str), name
    assert isinstance(files, dict), name
    assert isinstance(config, dict), name
    assert isinstance(history, list), name
    assert refused is None or isinstance(refused, str), name
    lists = {path: tuple(value) if isinstance(value, list) else (value,) for path, value in files.items()}
    return Expectation(row, lists, config, tuple(history), refused)


def lay_out(case: Case, context: Path, recent: int) -> tuple[str, ...]:
    """Makes the context of a case, which must not be there; returns the flags of the build, in which ``{context}`` is
    the context. The directory of each context is of this moment: no builder that is sent one is told its time."""
    write_folder(case, context)
    flags = tuple(flag.replace("{context}", str(context)) for flag in settle_context(context, recent))
    for folder in (str(context), *(flag.partition("=")[2] for flag in flags)):
        if folder.startswith(str(context)) and Path(folder).is_dir():
            os.utime(folder)
    return flags


def write_folder(case: Case, folder: Path) -> None:
    """The case as a folder like those of fixtures/parity."""
    if case.folder is not None:
        shutil.copytree(case.folder, folder)
        return
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_bytes(case.dockerfile.encode("utf-8", "surrogateescape"))
    if case.setup:
        (folder / "setup.sh").write_text(case.setup)
    if case.arguments:
        (folder / "arguments").write_text("\n".join(case.arguments) + "\n")
