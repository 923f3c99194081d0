"""A server that answers with the bytes it is given, be they HTTP or not."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence

SLOWLY = 0.02
"""Seconds between two bytes."""


class RawServer:
    """Answers the first request with the first of ``answers``, and so on, over however many connections; when there
    is none it says nothing. ``idle`` is sent right after an answer. ``close``: a connection is for one answer.
    ``slow``: the number of the byte from which on an answer comes byte by byte.
    """

    def __init__(
        self, answers: Sequence[bytes], *, close: bool = False, idle: bytes = b"", slow: int | None = None
    ) -> None:
        self._answers = list(answers)
        self._close = close
        self._idle = idle
        self._slow = slow
        self._ended = threading.Event()
        self.requests: list[bytes] = []
        self.connections = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"

    @contextlib.contextmanager
    def running(self) -> Iterator["RawServer"]:
        threading.Thread(target=self._run, daemon=True).start()
        try:
            yield self
        finally:
            self._ended.set()
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while self._answers:
                data = _request(connection)
                if not data:
                    return
                self.requests.append(data)
                answer = self._answers.pop(0)
                at = len(answer) if self._slow is None else self._slow
                connection.sendall(answer[:at])
                for byte in answer[at:]:
                    time.sleep(SLOWLY)
                    connection.sendall(bytes((byte,)))
                if self._idle:
                    time.sleep(SLOWLY)
                    connection.sendall(self._idle)
                if self._close:
                    return
            self._ended.wait(20)


def _request(connection: socket.socket) -> bytes:
    """What comes first, with the body that it announces."""
    data = connection.recv(1 << 16)
    found = re.search(rb"Content-Length: (\d+)", data)
    while found and len(data) < data.index(b"\r\n\r\n") + 4 + int(found[1]):
        data += connection.recv(1 << 16)
    return data
