"""The helper's first program: runs the helper with an interpreter that nobody can write to.

Before a command has been executed, its /proc/self/exe is the interpreter, a file of the host. An image may have the
kernel start just that as its command, with libraries of its own, to get hold of the file (as with runc's
CVE-2019-5736). Through a read-only mount there is nothing it can do to it.
"""

import os
import sys

from builder.sandbox.job import HELPER, command
from builder.sandbox.kernel import CLONE_NEWNS, close_on_exec_from, open_read_only, unshare


def main(descriptor: int) -> None:
    """Becomes the helper, in the same process. Of all that happens to be open, only ``descriptor`` is passed on."""
    os.chdir("/")  # noqa: TID251  # a process of one thread, which keeps nobody's directory busy
    try:
        close_on_exec_from(3)
        interpreter = _open_interpreter()
    except OSError as error:
        os.write(descriptor, str(error.strerror).encode())
        return
    os.set_inheritable(descriptor, True)
    os.execve(interpreter, command(HELPER, sys.argv[2], descriptor), os.environ)  # noqa: S606  # no shell wanted


def _open_interpreter() -> int:
    running = b"/proc/self/exe"
    try:
        return open_read_only(running)
    except PermissionError:
        # In a user namespace only mounts of a mount namespace of its own can be copied. The link leads to those it was
        # made from, so the file has to be found there again by name.
        unshare(CLONE_NEWNS)
        path = os.readlink(running)
        if not os.path.samefile(path, running):
            raise FileNotFoundError(2, "the Python that runs is not found by its name") from None
        return open_read_only(path)
