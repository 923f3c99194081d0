"""BUILDKIT_COLORS."""

from collections.abc import Mapping

import pytest

from builder.report.colors import parse_colors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("run=green", {"done": "32", "cached": "32"}),
        ("ERROR=Light-Blue:warning=default", {"failed": "94", "warning": "39"}),
        ("error=255,0,0:run=0,128,255:cancel=white", {"failed": "38;5;196", "done": "38;5;39", "cached": "38;5;39"}),
    ],
)
def test_colors(text: str, expected: Mapping[str, str]) -> None:
    assert parse_colors(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("run", "'run' is not WORD=COLOR"),
        ("run=a=b", "is not WORD=COLOR"),
        ("text=red", "text is none of run, error, warning, cancel"),
        ("run=pink", "pink is neither"),
        ("run=1,2", "1,2 is neither"),
        ("run=1,2,256", "1,2,256 is neither"),
    ],
)
def test_what_is_no_color(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_colors(text)
