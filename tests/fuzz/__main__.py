"""``python -m tests.fuzz [TARGET] [SECONDS]``: coverage-guided fuzzing with atheris, one target after the other.

Findings are written to tests/fuzz/cases/<target>/ by the name libFuzzer gives them; fix what they show, and keep the
file: ``tests/unit/test_fuzz.py`` runs it from then on. Ends with 1 when there is one.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import CASES, TARGETS, seeds

MEMORY_MB = 1024
ONE_INPUT_S = 10
LONGEST_INPUT = 4096


def main(arguments: list[str]) -> int:
    """All targets without a name; a minute each without a time."""
    names = [name for name in arguments if name in TARGETS] or list(TARGETS)
    seconds = next((int(word) for word in arguments if word.isdecimal()), 60)
    unknown = [word for word in arguments if word not in TARGETS and not word.isdecimal()]
    if unknown:
        sys.exit(f"no target {unknown[0]}: there are {', '.join(TARGETS)}")
    return max(_one(name, seconds) for name in names)


def _one(target: str, seconds: int) -> int:
    """A process of its own: libFuzzer ends the one it runs in."""
    with tempfile.TemporaryDirectory(prefix="pybuild-fuzz-") as folder:
        for number, data in enumerate(seeds(target)):
            (Path(folder) / str(number)).write_bytes(data)
        limits = [
            f"-max_total_time={seconds}",
            f"-timeout={ONE_INPUT_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-max_len={LONGEST_INPUT}",
            f"-artifact_prefix={CASES / target}/",
            "-print_final_stats=1",
        ]
        command = [sys.executable, "-m", "tests.fuzz.worker", target, *limits, folder]
        return int(subprocess.run(command, check=False).returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
