"""A network of its own for a step that asked for none: a namespace in which there is the loopback device only."""

import fcntl
import socket
import struct

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_REQUEST = "16sH22x"
"""struct ifreq (netdevice(7)): name, flags."""


def raise_loopback() -> None:
    """A new namespace has the device, but down. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack(_REQUEST, b"lo", _IFF_UP))
