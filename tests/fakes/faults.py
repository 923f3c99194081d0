"""What a registry can do wrong, on request. A fault takes the place of the answer that would have been given."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

Answer = tuple[int, dict[str, str], bytes]


class Handler(Protocol):
    """What faults use of a http.server handler."""

    command: str
    close_connection: bool
    connection: socket.socket

    def raw(self, data: bytes) -> None: ...

    def body(self, limit: int | None = None) -> bytes: ...

    def answer(self, status: int, headers: dict[str, str], data: bytes) -> None: ...

    def ended(self) -> bool: ...


Real = Callable[[], Answer]
"""Gives the answer that would have been given."""
Act = Callable[[Handler, Real], None]


@dataclass
class Fault:
    """Of requests whose ``METHOD path`` matches the regular expression ``pattern``, the first ``times``."""

    pattern: str
    act: Act
    times: int = 1_000_000
    seen: int = field(default=0)


def status(code: int, body: bytes = b"", **headers: str) -> Act:
    """An answer with this status; ``Retry_After="1"`` becomes a header."""

    def act(handler: Handler, _: Real) -> None:
        handler.body()
        handler.answer(code, _named(headers), body)

    return act


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def refused(code: int, error: str) -> Act:
    """An answer with an error code of the distribution specification."""
    return status(code, b'{"errors":[{"code":"%s","message":"no"}]}' % error.encode())


def reset(handler: Handler, _: Real) -> None:
    """The connection is reset instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handler.connection.close()
    handler.close_connection = True


def cut(count: int) -> Act:
    """The answer ends after ``count`` bytes of its body, although it promised all."""

    def act(handler: Handler, real: Real) -> None:
        code, headers, data = real()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        handler.raw(f"HTTP/1.1 {code} X\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[:count])
        handler.close_connection = True

    return act


def late(seconds: float) -> Act:
    """The right answer, after a while, if it is still right then."""

    def act(handler: Handler, real: Real) -> None:
        handler.body()
        time.sleep(seconds)
        handler.answer(*real())

    return act


def slow_to_say(seconds: float) -> Act:
    """Whether it may be done is decided at once, and so is it done; the answer comes after a while."""

    def act(handler: Handler, real: Real) -> None:
        answer = real()
        time.sleep(seconds)
        handler.answer(*answer)

    return act


def changed(change: Callable[[bytes], bytes], **more: str) -> Act:
    """Another body, honestly announced; ``more`` headers as for ``status``."""

    def act(handler: Handler, real: Real) -> None:
        code, headers, data = real()
        handler.answer(code, {**headers, **_named(more)}, change(data))

    return act


def damaged(data: bytes) -> bytes:
    """Of the same length, with other bytes."""
    return bytes(byte ^ 0x55 for byte in data)


def endless(handler: Handler, _: Real) -> None:
    """A body without an end, in chunks, as fast as it goes."""
    handler.raw(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        while not handler.ended():
            handler.raw(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    except OSError:
        handler.close_connection = True


def slow(handler: Handler, real: Real) -> None:
    """A byte now and then, from the first header on: never silent, never done."""
    data = b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n" + b" " * 1_000_000
    _drip(handler, data)


def slow_body(handler: Handler, real: Real) -> None:
    """The headers at once, then a byte now and then."""
    code, headers, data = real()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    handler.raw(f"HTTP/1.1 {code} X\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode())
    _drip(handler, data)


def _drip(handler: Handler, data: bytes) -> None:
    handler.close_connection = True
    try:
        for byte in data:
            if handler.ended():
                return
            handler.raw(bytes((byte,)))
            time.sleep(0.05)
    except OSError:
        return


def redirect(url: str, code: int = 307) -> Act:
    return status(code, Location=url)


def swallow(count: int) -> Act:
    """Takes ``count`` bytes of what is sent, which count as received, and breaks the connection."""

    def act(handler: Handler, real: Real) -> None:
        handler.body(count)
        real()
        reset(handler, real)

    return act


def unheard(handler: Handler, real: Real) -> None:
    """Does what was asked, and breaks the connection before saying so."""
    real()
    reset(handler, real)
