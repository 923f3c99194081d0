"""What grows: no state changes when another is made from it, and long chains are not copied."""

from hypothesis import given
from hypothesis import strategies as st

from builder.plan.growing import Assignments, Growing, Variables

NAMES = st.sampled_from("abcd")
STEPS = st.lists(st.tuples(st.integers(0, 20), NAMES, st.text("xyz", max_size=2), st.booleans()), max_size=30)


def in_place(pairs: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    if name in dict(pairs):
        return [(key, value if key == name else old) for key, old in pairs]
    return [*pairs, (name, value)]


def at_the_end(pairs: list[tuple[str, str]], name: str, value: str) -> list[tuple[str, str]]:
    return [*((key, old) for key, old in pairs if key != name), (name, value)]


@given(STEPS)
def test_every_state_stays_what_it_was(steps: list[tuple[int, str, str, bool]]) -> None:
    """States branch off any earlier one; some are looked at as a whole on the way."""
    made: list[tuple[Assignments, Variables, list[tuple[str, str]], list[tuple[str, str]]]] = [
        (Assignments([("a", "0")]), Variables([("a", "0")]), [("a", "0")], [("a", "0")])
    ]
    for number, name, value, looked in steps:
        kept, moved, kept_model, moved_model = made[number % len(made)]
        state = (
            kept.assign(name, value),
            moved.assign(name, value),
            in_place(kept_model, name, value),
            at_the_end(moved_model, name, value),
        )
        if looked:
            assert state[0].pairs == tuple(state[2])
        made.append(state)
    for kept, moved, kept_model, moved_model in made:
        assert {name: kept.get(name) for name in "abcd"} == {name: dict(kept_model).get(name) for name in "abcd"}
        assert dict(moved) == dict(moved_model)
        assert kept.pairs == tuple(kept_model)
        assert moved.pairs == tuple(moved_model)
        assert len(kept) == len(kept_model)


@given(st.lists(st.integers(0, 20), max_size=30))
def test_sequences_branch(choices: list[int]) -> None:
    made: list[tuple[Growing[int], list[int]]] = [(Growing([1]), [1])]
    for item, choice in enumerate(choices):
        grown, model = made[choice % len(made)]
        made.append((grown.plus(item), [*model, item]))
    assert all(list(grown) == model and len(grown) == len(model) for grown, model in made)


def test_a_chain_shares_one_journal() -> None:
    first = Variables()
    last = first
    for number in range(1000):
        last = last.assign(f"v{number}", "x")
    assert last._journal is first._journal
    assert len(first) == 0
    assert len(last) == 1000
