"""What is timed: a context, the state of the store before a run, and what changes between runs."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench import contexts
from tests.bench.contexts import Shape


class Scenario(NamedTuple):
    """``warm``: every builder has built the context before, untimed, and keeps its store between the runs; otherwise
    each run begins with a store that holds the base image and nothing else. ``change`` comes before each round."""

    name: str
    make: Callable[[Path, Shape], None]
    about: str
    warm: bool = False
    change: Callable[[Path, Shape, int], object] | None = None


SCENARIOS = (
    Scenario("steps", contexts.many_steps, "many small RUNs, one after the other"),
    Scenario("app", contexts.app, "a service of several stages, 400 sources"),
    Scenario("big", contexts.big, "COPY of one big file"),
    Scenario("many", contexts.many, "COPY of a tree of many small files"),
    Scenario("parallel", contexts.parallel, "stages of `sleep 1` that do not depend on each other, joined"),
    Scenario("rebuild", contexts.app, "app again, nothing changed", warm=True),
    Scenario("edit", contexts.app, "app again, one source edited", warm=True, change=contexts.edit_app),
)


def choose(names: str | None) -> tuple[Scenario, ...]:
    """Of names with commas between them, in the order of SCENARIOS; all for None. ValueError names an unknown one."""
    if names is None:
        return SCENARIOS
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    unknown = wanted - {scenario.name for scenario in SCENARIOS}
    if unknown:
        raise ValueError(
            f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(scenario.name for scenario in SCENARIOS)}"
        )
    return tuple(scenario for scenario in SCENARIOS if scenario.name in wanted)
