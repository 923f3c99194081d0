"""``pybuild`` and ``python -m builder``."""

import sys

from builder.cli import main as run


def main() -> None:
    sys.exit(run())


if __name__ == "__main__":
    main()
