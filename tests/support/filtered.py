"""Runs a program under a seccomp filter that refuses one system call, as the filters of containers do:
``python -m tests.support.filtered CALL PROGRAM ARGUMENT...`` as root."""

import os
import struct
import sys

from builder.sandbox.kernel import set_filter

_NUMBERS = {"sethostname": {"x86_64": 170, "aarch64": 161}, "keyctl": {"x86_64": 250, "aarch64": 219}}
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001


def refuse(call: str) -> bytes:
    """The call's number is the first word of what a filter looks at (seccomp(2))."""
    number = _NUMBERS[call][os.uname().machine]
    program = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, _EPERM), (0x06, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


if __name__ == "__main__":
    set_filter(refuse(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
