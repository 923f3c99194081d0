"""``python -m tests.bench [--full] [--runs N] [--only steps,app] [--peers buildkit] [--json FILE] [--phases]``."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.builders import Builder
from tests.bench.contexts import FULL, Shape
from tests.bench.field import PEERS, chosen, started
from tests.bench.figures import Result, document, phase_table, table
from tests.bench.measure import Bench
from tests.bench.registry import registry
from tests.bench.scenarios import FEWER, KINDS, SCENARIOS, Scenario, choose
from tests.bench.targets import cost_table, target_table


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = "\n".join(
        f"  {scenario.name:16} {scenario.kind:9} {scenario.about}{' (--full)' if scenario.full else ''}"
        for scenario in SCENARIOS
    )
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Times pybuild beside the other builders of this machine. Needs root.",
        epilog=f"scenarios, and their kinds:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    peers = ",".join(PEERS)
    parser.add_argument("--full", action="store_true", help="1 GiB, 132,000 files, and the series up to a million")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each builder (default: %(default)s)")
    for kind in KINDS:
        fewer = f", at most {FEWER[kind]} unless given" if kind in FEWER else ""
        parser.add_argument(f"--runs-{kind}", type=int, metavar="N", help=f"of scenarios of this kind{fewer}")
    parser.add_argument("--only", metavar="NAMES", help="scenarios or kinds, with commas between (default: all)")
    parser.add_argument("--peers", metavar="NAMES", help=f"of {peers}; '' for none (default: those found)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured, after each scenario")
    parser.add_argument("--phases", action="store_true", help="where pybuild's builds spent their time")
    parser.add_argument("--big", type=int, metavar="MIB", help=f"size of big ({Shape().big >> 20})")
    parser.add_argument("--many", type=int, metavar="N", help=f"files of many ({Shape().many})")
    parser.add_argument("--steps", type=int, metavar="N", help=f"RUNs of steps ({Shape().steps})")
    parser.add_argument("--seed", type=int, help=f"of the contexts ({Shape().seed})")
    parser.add_argument("--directory", type=Path, help="where stores and contexts are made (default: TMPDIR)")
    options = parser.parse_args(arguments)
    try:
        options.scenarios = choose(options.only, full=options.full)
        options.found = chosen(options.peers)
    except ValueError as error:
        parser.error(str(error))
    return options


def _shape(options: argparse.Namespace) -> Shape:
    big = options.big << 20 if options.big is not None else None
    given = {"seed": options.seed, "steps": options.steps, "big": big, "many": options.many}
    shape = FULL if options.full else Shape()
    return shape._replace(**{name: value for name, value in given.items() if value is not None})


def _runs(options: argparse.Namespace, scenario: Scenario) -> int:
    given: int | None = getattr(options, f"runs_{scenario.kind}")
    return given if given is not None else min(options.runs, FEWER.get(scenario.kind, options.runs))


def _machine(builders: Sequence[Builder]) -> dict[str, Any]:
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "builders": {builder.name: builder.version() for builder in builders},
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _keep(file: Path | None, results: Sequence[Result], machine: dict[str, Any]) -> None:
    """Whole or as it was before: a run that is interrupted keeps what it has measured."""
    if file is not None:
        beside = file.with_name(f".{file.name}.new")
        beside.write_text(json.dumps(document(results, machine), indent=2) + "\n")
        beside.replace(file)


def _measure(options: argparse.Namespace, shape: Shape) -> list[Result]:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=options.directory) as name:
        directory = Path(name)
        directory.chmod(0o755)  # an ordinary user builds here too
        with registry(directory / "registry") as shared, started(options.found, directory, shared) as builders:
            machine = {**_machine(builders), "shape": shape._asdict(), "runs": options.runs}
            bench = Bench(builders, shared, shape, directory, _say)
            try:
                for scenario in options.scenarios:
                    results += bench.measure(scenario, _runs(options, scenario))
                    _keep(options.json, results, machine)
            except KeyboardInterrupt:
                _say("interrupted; what was measured until now:")
                results += [result for result in bench.results() if result not in results]
                _keep(options.json, results, machine)
    return results


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 when a builder could not build something. How long it took decides nothing."""
    options = _options(arguments)
    shape = _shape(options)
    signal.signal(signal.SIGTERM, _interrupt)  # whoever ends it wants it to clean up, too
    results = _measure(options, shape)
    units = {scenario.name: scenario.units for scenario in SCENARIOS if scenario.units} | {"steps": shape.steps}
    tables = [table(results), cost_table(results, units), target_table(results, units)]
    if options.phases:
        tables.append(phase_table(results))
    print("\n\n".join(filter(None, tables)))
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
