import socket
import threading

from registry.watchdog import Watchdog


class Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock


def test_ends_what_does_not_move() -> None:
    ours, theirs = socket.socketpair()
    dog = Watchdog(interval_s=0.01)
    with ours, theirs, dog.watch(0.05) as watch:
        watch.connection = Connection(ours)
        assert ours.recv(1) == b""
        assert watch.expired
    dog.close()


def test_leaves_alone_what_moves() -> None:
    now = [0.0]
    ours, theirs = socket.socketpair()
    dog = Watchdog(now=lambda: now[0], interval_s=0.001)
    with ours, theirs, dog.watch(10.0) as watch:
        watch.connection = Connection(ours)
        now[0] = 9.0
        watch.moved()
        now[0] = 18.0
        assert not threading.Event().wait(0.05)
        assert not watch.expired
    now[0] = 1000.0
    assert not threading.Event().wait(0.02)
    assert not watch.expired
    dog.close()


def test_a_connection_that_is_known_late_is_ended_too() -> None:
    ours, theirs = socket.socketpair()
    dog = Watchdog(interval_s=0.01)
    with ours, theirs, dog.watch(0.01) as watch:
        assert not threading.Event().wait(0.05)
        assert watch.expired
        watch.connection = Connection(ours)
        assert ours.recv(1) == b""
    dog.close()


def test_a_closed_socket_is_no_trouble() -> None:
    ours, theirs = socket.socketpair()
    dog = Watchdog(interval_s=0.01)
    watch = dog.watch(100)
    watch.connection = Connection(ours)
    ours.close()
    theirs.close()
    watch.expire()
    assert watch.expired
    dog.close()


def test_closing_ends_what_is_under_way() -> None:
    ours, theirs = socket.socketpair()
    dog = Watchdog(interval_s=0.01)
    with ours, theirs:
        dog.watch(100).connection = Connection(ours)
        reader = threading.Thread(target=ours.recv, args=(1,))
        reader.start()
        dog.close()
        reader.join(20)
        assert not reader.is_alive()
