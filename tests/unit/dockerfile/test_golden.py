"""Folders of Dockerfiles: ``fixtures/dockerfiles`` with their syntax trees, ``fixtures/rejected`` with their errors.

A new case is a new folder; ``pytest --update-golden`` writes the other file, to be read before it is committed.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from builder.cli.errors import describe
from builder.cli.session import Session
from builder.dockerfile.parse import parse
from builder.errors import BuildError, Span
from tests.conftest import FIXTURES
from tests.support.planning import plan

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


def refusal(source: bytes) -> str:
    """What the command line shows for a file that cannot be parsed or planned."""
    with pytest.raises(BuildError) as caught:
        plan(source)
    error = caught.value
    assert error.span is not None, "an error of a Dockerfile says where"
    assert error.span.path == "Dockerfile"
    session = Session()
    session.sources["Dockerfile"] = source
    return describe(error, session) + "\n"


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
    compare(case / "error.txt", refusal((case / "Dockerfile").read_bytes()), update_golden)


@pytest.mark.parametrize("case", REJECTED, ids=lambda case: case.name)
def test_a_rejection_says_where_what_and_what_to_do(case: Path) -> None:
    """File, line, caret, cause and advice, in this order; only an empty file has no line to show."""
    lines = (case / "error.txt").read_text(encoding="utf-8").splitlines()
    place, number = lines[0].split(":")
    assert place == "Dockerfile"
    hint = next(at for at, line in enumerate(lines) if line.startswith("hint: "))
    cause = next(at for at, line in enumerate(lines) if line.startswith("error: "))
    excerpt = lines[1:cause]
    assert cause < hint
    assert all(len(lines[at].partition(": ")[2]) > 5 for at in (cause, hint))
    if (case / "Dockerfile").read_bytes():
        marked = next(at for at, line in enumerate(excerpt) if line.startswith(">"))
        assert excerpt[marked].split()[1] == number
        assert set(excerpt[marked + 1].partition("|")[2].strip()) == {"^"}


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
        "check=error=true has no effect",
    ):
        assert part in found
