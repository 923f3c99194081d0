"""``pybuild`` and ``python -m builder``."""

import gc
import os
import sys

gc.disable()  # what is imported lives to the end: collecting meanwhile is a tenth of a short run

from builder.cli import main as run  # noqa: E402


def main() -> None:
    """Ends the process. A build that has nothing to do is over before the interpreter could tear itself down, so it
    is not asked to; every thread has ended by then, and what is written is flushed."""
    gc.freeze()
    gc.enable()
    code = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)


if __name__ == "__main__":
    main()
