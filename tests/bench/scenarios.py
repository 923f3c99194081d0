"""What is timed: a context, the state of the store before a run, and what changes between runs."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench import contexts
from tests.bench.contexts import Make, Shape
from tests.bench.figures import OURS, ROOTLESS
from tests.bench.registry import BUSYBOX, DEBIAN


class Scenario(NamedTuple):
    """``warm``: every builder has built the context before, untimed, and keeps its store between the runs; otherwise
    each run begins with a store that holds the base image and nothing else. ``change`` comes before each round.
    ``base``: the image that FROM names, of fixtures/images. ``fetched``: it comes from the registry; otherwise it is in
    the store already. ``push``: the result goes to the registry, which has the base and nothing else. ``pull``: the
    base is looked up again.

    ``kind`` is what ``--runs-KIND`` goes by. ``alone``: the one builder it is for, of all but the ordinary user's if
    None. ``sized``: its layers are set against zlib's. ``sampled``: all processes' memory is watched. ``units``: so
    many equal things are built in it, or as many as the shape says. ``full``: only with ``--full``, or by name."""

    name: str
    kind: str
    make: Make
    about: str
    warm: bool = False
    change: Callable[[Path, Shape, int], object] | None = None
    base: str = BUSYBOX
    fetched: bool = False
    push: bool = False
    pull: bool = False
    alone: str | None = None
    sized: bool = False
    sampled: bool = False
    units: int = 0
    full: bool = False

    def takes(self, builder: str) -> bool:
        return builder == self.alone if self.alone is not None else builder != ROOTLESS


KINDS = ("steps", "app", "big", "many", "parallel", "pull", "apt", "memory", "scaling")
FEWER = {"memory": 1, "scaling": 3}
"""At most so many runs unless ``--runs-KIND`` asks for more: one builder alone, and long."""

_SIZES = {"1k": 1000, "10k": 10_000, "100k": 100_000, "1m": 1_000_000}
_FILES = {name: contexts.files(number) for name, number in _SIZES.items()}
"""Made once: scenarios with equal ``make`` that follow each other share a context."""


def _of_steps(number: int) -> tuple[Scenario, ...]:
    of = "step" if number == 1 else "steps"
    metadata = f"{number} {of} of metadata, on a base that is not unpacked"
    cached = f"{number} cached {of}"
    return (
        Scenario(f"metadata-{number}", "scaling", contexts.metadata(number), metadata, alone=OURS, units=number),
        Scenario(f"cached-{number}", "scaling", contexts.copies(number), cached, warm=True, alone=OURS, units=number),
    )


def _of_files(name: str) -> tuple[Scenario, ...]:
    number, make, full = _SIZES[name], _FILES[name], name == "1m"
    about = f"COPY of {number} small files, without output"
    again = f"the same {number} files again, nothing changed"
    return (
        Scenario(f"files-{name}", "scaling", make, about, alone=OURS, units=number, full=full),
        Scenario(f"files-{name}-again", "scaling", make, again, warm=True, alone=OURS, units=number, full=full),
    )


SCENARIOS = (
    Scenario("steps", "steps", contexts.many_steps, "many small RUNs, one after the other"),
    Scenario(
        "steps+push",
        "steps",
        contexts.many_steps,
        "the same, Debian fetched, result pushed",
        base=DEBIAN,
        fetched=True,
        push=True,
    ),
    Scenario("app-local", "app", contexts.app, "a service of several stages, 400 sources, no output", base=DEBIAN),
    Scenario("app", "app", contexts.app, "the same, pushed", base=DEBIAN, push=True, sized=True),
    Scenario("rebuild", "app", contexts.app, "app again, nothing changed", base=DEBIAN, warm=True),
    Scenario(
        "rebuild-pull",
        "app",
        contexts.app,
        "the same, the base looked up again",
        base=DEBIAN,
        warm=True,
        fetched=True,
        pull=True,
    ),
    Scenario(
        "rebuild-rootless",
        "app",
        contexts.app,
        "rebuild by an ordinary user",
        base=DEBIAN,
        warm=True,
        alone=ROOTLESS,
    ),
    Scenario(
        "edit", "app", contexts.app, "app again, one source edited", base=DEBIAN, warm=True, change=contexts.edit_app
    ),
    Scenario("big-local", "big", contexts.big, "COPY of one big file, without output", base=DEBIAN),
    Scenario("big", "big", contexts.big, "the same, pushed", base=DEBIAN, push=True, sized=True),
    Scenario("big-rebuild", "big", contexts.big, "the same again, nothing changed", base=DEBIAN, warm=True),
    Scenario(
        "memory-big",
        "memory",
        contexts.big,
        "big, pushed: memory of all processes",
        base=DEBIAN,
        push=True,
        alone=OURS,
        sampled=True,
    ),
    Scenario("many-local", "many", contexts.many, "COPY of a tree of many small files, without output", base=DEBIAN),
    Scenario("many", "many", contexts.many, "the same, pushed", base=DEBIAN, push=True, sized=True),
    Scenario("many-rebuild", "many", contexts.many, "the same again, nothing changed", base=DEBIAN, warm=True),
    Scenario(
        "memory",
        "memory",
        contexts.many,
        "many, pushed: memory of all processes",
        base=DEBIAN,
        push=True,
        alone=OURS,
        sampled=True,
    ),
    Scenario("many+run", "many", contexts.many_run, "many, then two RUNs, pushed", base=DEBIAN, push=True),
    Scenario("parallel", "parallel", contexts.parallel, "stages of `sleep` that do not depend on each other, joined"),
    Scenario("pull", "pull", contexts.pull, "Debian fetched and unpacked, then one RUN", base=DEBIAN, fetched=True),
    Scenario("apt", "apt", contexts.apt, "apt-get install gcc and python3, pushed", base=DEBIAN, push=True, sized=True),
    *_of_steps(1),
    *_of_steps(10),
    *_of_steps(100),
    *_of_steps(1000),
    *_of_files("1k"),
    *_of_files("10k"),
    *_of_files("100k"),
    *_of_files("1m"),
    Scenario(
        "memory-1m",
        "memory",
        _FILES["1m"],
        "a million files, pushed: memory of all processes",
        push=True,
        alone=OURS,
        sampled=True,
        full=True,
    ),
)


def choose(names: str | None, *, full: bool = False) -> tuple[Scenario, ...]:
    """Of names with commas between them, in the order of SCENARIOS; a kind's name means all of it that ``full`` allows.
    All for None. ValueError names an unknown one."""
    allowed = tuple(scenario for scenario in SCENARIOS if full or not scenario.full)
    if names is None:
        return allowed
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    known = {scenario.name for scenario in SCENARIOS}
    unknown = wanted - known - set(KINDS)
    if unknown:
        raise ValueError(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(known_names())}")
    kinds = wanted & (set(KINDS) - known)
    return tuple(
        scenario
        for scenario in SCENARIOS
        if scenario.name in wanted or (scenario.kind in kinds and scenario in allowed)
    )


def known_names() -> list[str]:
    return [scenario.name for scenario in SCENARIOS]
