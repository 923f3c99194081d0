"""``python -m tests.differential [--seed N] [--generated N] [--case NAME] [--json FILE]``."""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.differential.builders import Buildctl, Workshop, workshop
from tests.differential.cases import Case, fixture_cases, write_folder, written_cases
from tests.differential.generate import SEED, generate, generate_modern
from tests.differential.judge import Judge, current_rules, rules_of_2022
from tests.differential.summary import Verdict, document, shown, table, verdict


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential",
        description="Builds Dockerfiles with pybuild and with Docker's BuildKit, and compares the images. Needs root.",
    )
    parser.add_argument("--buildkit", metavar="ADDRESS", help="compare with this running BuildKit instead")
    parser.add_argument("--buildctl", default="buildctl", metavar="PATH", help="its client (%(default)s)")
    parser.add_argument("--seed", default=str(SEED), help="of the generated ones; 'random' for a new one (%(default)s)")
    parser.add_argument("--generated", type=int, default=200, metavar="N", help="how many are generated (%(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first of them (%(default)s)")
    parser.add_argument("--case", action="append", metavar="NAME", help="only this one; may be repeated")
    parser.add_argument("--only", choices=("generated", "written", "fixture"), help="only those of one origin")
    parser.add_argument("--show", action="store_true", help="print the Dockerfiles of cases that differ")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write the cases as folders, build nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was found")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="cases at once (%(default)s)")
    return parser.parse_args(arguments)


def _cases(options: argparse.Namespace, seed: int) -> tuple[Case, ...]:
    numbers = range(options.first, options.first + options.generated)
    cases = (
        *fixture_cases(),
        *written_cases(),
        *((generate_modern if options.buildkit else generate)(seed, number) for number in numbers),
    )
    named = {case.name: case for case in cases}
    if options.case:
        return tuple(named.get(name) or _by_name(name) for name in options.case)
    return tuple(case for case in cases if options.only in {None, case.origin})


def _by_name(name: str) -> Case:
    """A generated case by its name, ``gSEED-NUMBER``, or ``m`` for what a BuildKit of 2022 lacks."""
    seed, dash, number = name[1:].rpartition("-")
    if not (name.startswith(("g", "m")) and dash and seed.isdigit() and number.isdigit()):
        sys.exit(f"there is no case {name}")
    return (generate if name.startswith("g") else generate_modern)(int(seed), int(number))


def judged(cases: Sequence[Case], shop: Workshop, judge: Judge, jobs: int) -> Iterator[Verdict]:
    """In the order of the cases."""
    with ThreadPoolExecutor(jobs) as pool:
        for case, outcomes in zip(cases, pool.map(shop.build, cases), strict=True):
            yield verdict(case, outcomes, judge, shop.recent)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every difference is explained by a row of the reference, else 1."""
    options = _options(arguments)
    seed = random.SystemRandom().randrange(10**9) if options.seed == "random" else int(options.seed)
    cases = _cases(options, seed)
    if options.write is not None:
        for case in cases:
            write_folder(case, options.write / case.name)
        return 0
    print(f"{len(cases)} cases, seed {seed}", flush=True)
    buildctl = Buildctl(options.buildctl, options.buildkit) if options.buildkit else None
    judge = Judge(current_rules() if buildctl else rules_of_2022())
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="differential-") as scratch, workshop(Path(scratch), buildctl) as shop:
        for found in judged(cases, shop, judge, options.jobs):
            verdicts.append(found)
            if found.unexplained:
                print(shown(found, dockerfile=options.show), flush=True)
    print(table(verdicts))
    if options.json is not None:
        options.json.write_text(document(verdicts, seed))
    return int(any(found.unexplained for found in verdicts))


if __name__ == "__main__":
    sys.exit(main())
