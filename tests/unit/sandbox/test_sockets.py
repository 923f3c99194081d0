"""Messages and descriptors between a runner and its helper."""

import os

from builder.sandbox import sockets


def test_messages_and_descriptors() -> None:
    one, other = sockets.pair()
    read_end, write_end = os.pipe()
    try:
        sockets.send(one, b"first", [read_end, write_end])
        one.send(b"second")
        os.close(write_end)
        message, (copied_read_end, copied_write_end) = sockets.receive(other, 100, 2)
        assert message == b"first"
        assert sockets.receive(other, 100, 2) == (b"second", [])
        os.write(copied_write_end, b"x")
        os.close(copied_write_end)
        assert os.read(read_end, 10) == b"x"
        opened = (one.fileno(), other.fileno(), copied_read_end)
        assert [os.get_inheritable(descriptor) for descriptor in opened] == [False] * 3
        os.close(copied_read_end)
        one.close()
        assert sockets.receive(other, 100, 2) == (b"", [])
    finally:
        os.close(read_end)
        one.close()
        other.close()
