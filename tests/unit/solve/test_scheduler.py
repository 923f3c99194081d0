"""What is run and what is found, in a real store; commands are fakes."""

from typing import Any

import pytest

from builder.errors import PlanError, StepFailed, Unsupported
from builder.events import StepCached, StepFinished, StepStarted
from builder.events import StepFailed as FailedEvent
from builder.plan.graph import NodeId, Plan
from builder.plan.reach import Base
from builder.sandbox.spec import Runner
from builder.solve.lookup import Known, inspect, states
from builder.solve.scheduler import needed, solve
from builder.solve.stepcontext import Control
from layers.digest import CacheKey, Digest, Rootfs
from layers.entry import Entry, FileSource, Kind
from layers.errors import NotInStore
from layers.image import ImageConfig
from layers.records import parse_rootfs
from layers.store import StepRecord, Store
from layers.view import Stack
from tests.fakes.runner import Script, exits
from tests.support.planning import AMD64, plan
from tests.support.trees import MemoryTree
from tests.unit.solve.conftest import OURS, Builds

CHAIN = """
    FROM scratch
    RUN one
    RUN two
    RUN three
    """
COPIED = """
    FROM scratch AS build
    RUN make
    FROM scratch
    COPY --from=build /made /made
    RUN finish
    """


def titles(found: Plan, numbers: list[int]) -> list[str]:
    return [found.nodes[NodeId(number)].title for number in numbers]


# needed


def known(found: Plan, *hits: str) -> Known:
    recipes = {node.id: CacheKey(Digest.of(node.title.encode())) for node in found.nodes.values()}
    record = StepRecord(CacheKey(Digest.of(b"")), "", None, 0.0)
    return Known({}, recipes, {recipes[node.id]: record for node in found.nodes.values() if node.title in hits})


def test_needed_ends_at_hits() -> None:
    found = plan(CHAIN)
    assert titles(found, list(needed(found, known(found)))) == ["FROM scratch", "RUN one", "RUN two", "RUN three"]
    assert titles(found, list(needed(found, known(found, "RUN one")))) == ["RUN one", "RUN two", "RUN three"]
    assert titles(found, list(needed(found, known(found, "RUN one", "RUN three")))) == ["RUN three"]


def test_a_stage_that_feeds_only_hits_is_not_needed() -> None:
    found = plan(COPIED)
    assert titles(found, list(needed(found, known(found, "COPY --from=build /made /made")))) == [
        "COPY --from=build /made /made",
        "RUN finish",
    ]


# builds


def test_a_second_build_runs_nothing_and_gives_the_same(builds: Builds) -> None:
    builds.runner.scripts = {"one": Script({"a": b"1"}), "three": Script({"b": b"3"})}
    found = plan(CHAIN)
    first = builds.solve(found)
    assert builds.runner.commands == ["one", "two", "three"]
    offered = builds.offers.layers
    rootfs = first[found.target].rootfs
    assert list(offered.values()) == list(rootfs)
    assert builds.read(rootfs, "a") == b"1"
    assert titles(found, builds.told(StepFinished)) == ["RUN one", "RUN two", "RUN three"]
    second = builds.solve(found)
    assert builds.runner.commands == []
    assert builds.offers.layers == offered
    for node in found.layers:
        assert (second[node].rootfs, second[node].layer) == (first[node].rootfs, first[node].layer)
        assert second[node].finished == first[node].finished
    assert titles(found, builds.told(StepCached)) == ["RUN one", "RUN two", "RUN three"]
    assert builds.told(StepStarted) == []


def test_a_build_that_finds_everything_reads_one_root_file_system(
    builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step has the layers of all below it: to read them all would take time by the square of the steps."""
    found = plan("FROM scratch\n" + "".join(f"RUN {number}\n" for number in range(12)))
    first = builds.solve(found)
    read: list[str] = []

    def parse(text: str) -> Rootfs:
        read.append(text)
        return parse_rootfs(text)

    for module in ("records", "buildrecords"):
        monkeypatch.setattr(f"layers.{module}.parse_rootfs", parse)
    assert builds.solve(found)[found.target].rootfs == first[found.target].rootfs
    assert len(read) == 2, "one to see that its layers are there, one for the result"


def test_steps_stand_on_what_is_below(builds: Builds) -> None:
    found = plan(CHAIN)
    layers = builds.solve(found)[found.target].rootfs
    lowers = [spec.root.lowers for spec in builds.runner.specs]
    assert lowers == [("empty",), (str(layers[0]),), (str(layers[0]), str(layers[1]))]


def test_after_a_change_what_follows_runs_again(builds: Builds) -> None:
    builds.solve(plan(CHAIN))
    builds.solve(plan(CHAIN.replace("two", "other")))
    assert builds.runner.commands == ["other", "three"]


def test_equal_output_of_another_command_hits_behind_the_copy(builds: Builds) -> None:
    builds.runner.scripts = {"make": Script({"made": b"same"}), "remake": Script({"made": b"same", "log": b"more"})}
    first = builds.solve(plan(COPIED))
    found = plan(COPIED.replace("RUN make", "RUN remake"))
    second = builds.solve(found)
    assert builds.runner.commands == ["remake"]
    assert second[found.target].rootfs == first[plan(COPIED).target].rootfs
    assert [second[node].cached for node in found.layers] == ["content", "content"]
    third = builds.solve(found)
    assert [third[node].cached for node in found.layers] == ["recipe", "recipe"]


def test_other_output_is_copied_anew(builds: Builds) -> None:
    builds.runner.scripts = {"make": Script({"made": b"1"}), "remake": Script({"made": b"2"})}
    builds.solve(plan(COPIED))
    found = plan(COPIED.replace("RUN make", "RUN remake"))
    rootfs = builds.solve(found)[found.target].rootfs
    assert builds.runner.commands == ["remake", "finish"]
    assert builds.read(rootfs, "made") == b"2"


def test_without_cache_everything_runs_and_is_found_afterwards(builds: Builds) -> None:
    builds.runner.scripts = {"one": Script({"a": b"1"})}
    builds.solve(plan(CHAIN))
    builds.runner.scripts = {"one": Script({"a": b"2"})}
    again = builds.solve(plan(CHAIN, no_cache=True))
    assert builds.runner.commands == ["one", "two", "three"]
    found = plan(CHAIN)
    rootfs = builds.solve(found)[found.target].rootfs
    assert builds.runner.commands == []
    assert rootfs == again[found.target].rootfs
    assert builds.read(rootfs, "a") == b"2"


# failures


def test_a_failed_step_is_not_remembered_but_those_before_it_are(builds: Builds) -> None:
    builds.runner.scripts = {"two": Script({"half": b""}, outcome=exits(4))}
    with pytest.raises(StepFailed) as caught:
        builds.solve(plan(CHAIN))
    assert (caught.value.exit_code, caught.value.span and caught.value.span.first_line) == (4, 4)
    assert titles(plan(CHAIN), builds.told(FailedEvent)) == ["RUN two"]
    assert builds.runner.commands == ["one", "two"]
    builds.runner.scripts = {}
    found = plan(CHAIN)
    results = builds.solve(found)
    assert builds.runner.commands == ["two", "three"]
    assert builds.store.tree(results[found.target].rootfs).lookup(b"half") is None


def test_a_chain_is_never_mixed(builds: Builds) -> None:
    """A newer record of a lower step (of a build without cache that failed later) is no part of the root file system
    that was made on the older one."""
    builds.runner.scripts = {"one": Script({"a": b"old"}), "two": Script({"b": b"old"})}
    found = plan(CHAIN)
    first = builds.solve(found)
    builds.runner.scripts = {"one": Script({"a": b"new"}), "two": Script(outcome=exits(1))}
    with pytest.raises(StepFailed):
        builds.solve(plan(CHAIN, no_cache=True))
    again = builds.solve(found)
    rootfs = again[found.target].rootfs
    assert rootfs == first[found.target].rootfs
    assert builds.read(rootfs, "a") == b"old"
    assert [again[node].layer for node in found.layers] == list(rootfs)
    assert builds.offers.layers == dict(enumerate(rootfs))
    longer = plan(CHAIN + "    RUN four\n")
    assert builds.solve(longer)[longer.target].rootfs[:3] == rootfs


def test_a_hit_by_content_brings_its_own_chain(builds: Builds) -> None:
    """Below a step found by its effective key lie the layers it was made on, not those of this build."""
    builds.runner.scripts = {"one": Script({"a": b"1"})}
    first = builds.solve(plan("FROM scratch\nRUN one\nRUN two\n"))
    builds.solve(plan("FROM scratch\nRUN one\n", no_cache=True))
    found = plan("FROM scratch\nRUN one\nRUN two\n")
    again = builds.solve(found)
    assert again[found.target].rootfs == first[found.target].rootfs
    assert [again[node].rootfs for node in found.layers] == [
        again[found.target].rootfs[:1],
        again[found.target].rootfs,
    ]


def test_pruned_layers_are_made_again(builds: Builds) -> None:
    builds.solve(plan(CHAIN))
    builds.store.close()
    with Store.open(builds.store.root, clock=lambda: 3_000_000_000.0) as store:
        assert store.prune(all=True).layers == 3
        builds.store = store
        builds.solve(plan(CHAIN))
        assert builds.runner.commands == ["one", "two", "three"]


def test_a_file_that_changes_between_its_digest_and_its_copy_is_not_remembered(builds: Builds, store: Store) -> None:
    found = plan("FROM scratch\nCOPY f /f\n")
    tree = MemoryTree({"f": Entry(b"", Kind.FILE, 0o644, size=3, source=FileSource(b"/dev/null", bytes(32)))})
    tree.sha256 = lambda entry: bytes(32)  # type: ignore[method-assign]  # what it was when it was looked at
    builds.contexts = {"context": tree}
    with pytest.raises(StepFailed, match="changed while it was being read"):
        builds.solve(found)
    recipes = inspect(found, builds.contexts, store).recipes
    assert store.find_steps(list(recipes.values())) == {}
    assert store.check() == []


def test_a_missing_source_in_a_stage_names_the_line(builds: Builds) -> None:
    with pytest.raises(PlanError, match="/made: not found") as caught:
        builds.solve(plan(COPIED))
    assert caught.value.span is not None
    assert caught.value.span.first_line == 5
    assert titles(plan(COPIED), builds.told(FailedEvent)) == ["COPY --from=build /made /made"]


# bases and contexts


def test_steps_stand_on_the_layers_of_the_base(builds: Builds) -> None:
    """Whatever tag it has: its diff ids are its identity."""
    layer = builds.store.add_layer((), ())
    config = ImageConfig(AMD64, diff_ids=(builds.store.diff_id(layer, None),))
    base = Base("docker.io/library/base:latest", config, (layer,), (None,))
    other = base._replace(name="docker.io/library/other:latest")
    text = f"FROM {{}}\nCOPY --chown={OURS} f /f\nRUN one\n"
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    found = plan(text.format("base"), base)
    rootfs = builds.solve(found)[found.target].rootfs
    assert (rootfs[0], len(rootfs)) == (layer, 3)
    assert builds.read(rootfs, "f") == b"data"
    again = plan(text.format("other"), other)
    assert builds.solve(again)[again.target].rootfs == rootfs
    assert builds.runner.commands == []


def test_a_base_whose_layers_are_gone(builds: Builds) -> None:
    layer = builds.store.add_layer((), ())
    diff_id = builds.store.diff_id(layer, None)
    builds.store.close()
    with Store.open(builds.store.root) as store:
        store.prune(all=True)
        builds.store = store
        base = Base("docker.io/library/base:latest", ImageConfig(AMD64, diff_ids=(diff_id,)), (layer,), (None,))
        with pytest.raises(PlanError) as caught:
            builds.solve(plan("FROM base\nRUN one\n", base))
        assert caught.value.code == NotInStore.code


def test_an_image_without_steps(builds: Builds) -> None:
    found = plan("FROM scratch\nLABEL a=b\n")
    assert builds.solve(found)[found.target].rootfs == ()
    assert builds.offers.layers == {}
    assert builds.events == []


# linked copies


LINKED = f"FROM scratch\nRUN one\nCOPY --link --chown={OURS} f /d/f\nRUN two\n"


def test_a_linked_copy_hits_when_only_what_is_below_changed(builds: Builds) -> None:
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    builds.runner.scripts = {"other": Script({"a": b"1"})}
    found = plan(LINKED)
    first = builds.solve(found)
    assert [first[node].rootfs for node in found.layers] == [first[found.target].rootfs[:n] for n in (1, 2, 3)]
    assert list(builds.offers.layers.values()) == list(first[found.target].rootfs)
    changed = plan(LINKED.replace("one", "other"))
    second = builds.solve(changed)
    assert builds.runner.commands == ["other", "two"]
    assert second[changed.target].rootfs[1] == first[found.target].rootfs[1]
    assert second[changed.target].rootfs[0] != first[found.target].rootfs[0]
    assert builds.read(second[changed.target].rootfs, "d/f") == b"data"
    assert builds.read(second[changed.target].rootfs, "a") == b"1"


def test_a_linked_copy_that_is_found_has_the_time_it_was_made(builds: Builds) -> None:
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    for text in (LINKED, LINKED.removesuffix("RUN two\n")):
        found = plan(text)
        first = builds.solve(found)
        second = builds.solve(found)
        assert builds.runner.commands == []
        assert [second[node].finished for node in found.layers] == [first[node].finished for node in found.layers]
        assert [second[node].layer for node in found.layers] == [first[node].layer for node in found.layers]


def test_a_linked_copy_changes_what_stands_on_it(builds: Builds) -> None:
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    builds.solve(plan(LINKED))
    builds.contexts = {"context": MemoryTree({"f": b"more"})}
    found = plan(LINKED)
    rootfs = builds.solve(found)[found.target].rootfs
    assert builds.runner.commands == ["two"]
    assert builds.read(rootfs, "d/f") == b"more"


def test_a_linked_copy_does_not_look_at_the_base(builds: Builds) -> None:
    """Its layers may be gone: they are only named."""
    layer = builds.store.add_layer((), ())
    base = Base(
        "docker.io/library/base:latest",
        ImageConfig(AMD64, diff_ids=(builds.store.diff_id(layer, None),)),
        (layer,),
        (None,),
    )
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    asked: list[Rootfs] = []
    tree = builds.store.tree

    def spy(rootfs: Rootfs, **more: Any) -> Stack:
        asked.append(rootfs)
        return tree(rootfs, **more)

    builds.store.tree = spy  # type: ignore[method-assign]  # only what is asked is of interest
    found = plan("FROM base\nCOPY --link f /f\n", base)
    assert builds.solve(found)[found.target].rootfs[:1] == (layer,)
    assert set(asked) == {()}


def test_one_linked_copy_twice_in_a_stage(builds: Builds) -> None:
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    line = f"COPY --link --chown={OURS} f /f\n"
    found = plan(f"FROM scratch\n{line}RUN one\n{line}RUN two\n")
    results = builds.solve(found)
    rootfs = results[found.target].rootfs
    assert rootfs[0] == rootfs[2]
    assert list(builds.offers.layers.values()) == list(rootfs)
    assert builds.read(rootfs, "f") == b"data"
    assert builds.runner.specs[1].root.lowers == tuple(str(layer) for layer in rootfs[1:3])


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_a_plan_says_of_linked_copies(builds: Builds, jobs: int) -> None:
    builds.contexts = {"context": MemoryTree({"f": b"data"})}
    builds.solve(plan(LINKED), jobs=jobs)
    found = plan(LINKED.replace("one", "other"))
    said = states(found, inspect(found, builds.contexts, builds.store), builds.store)
    shown = {
        found.nodes[node].title.split()[0] + " " + type(found.nodes[node].op).__name__: state.state
        for node, state in said.items()
    }
    assert shown["RUN RunOp"] == "miss"
    assert shown["COPY CopyOp"] == "hit"
    assert shown["LINK MergeOp"] == "miss"
    copied = plan("FROM scratch AS a\nCOPY --link f /f\nFROM scratch\nCOPY --from=a /f /g\n")
    said = states(copied, inspect(copied, builds.contexts, builds.store), builds.store)
    on = said[copied.target].on
    assert on is not None
    assert copied.nodes[on].title == "COPY --link f /f"
    hits = states(plan(LINKED), inspect(plan(LINKED), builds.contexts, builds.store), builds.store)
    assert {state.state for state in hits.values()} == {"source", "hit"}


def test_the_sandbox_gets_ready_before_the_first_step(builds: Builds) -> None:
    """A COPY that goes before the first RUN is done meanwhile."""
    begun: list[list[int]] = []

    def runner() -> Runner:
        begun.append(builds.told(StepStarted))
        return builds.runner

    made = plan("FROM scratch\nCOPY <<f /f\nx\nf\nRUN one\nRUN two")
    context = builds.context()._replace(runner=runner)
    control = Control(1, builds.cancelled, builds.runner.cancel)
    solve(made, inspect(made, {}, builds.store), context, builds.offers, control)
    assert begun[0] == []
    begun.clear()
    solve(made, inspect(made, {}, builds.store), context, builds.offers, control)
    assert begun == [], "nothing was run"


def test_what_a_sandbox_fails_with_is_said_by_the_run(builds: Builds) -> None:
    def runner() -> Runner:
        raise Unsupported("there is no sandbox")

    made = plan("FROM scratch\nCOPY <<f /f\nx\nf\nRUN one")
    context = builds.context()._replace(runner=runner)
    control = Control(1, builds.cancelled, builds.runner.cancel)
    with pytest.raises(Unsupported) as caught:
        solve(made, inspect(made, {}, builds.store), context, builds.offers, control)
    assert caught.value.message == "there is no sandbox"
    assert [len(builds.told(kind)) for kind in (StepFinished, FailedEvent)] == [1, 1]


def test_the_sandbox_is_let_go_after_the_last_run(builds: Builds) -> None:
    """Its namespaces take as long to end as a small step."""
    made = plan("FROM scratch AS build\nRUN make\nRUN more\nFROM scratch\nCOPY --from=build /made /made")
    builds.runner.scripts = {"make": Script({"made": b"x"})}
    builds.solve(made)
    assert builds.runs_over == [2]
    builds.solve(made)
    assert builds.runs_over == [2], "nothing was run"


def test_the_sandbox_is_not_let_go_by_a_run_that_fails(builds: Builds) -> None:
    """Then it is stopped, whatever still runs."""
    builds.runner.scripts = {"false": Script(outcome=exits(1))}
    with pytest.raises(StepFailed):
        builds.solve(plan("FROM scratch\nRUN false\nRUN more"))
    assert (builds.runs_over, builds.stops) == ([], 1)
