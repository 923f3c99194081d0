"""``pybuild`` and ``python -m builder``."""

import gc
import os
import sys

gc.disable()  # what is imported lives to the end: collecting meanwhile is a tenth of a short run

from builder.cli import main as run  # noqa: E402

SWITCH_S = 50e-6
"""How long a thread in Python may keep others from theirs. Those that hash, compress and write need it for a moment per
MiB, and with Python's own 5 ms would wait longer than they work: a push of many files takes an eighth more."""

COLLECTED_AFTER = 100_000
"""So many new objects are looked through for cycles at once. After Python's own 700 it is done twenty times in a build
that has nothing to do and eighty in one of a thousand such steps, for nothing: what a build makes ends with its last
user, and next to none of it (300 objects, whatever is built) is in a cycle."""


def main() -> None:
    """Ends the process. A build that has nothing to do is over before the interpreter could tear itself down, so it
    is not asked to; every thread has ended by then, and what is written is flushed."""
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)
    gc.enable()
    sys.setswitchinterval(SWITCH_S)
    _open_standard_streams()
    code = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 1
    os._exit(code)


def _open_standard_streams() -> None:
    """Those that the caller closed: the next file opened, perhaps the store's database, would take the number of one
    and be written to. Whatever needs standard output shall fail; what is said to nobody's standard error is lost."""
    for number, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, flags), True)  # takes the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    main()
