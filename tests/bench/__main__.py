"""``python -m tests.bench [--runs N] [--only steps,app] [--peers buildah,docker] [--json FILE] [--phases]``."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.builders import PEERS, Builder, missing, started
from tests.bench.contexts import Shape
from tests.bench.figures import document, phase_table, table
from tests.bench.measure import Bench
from tests.bench.registry import registry
from tests.bench.scenarios import SCENARIOS, choose


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = "\n".join(f"  {scenario.name:10} {scenario.about}" for scenario in SCENARIOS)
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Times pybuild beside the other builders of this machine. Needs root.",
        epilog=f"scenarios:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shape = Shape()
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each builder (default: %(default)s)")
    parser.add_argument("--only", metavar="NAMES", help="scenarios, with commas between them (default: all)")
    parser.add_argument("--peers", metavar="NAMES", help="of buildah,docker; '' for none (default: those found)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--phases", action="store_true", help="where pybuild's builds spent their time")
    parser.add_argument("--big", type=int, default=shape.big >> 20, metavar="MIB", help="size of big (%(default)s)")
    parser.add_argument("--many", type=int, default=shape.many, metavar="N", help="files of many (%(default)s)")
    parser.add_argument("--steps", type=int, default=shape.steps, metavar="N", help="RUNs of steps (%(default)s)")
    parser.add_argument("--seed", type=int, default=shape.seed, help="of the contexts (%(default)s)")
    parser.add_argument("--directory", type=Path, help="where stores and contexts are made (default: TMPDIR)")
    options = parser.parse_args(arguments)
    try:
        options.scenarios = choose(options.only)
        options.found = _peers(options.peers)
    except ValueError as error:
        parser.error(str(error))
    return options


def _peers(names: str | None) -> tuple[str, ...]:
    """The peers that are asked for, or all that are here. ValueError when one that is asked for is not."""
    if names is None:
        return tuple(peer for peer in PEERS if missing(peer) is None)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in PEERS:
            raise ValueError(f"no peer {name}; there are {', '.join(PEERS)}")
        program = missing(name)
        if program is not None:
            raise ValueError(f"{name} needs the program {program}")
    return tuple(peer for peer in PEERS if peer in wanted)


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


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 when a builder could not build something. How long it took decides nothing."""
    options = _options(arguments)
    shape = Shape(seed=options.seed, steps=options.steps, big=options.big << 20, many=options.many)
    with tempfile.TemporaryDirectory(prefix="pybuild-bench-", dir=options.directory) as name:
        directory = Path(name)
        with registry(directory / "registry") as shared, started(options.found, directory) as builders:
            machine = {**_machine(builders), "shape": shape._asdict(), "runs": options.runs}
            bench = Bench(builders, shared, shape, directory, _say)
            results = [result for scenario in options.scenarios for result in bench.measure(scenario, options.runs)]
    print(table(results))
    if options.phases:
        print(f"\n{phase_table(results)}")
    if options.json is not None:
        options.json.write_text(json.dumps(document(results, machine), indent=2) + "\n")
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
