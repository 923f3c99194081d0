"""Runs a program in the user namespace that pybuild enters: ``python -m tests.support.in_namespace PROGRAM...``."""

import os
import sys

from builder.sandbox.userns import enter

if __name__ == "__main__":
    enter(lambda *_: (1, b""))
    os.execvp(sys.argv[1], sys.argv[1:])
