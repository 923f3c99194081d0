"""What ``pybuild context ls`` says of every name, which must be what a build sees."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.dockerfile.ignore import parse_ignore
from builder.plan.context import Context, open_context
from builder.plan.contextlist import Listed, listing
from builder.plan.contextmemory import NOTHING_KNOWN
from layers.entry import Kind
from layers.errors import PybuildError
from tests.conftest import FIXTURES

TREE = ("a", "b/a", "b/c/a", "b/c/d.o", "d/e.o", "d/f/g", "x.o", "y/.h")
NAMES = ("a", "b", "c", "d", "e.o", "f", "g", "*", "**", "?", "*.o", "d*", "**/*.o", ".*")


def listed(root: Path, ignore: str | None) -> list[Listed]:
    matcher = parse_ignore(ignore.encode(), ".dockerignore") if ignore is not None else None
    return list(listing(str(root), matcher))


def seen(context: Context, top: bytes = b"") -> list[bytes]:
    found = []
    for entry in context.children(top):
        if entry.kind is Kind.DIRECTORY:
            found += seen(context, entry.path)
        else:
            found.append(entry.path)
    return found


def make(root: Path) -> Path:
    for name in TREE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_states_and_rules() -> None:
    root = FIXTURES / "contexts" / "ignored"
    found = listed(root, (root / ".dockerignore").read_text())
    assert [(item.path, item.state, item.rule.line if item.rule else 0) for item in found] == [
        (b".dockerignore", "in", 0),
        (b"Dockerfile", "in", 0),
        (b"docs", "part", 2),
        (b"docs/draft.md", "out", 2),
        (b"docs/manual.md", "in", 3),
        (b"node_modules", "out", 4),
        (b"src", "in", 0),
        (b"src/main.c", "in", 0),
        (b"src/main.o", "out", 1),
    ]
    assert [item.size for item in found if item.path == b"docs/draft.md"] == [6]


def test_without_an_ignore_file_everything_is_in(tmp_path: Path) -> None:
    assert {item.state for item in listed(make(tmp_path), None)} == {"in"}


def test_links_are_not_followed_and_sockets_are_files(tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("/etc")
    here = os.open(tmp_path, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/s")
        found = listed(tmp_path, None)
    os.close(here)
    assert [(item.path, item.kind, item.state) for item in found] == [
        (b"l", Kind.SYMLINK, "in"),
        (b"s", Kind.FILE, "in"),
    ]


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: bytes) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PybuildError, match="permission denied"):
        listed(tmp_path, None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(("", "!")), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)), max_size=5
    )
)
def test_what_is_in_is_what_a_build_sees(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, list[str]]]
) -> None:
    root = tmp_path_factory.getbasetemp() / "tree"
    if not root.exists():
        make(root)
    ignore = "\n".join(mark + "/".join(parts) for mark, parts in lines)
    context = open_context(str(root), parse_ignore(ignore.encode(), "i"), NOTHING_KNOWN)
    found = [item.path for item in listed(root, ignore) if item.state == "in" and item.kind is not Kind.DIRECTORY]
    assert sorted(found) == sorted(seen(context))
