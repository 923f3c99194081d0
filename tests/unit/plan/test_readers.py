"""Which layers the steps of a plan look into."""

import pytest

from builder.plan.graph import CopyOp
from builder.plan.readers import only_read, read_by_steps
from tests.support.planning import plan


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("FROM base\nCOPY a /\nCOPY b /\n", []),
        ("FROM base\nCOPY a /\nLABEL x=y\n", []),
        ("FROM base\nCOPY a /\nRUN true\nCOPY b /\n", ["COPY a /"]),
        ("FROM base AS s\nCOPY a /\nFROM base\nCOPY --from=s /a /\n", ["COPY a /"]),
        ("FROM base AS s\nCOPY a /\nFROM s\nCOPY b /\n", []),
        (
            "FROM base AS s\nCOPY a /\nFROM base\nCOPY b /\nRUN --mount=from=s,target=/s true\n",
            ["COPY a /", "COPY b /"],
        ),
        ("FROM base\nCOPY --link a /\nRUN true\nCOPY --link b /\n", ["COPY --link a /"]),
        ("FROM base AS s\nCOPY --link a /\nCOPY b /\nFROM s\nRUN true\n", ["COPY --link a /", "COPY b /"]),
        ("FROM base\nCOPY a /\nADD b /\n", []),
    ],
)
def test_copies_that_are_read(text: str, read: list[str]) -> None:
    made = plan(text)
    nodes = read_by_steps(made)
    assert [node.title for node in made.nodes.values() if isinstance(node.op, CopyOp) and node.id in nodes] == read


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("FROM base\nCOPY a /\nRUN true\n", []),
        ("FROM base AS s\nCOPY a /\nRUN true\nFROM s\nCOPY b /\n", []),
        ("FROM base AS s\nCOPY a /\nRUN true\nFROM base\nCOPY b /\nCOPY --from=s /a /\n", ["COPY a /"]),
        ("FROM base\nCOPY --link a /\nRUN true\n", []),
        (
            "FROM base AS s\nCOPY --link a /\nCOPY b /\nFROM base\nCOPY --from=s /a /\n",
            ["COPY --link a /", "COPY b /"],
        ),
        ("FROM base AS s\nCOPY a /\nFROM base\nRUN --mount=from=s,target=/s true\n", ["COPY a /"]),
    ],
)
def test_copies_that_are_in_no_image(text: str, kept: list[str]) -> None:
    made = plan(text)
    nodes = only_read(made)
    assert [node.title for node in made.nodes.values() if isinstance(node.op, CopyOp) and node.id in nodes] == kept
