"""What is known before anything runs, and what ``pybuild plan`` makes of it."""

from collections.abc import Sequence

import pytest

from builder.errors import PlanError
from builder.plan.graph import NodeId, Plan
from builder.solve.lookup import inspect, local_source, states
from layers.digest import CacheKey
from layers.store import StepRecord
from tests.fakes.runner import Script
from tests.support.planning import plan
from tests.support.trees import MemoryTree
from tests.unit.solve.conftest import Builds

TEXT = """
    FROM scratch AS build
    COPY src /src
    RUN make
    FROM scratch
    COPY --from=build /made /made
    COPY <<E /note
    text
    E
    RUN finish
    """
CONTEXT = {"src": b"source"}


class Records:
    """A store that knows ``known`` and counts what it is asked."""

    def __init__(self, known: Sequence[CacheKey] = ()) -> None:
        self.known = known
        self.asked: list[Sequence[CacheKey]] = []

    def find_steps(self, keys: Sequence[CacheKey]) -> dict[CacheKey, StepRecord]:
        self.asked.append(keys)
        return {key: StepRecord(key, "", None, 1.0) for key in keys if key in self.known}


def numbers(found: Plan) -> dict[str, NodeId]:
    return {node.title: node.id for node in found.nodes.values()}


def test_one_query_for_all_steps() -> None:
    found = plan(TEXT)
    records = Records()
    known = inspect(found, {"context": MemoryTree(CONTEXT)}, records)
    (asked,) = records.asked
    steps = [node.id for node in found.nodes.values() if not node.title.startswith(("FROM", "load"))]
    assert list(asked) == [known.recipes[node] for node in steps]
    assert len(set(known.recipes.values())) == len(found.nodes)


def test_without_cache_nothing_is_asked_for() -> None:
    found = plan(TEXT, no_cache=True)
    records = Records()
    known = inspect(found, {"context": MemoryTree(CONTEXT)}, records)
    assert records.asked == []
    assert not any(known.record(node) for node in found.nodes.values())


def test_only_what_is_copied_from_the_context_is_selected() -> None:
    found = plan(TEXT)
    context = MemoryTree({**CONTEXT, "unused": b"x"})
    known = inspect(found, {"context": context}, Records())
    assert list(known.selections) == [numbers(found)["COPY src /src"]]
    assert context.asked == [b"src"]
    sources = {node.title: local_source(found, node) for node in found.nodes.values()}
    assert [title for title, source in sources.items() if source is not None] == ["COPY src /src"]


def test_a_source_that_is_not_there_is_told_before_anything_runs() -> None:
    with pytest.raises(PlanError, match="nothere"):
        inspect(plan("FROM scratch\nRUN long\nCOPY nothere /\n"), {"context": MemoryTree()}, Records())


def test_a_change_in_the_context_changes_the_keys_of_all_that_follows() -> None:
    found = plan(TEXT)
    before = inspect(found, {"context": MemoryTree(CONTEXT)}, Records()).recipes
    after = inspect(found, {"context": MemoryTree({"src": b"other"})}, Records()).recipes
    changed = {found.nodes[node].title for node in before if before[node] != after[node]}
    follows = {"COPY src /src", "RUN make", "COPY --from=build /made /made", "COPY <<E /note", "RUN finish"}
    assert changed == follows


# states


def test_states_of_a_plan_nothing_is_known_of() -> None:
    found = plan(TEXT)
    records = Records()
    known = inspect(found, {"context": MemoryTree(CONTEXT)}, records)
    by_title = {found.nodes[node].title: state for node, state in states(found, known, records).items()}
    copied = numbers(found)["COPY --from=build /made /made"]
    assert {title: (state.state, state.on) for title, state in by_title.items()} == {
        "FROM scratch": ("source", None),
        "load build context": ("source", None),
        "COPY src /src": ("miss", None),
        "RUN make": ("miss", None),
        "COPY --from=build /made /made": ("depends", numbers(found)["RUN make"]),
        "COPY <<E /note": ("depends", numbers(found)["RUN make"]),
        "RUN finish": ("depends", numbers(found)["RUN make"]),
    }
    assert found.nodes[copied].inputs[1] == numbers(found)["RUN make"]


def test_a_hit_by_content_is_seen_beforehand(builds: Builds) -> None:
    """The step's recipe is new, but what it stands on is known to be what it once stood on."""
    builds.contexts = {"context": MemoryTree(CONTEXT)}
    builds.runner.scripts = {"one": Script({"made": b"same"}), "two": Script({"made": b"same"})}
    text = "FROM scratch AS build\nRUN {}\nFROM scratch\nCOPY --from=build /made /made\n"
    builds.solve(plan(text.format("one") + "COPY src /src\n"))
    builds.solve(plan(text.format("two")))
    found = plan(text.format("two") + "COPY src /src\n")
    known = inspect(found, builds.contexts, builds.store)
    assert known.record(found.nodes[found.target]) is None
    told = {found.nodes[node].title: state.state for node, state in states(found, known, builds.store).items()}
    assert told["COPY src /src"] == "hit"
    assert builds.solve(found)[found.target].cached == "content"
    assert builds.runner.commands == []
