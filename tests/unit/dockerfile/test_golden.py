"""Folders of Dockerfiles: ``fixtures/dockerfiles`` with their syntax trees, ``fixtures/rejected`` with their errors.

A new case is a new folder; ``pytest --update-golden`` writes the other file, to be read before it is committed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from builder.dockerfile.parse import parse
from builder.errors import BuildError, Span
from tests.conftest import FIXTURES

ACCEPTED = sorted((FIXTURES / "dockerfiles").iterdir())
REJECTED = sorted((FIXTURES / "rejected").iterdir())


def plain(value: Any) -> Any:
    """Named tuples as objects with their type, without the fields that have their default; spans in one line."""
    if isinstance(value, Span):
        return f"{value.first_line}-{value.last_line}" + (f":{value.column}+{value.width}" if value.width else "")
    if hasattr(value, "_fields"):
        defaults = value._field_defaults
        given = {
            name: plain(getattr(value, name))
            for name in value._fields
            if name not in defaults or getattr(value, name) != defaults[name]
        }
        return {"is": type(value).__name__, **given}
    return [plain(member) for member in value] if isinstance(value, tuple) else value


def tree(source: bytes) -> str:
    parsed = parse(source, "Dockerfile")
    return json.dumps(plain(parsed._replace(source="")), indent=1, ensure_ascii=False) + "\n"


def shown(error: BuildError) -> str:
    span = error.span
    assert span is not None, "an error of a Dockerfile says where"
    assert span.path == "Dockerfile"
    lines = str(span.first_line) if span.last_line == span.first_line else f"{span.first_line}-{span.last_line}"
    place = f"{lines}:{span.column + 1}+{span.width}" if span.width else lines
    hint = f"hint: {error.hint}\n" if error.hint else ""
    return f"{error.code}: {error.message}\nat Dockerfile:{place}\n{hint}"


def compare(path: Path, found: str, update: bool) -> None:
    if update:
        path.write_text(found, encoding="utf-8", newline="")
    with path.open(encoding="utf-8", newline="") as file:
        assert file.read() == found


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_accepted(case: Path, update_golden: bool) -> None:
    compare(case / "ast.json", tree((case / "Dockerfile").read_bytes()), update_golden)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case.name)
def test_rejected(case: Path, update_golden: bool) -> None:
    with pytest.raises(BuildError) as caught:
        parse((case / "Dockerfile").read_bytes(), "Dockerfile")
    compare(case / "error.txt", shown(caught.value), update_golden)


def test_every_folder_is_complete() -> None:
    for case in ACCEPTED:
        assert {path.name for path in case.iterdir()} <= {"Dockerfile", "ast.json", "plan.json"}, case
    for case in REJECTED:
        assert {path.name for path in case.iterdir()} == {"Dockerfile", "error.txt"}, case


def test_every_warning_has_a_case() -> None:
    found = "".join((case / "ast.json").read_text(encoding="utf-8") for case in ACCEPTED)
    for part in (
        "an empty line inside a continued RUN",
        "not UTF-8",
        "no effect on ARG",
        "HEALTHCHECK NONE have no",
        "= included",
    ):
        assert part in found
