"""Wildcards without a match: which of them BuildKit would refuse (reference 1.10)."""

from pathlib import Path

import pytest

from builder.errors import PlanError, Span
from builder.plan.context import open_context
from builder.plan.contextmemory import NOTHING_KNOWN
from builder.plan.graph import AddOp, CopyOp, WebFile
from builder.plan.select import Selection, select
from builder.plan.select_mounts import MountSelection, choose
from builder.plan.unmatched import Selected, refuse_unmatched
from layers.tree import Tree

SPAN = Span("Dockerfile", 3, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/f").write_text("f")
    (tmp_path / "g").write_text("g")
    (tmp_path / "l").symlink_to("d")
    return tmp_path


def opened(folder: Path, *, owners: bool = False) -> Tree:
    return open_context(str(folder), None, NOTHING_KNOWN, owners=owners)


def copied(tree: Tree, *words: str, parents: bool = False) -> Selection:
    return select(CopyOp(words, "/x/", None, None, False, parents=parents), tree, SPAN)


@pytest.mark.parametrize("words", [("d/n*",), ("d/e/n*", "d/f"), ("l/n*", "g"), ("g/n*",), ("d/*/n*",), ("g", "d/n?")])
def test_nothing_else_of_the_directory_is_taken(words: tuple[str, ...], folder: Path) -> None:
    with pytest.raises(PlanError, match=r"nothing matches, and no step takes anything else of [dg]") as caught:
        refuse_unmatched([(SPAN, copied(opened(folder), *words))])
    assert caught.value.span == SPAN
    assert caught.value.about in words


@pytest.mark.parametrize(
    "words",
    [
        ("n*",),
        ("d/n*", "d/f"),
        ("d/n*", "d"),
        ("d/e/n*", "d"),
        ("d/n*", "."),
        ("l/n*", "d/f"),
        ("g/n*", "g"),
        ("d/f*",),
    ],
)
def test_something_else_of_it_is_taken(words: tuple[str, ...], folder: Path) -> None:
    refuse_unmatched([(SPAN, copied(opened(folder), *words))])


def test_other_steps_take_something_of_it(folder: Path) -> None:
    tree = opened(folder)
    wanting: Selected = (SPAN, copied(tree, "d/n*"))
    refuse_unmatched([wanting, (SPAN, copied(tree, "d/f"))])
    refuse_unmatched([wanting, (SPAN, copied(tree, "d/e", parents=True))])
    refuse_unmatched([wanting, (SPAN, MountSelection((None, choose("/", tree, None, SPAN))))])


def test_what_other_steps_take_is_elsewhere(folder: Path) -> None:
    tree = opened(folder)
    wanting: Selected = (SPAN, copied(tree, "d/n*"))
    web = select(AddOp((WebFile("https://a/d/f", "d", False),), "/", None, None, False), tree, SPAN)
    for other in (
        copied(opened(folder), "d/f"),
        copied(tree, "g", parents=True),
        web,
        MountSelection((None, choose("/g", tree, None, SPAN))),
    ):
        with pytest.raises(PlanError):
            refuse_unmatched([wanting, (SPAN, other)])


def test_contexts_that_were_fetched_are_there_as_a_whole(folder: Path) -> None:
    refuse_unmatched([(SPAN, copied(opened(folder, owners=True), "d/n*"))])
