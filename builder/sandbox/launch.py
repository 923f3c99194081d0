"""The helper's first program: runs the helper with an interpreter that nobody can write to.

Before a command has been executed, its /proc/self/exe is the interpreter, a file of the host. An image may have the
kernel start just that as its command, with libraries of its own, to get hold of the file (as with runc's
CVE-2019-5736). Through a read-only mount there is nothing it can do to it.
"""

import os
import sys

from builder.sandbox.job import HELPER, command
from builder.sandbox.kernel import open_read_only


def main(descriptor: int) -> None:
    """Becomes the helper, in the same process. ``descriptor`` is passed on, and is inheritable."""
    try:
        interpreter = open_read_only(b"/proc/self/exe")
    except OSError as error:
        os.write(descriptor, str(error.strerror).encode())
        return
    os.execve(interpreter, command(HELPER, sys.argv[2], descriptor), os.environ)  # noqa: S606  # no shell wanted
