"""A network of its own for a step that asked for none: a namespace in which there is the loopback device only."""

import fcntl
import struct
from _socket import AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, socket

_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_REQUEST = "16sH22x"
"""struct ifreq (netdevice(7)): name, flags."""


def raise_loopback() -> None:
    """A new namespace has the device, but down. Raises OSError."""
    control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack(_REQUEST, b"lo", _IFF_UP))
    finally:
        control.close()
