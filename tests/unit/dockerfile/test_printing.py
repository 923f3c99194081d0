"""parse(print(tree)) is the same tree: a syntax tree holds all that a Dockerfile says."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from builder.dockerfile.instructions import Add, Copy, Dockerfile
from builder.dockerfile.parse import parse
from builder.errors import BuildError
from tests.conftest import FIXTURES
from tests.support.printing import meaning, printed
from tests.unit.dockerfile.test_parse import INSTRUCTIONS

PATH = "Dockerfile"
ACCEPTED = sorted((FIXTURES / "dockerfiles").iterdir())


def same_again(tree: Dockerfile) -> None:
    text = printed(tree)
    assert meaning(parse(text, PATH)) == meaning(tree), text


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.name)
def test_golden_files(case: Path) -> None:
    tree = parse((case / "Dockerfile").read_bytes(), PATH)
    if loses_a_body(tree):
        assert case.name == "heredoc-copy"
        tree = parse((case / "Dockerfile").read_bytes().replace(b"a b", b"ab"), PATH)
    same_again(tree)


@given(st.lists(INSTRUCTIONS, max_size=6), st.sampled_from(("", "# escape=`\n")), st.booleans())
@example(["RUN --mount=type=tmpfs,target=/t <<E", "COPY <<-'F' a /b\n\tx\n\tF"], "", True)
@example(['COPY ["a\tb", x]'], "", False)
@example(["USER -- --a"], "", False)
def test_whatever_can_be_parsed(instructions: list[str], head: str, ends: bool) -> None:
    """Of the instructions those that can be; heredocs that nothing ends get an end every other time."""
    lines = [line + ("\nE\n" if ends and "<<" in line else "\n") for line in instructions]
    readable = [line for line in lines if parsed(head + "FROM a\n" + line) is not None]
    tree = parsed(head + "FROM a\n" + "".join(readable))
    if tree is not None and not loses_a_body(tree):
        same_again(tree)


def parsed(text: str) -> Dockerfile | None:
    try:
        return parse(text.encode(), PATH)
    except BuildError:
        return None


def loses_a_body(tree: Dockerfile) -> bool:
    """COPY and ADD whose heredocs and words do not agree: by BuildKit's rules quotes and escapes count for the marks of
    heredocs, and not for words, so that a mark with a blank in it is two paths, and its body is nobody's."""
    for each in (each for stage in tree.stages for each in stage.instructions):
        if isinstance(each, Copy | Add) and not each.json_form:
            words = [word for word in (*each.sources, each.dest) if isinstance(word, str)]
            odd = any(char in "\"'\\" for word in words for char in word)
            if any("<<" in word for word in words) or (odd and len(words) <= len(each.sources)):
                return True
    return False
