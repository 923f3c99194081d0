"""fixtures/coverage.toml: every row of the reference has what covers it, and all of that exists."""

import ast
import functools
import tomllib

import pytest

from tests.conftest import FIXTURES, REPOSITORY

TABLE: dict[str, dict[str, list[str]]] = tomllib.loads((FIXTURES / "coverage.toml").read_text())

ROWS = {
    "1.1": 9,
    "1.2": 12,
    "1.3": 7,
    "1.4": 11,
    "1.5": 18,
    "1.6": 12,
    "1.7": 11,
    "1.8": 29,
    "1.9": 11,
    "1.10": 27,
    "2": 12,
}
"""Rows of the tables in each part of the reference. A row that joins two columns (what expands, what does not) is one;
history texts are rows of 1.8, and so are its two paragraphs on dates and on the config's JSON."""

ENTRIES = [(part, row, name) for part, rows in TABLE.items() for row, names in rows.items() for name in names]


@functools.cache
def functions(path: str) -> frozenset[str]:
    """Names of the tests in a module, those in classes too."""
    tree = ast.parse((REPOSITORY / "tests" / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_every_row_is_there_and_covered() -> None:
    assert {part: len(rows) for part, rows in TABLE.items()} == ROWS
    assert [f"{part} {row}" for part, rows in TABLE.items() for row, names in rows.items() if not names] == []


@pytest.mark.parametrize(("part", "row", "name"), ENTRIES, ids=lambda value: value)
def test_what_is_named_exists(part: str, row: str, name: str) -> None:
    path, colons, function = name.partition("::")
    if colons:
        assert function.startswith("test_")
        assert function in functions(path), f"{part} {row}"
    else:
        assert (FIXTURES / name / "Dockerfile").is_file(), f"{part} {row}"
