"""What holds for every plan, whatever the Dockerfile."""

from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BuildError
from builder.plan.graph import ImageOp, LocalOp, Plan, ScratchOp
from builder.plan.render import plan_json, plan_text
from tests.support.planning import image, plan

LINES = st.sampled_from(
    [
        "RUN a",
        "RUN b",
        'RUN ["c"]',
        "RUN <<E\nx\nE",
        "COPY a b",
        "COPY --from=0 / /x",
        "COPY --from=one / /x",
        "COPY --from=two / /x",
        "COPY --from=base / /x",
        "COPY <<E /x\n$v\nE",
        "ADD a /b",
        "WORKDIR /w",
        "WORKDIR x",
        "WORKDIR /",
        "ENV v=1 w=$v",
        "ARG v=2",
        "ARG g",
        "USER $v",
        "CMD x",
        "ENTRYPOINT []",
        "LABEL a=$w",
        "EXPOSE 8$v",
        "ONBUILD RUN t",
        "ONBUILD COPY --from=one / /t",
        "HEALTHCHECK NONE",
        "SHELL []",
        "RUN --mount=target=/x y",
    ]
)
STAGES = st.tuples(
    st.sampled_from(["scratch", "base", "one", "two", "${g}"]),
    st.sampled_from(["", " AS one", " AS two", " AS Three"]),
    st.lists(LINES, max_size=6),
)


def text(stages: list[tuple[str, str, list[str]]]) -> str:
    return "ARG g=base\n" + "".join(
        f"FROM {base}{name}\n" + "".join(f"{line}\n" for line in lines) for base, name, lines in stages
    )


def check(found: Plan) -> None:
    nodes = list(found.nodes.values())
    assert [node.id for node in nodes] == list(range(1, len(nodes) + 1))
    needed = {found.target}
    for node in reversed(nodes):
        assert all(source < node.id for source in node.inputs)
        assert node.id in needed, f"{node.title} is not needed"
        needed |= {*node.inputs}
        is_source = isinstance(node.op, ImageOp | ScratchOp | LocalOp)
        assert is_source == (not node.inputs)
        assert node.position <= node.total
    assert found.layers == tuple(node for _, node in found.history if node is not None)
    assert [entry.empty_layer for entry, _ in found.history] == [node is None for _, node in found.history]
    below = found.base
    for layer in found.layers:
        assert found.nodes[layer].inputs[0] == below
        below = layer
    assert below == found.target
    assert isinstance(found.nodes[found.base].op, ImageOp | ScratchOp)
    assert plan_json(found, {}) and plan_text(found, {})


@given(st.lists(STAGES, min_size=1, max_size=5))
def test_invariants(stages: list[tuple[str, str, list[str]]]) -> None:
    base = image(onbuild=("ENV t=1", "WORKDIR t"))
    one, two = image("docker.io/library/one:latest"), image("docker.io/library/two:latest")
    try:
        found = plan(text(stages), base, one, two)
    except BuildError as error:
        assert error.span is not None
        return
    check(found)


def test_many_stages_and_steps() -> None:
    """Neither deep recursion nor anything quadratic that would be felt."""
    forward = "".join(f"FROM scratch\nCOPY --from={number + 1} / /\n" for number in range(1500))
    check(plan(forward + "FROM scratch\n" + "RUN x\n" * 1500))
