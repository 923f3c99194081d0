"""What is timed: a context, the state of the store before a run, and what changes between runs."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench import contexts
from tests.bench.contexts import Shape
from tests.bench.registry import BUSYBOX, DEBIAN


class Scenario(NamedTuple):
    """``warm``: every builder has built the context before, untimed, and keeps its store between the runs; otherwise
    each run begins with a store that holds the base image and nothing else. ``change`` comes before each round.
    ``base``: the image that FROM names, of fixtures/images. ``fetched``: it comes from the registry; otherwise it is in
    the store already. ``push``: the result goes to the registry, which has the base and nothing else."""

    name: str
    make: Callable[[Path, Shape], None]
    about: str
    warm: bool = False
    change: Callable[[Path, Shape, int], object] | None = None
    base: str = BUSYBOX
    fetched: bool = False
    push: bool = False


SCENARIOS = (
    Scenario("steps", contexts.many_steps, "many small RUNs, one after the other"),
    Scenario(
        "steps+push",
        contexts.many_steps,
        "the same, Debian fetched, result pushed",
        base=DEBIAN,
        fetched=True,
        push=True,
    ),
    Scenario("app", contexts.app, "a service of several stages, 400 sources, pushed", base=DEBIAN, push=True),
    Scenario("rebuild", contexts.app, "app again, nothing changed", base=DEBIAN, warm=True),
    Scenario("edit", contexts.app, "app again, one source edited", base=DEBIAN, warm=True, change=contexts.edit_app),
    Scenario("big", contexts.big, "COPY of one big file, pushed", base=DEBIAN, push=True),
    Scenario("many", contexts.many, "COPY of a tree of many small files, pushed", base=DEBIAN, push=True),
    Scenario("many-local", contexts.many, "the same, without output", base=DEBIAN),
    Scenario("many-rebuild", contexts.many, "the same again, nothing changed", base=DEBIAN, warm=True),
    Scenario("many+run", contexts.many_run, "many, then two RUNs, pushed", base=DEBIAN, push=True),
    Scenario("parallel", contexts.parallel, "stages of `sleep` that do not depend on each other, joined"),
    Scenario("pull", contexts.pull, "Debian fetched and unpacked, then one RUN", base=DEBIAN, fetched=True),
    Scenario("apt", contexts.apt, "apt-get install gcc and python3, pushed", base=DEBIAN, push=True),
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
