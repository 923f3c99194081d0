"""Sockets between a runner and its helper, without ``socket``, which takes either of them milliseconds to import."""

import struct
from _socket import AF_UNIX, CMSG_LEN, MSG_CMSG_CLOEXEC, SCM_RIGHTS, SHUT_RDWR, SOCK_SEQPACKET, SOL_SOCKET, socketpair
from _socket import socket as Socket

__all__ = ["SHUT_RDWR", "Socket", "pair", "receive", "send"]

_INT = struct.calcsize("i")


def pair() -> tuple[Socket, Socket]:
    """Two ends that keep messages apart; no child inherits them."""
    return socketpair(AF_UNIX, SOCK_SEQPACKET)


def send(connection: Socket, message: bytes, descriptors: list[int]) -> None:
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    connection.sendmsg([message], [(SOL_SOCKET, SCM_RIGHTS, packed)])


def receive(connection: Socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """A message of up to ``size`` bytes, and up to ``most`` descriptors, which no child inherits."""
    message, ancillary, _, _ = connection.recvmsg(size, CMSG_LEN(most * _INT), MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
            number = len(data) // _INT
            descriptors += struct.unpack(f"{number}i", data[: number * _INT])
    return message, descriptors
