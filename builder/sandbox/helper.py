"""The helper: two processes per build, the only ones that fork. Standard library only, one thread each.

::

    pybuild ── launcher ── keeper (pid 1 of the build's pid namespace) ─┬─ command (pid 1 of its own)
                                                                        └─ command ...

The parent sends the keeper one message per command, with descriptors: the job, the command's control socket, its
standard output and error. The keeper forks the command, waits for its end or for a word to kill it, clears up, and
answers on the control socket.

Nothing outlives the parent, however it dies. The keeper ends at the end of file on its socket, or by SIGKILL when the
launcher dies; with it the kernel kills all of its pid namespace, and with that all mount namespaces in it go away. No
signal has to reach a command for that, so one that changed its user (which clears a parent-death signal) dies as well.
"""

import errno
import gc
import marshal
import os
import select
import sys

from builder.sandbox import enter, kernel, sockets, stage, stubs
from builder.sandbox.job import DESCRIPTORS, READY, Answer, Job, read
from builder.sandbox.sockets import Socket
from builder.sandbox.suppress import suppress

_UNMOUNT_SECONDS = 10
_FRAME = 4
"""Bytes of the length in front of what a command-to-be tells the keeper."""
_CHUNK = 1 << 16

Frame = tuple[int, list[stubs.Stub], str | None]
"""The watch on its root file system, the mount points that it lacked, why the command could not be started."""


def main(descriptor: int) -> None:
    """The launcher. ``descriptor`` is its end of the parent's socket (SOCK_SEQPACKET).

    Its current directory is "/" and stays so.
    """
    for number in kernel.SIGNALS:
        if number not in {kernel.SIGKILL, kernel.SIGSTOP}:
            kernel.restore_signal(number)
    kernel.unblock_signals()
    os.set_inheritable(descriptor, False)
    parent = Socket(fileno=descriptor)
    try:
        kernel.unshare(kernel.CLONE_NEWPID)
        keeper = os.fork()
    except OSError as error:
        parent.send(_text(error).encode())
        return
    if keeper == 0:
        status = 1
        try:
            _keep(parent)
            status = 0
        except ConnectionError:
            status = 0  # the parent has died
        except Exception:  # a defect of this program: to standard error, which is the parent's
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    parent.close()
    os.waitpid(keeper, 0)
    os._exit(0)  # the parent may be waiting: the interpreter would take as long again to tear itself down


def _keep(parent: Socket) -> None:
    kernel.die_with_parent(kernel.SIGKILL)
    kernel.ignore_signal(kernel.SIGPIPE)
    try:
        surroundings = stage.prepare()
    except OSError as error:
        parent.send(_text(error).encode())
        return
    gc.disable()  # it would copy the pages of every fork, for a process that holds next to nothing
    parent.send(READY)
    Keeper(parent, surroundings).serve()


class _Step:
    """A command that runs, as the keeper sees it."""

    __slots__ = ("control", "end", "job", "pid", "report", "reported")

    def __init__(self, control: Socket, job: Job) -> None:
        self.control = control
        self.job = job
        self.pid = -1
        self.end = -1
        """A pidfd."""
        self.report = -1
        self.reported = bytearray()

    def close(self) -> None:
        self.control.close()
        for descriptor in (self.end, self.report):
            if descriptor >= 0:
                os.close(descriptor)


class Keeper:
    """Forks commands and looks after them, all from one loop."""

    def __init__(self, parent: Socket, surroundings: stage.Surroundings) -> None:
        self._parent = parent
        self._surroundings = surroundings
        self._unmounts = kernel.Unmounts()
        self._steps: dict[int, _Step] = {}
        """By each descriptor that is polled for them."""
        self._unmounting: dict[int, tuple[_Step, list[stubs.Stub], Answer]] = {}
        """Commands that have ended, by the watch on their root file system, which is not gone yet."""
        self._poll = select.poll()
        self._poll.register(parent, select.POLLIN)
        self._poll.register(self._unmounts.descriptor, select.POLLIN)

    def serve(self) -> None:
        """Until the parent closes its socket, or dies."""
        while True:
            events = self._poll.poll(_UNMOUNT_SECONDS * 1000 if self._unmounting else None)
            if not events:
                self._give_up_unmounting()
            ready = [descriptor for descriptor, _ in events]
            for descriptor in ready:
                if step := self._steps.get(descriptor):
                    self._attend(step, descriptor)
            self._look_for_unmounts()
            # Last, since it opens descriptors: their numbers must not be mistaken for those that were ready.
            if self._parent.fileno() in ready:
                message, received = sockets.receive(self._parent, 16, DESCRIPTORS)
                if not message:
                    return
                self._start(received)

    def _start(self, received: list[int]) -> None:
        step = _Step(Socket(fileno=received[1]), read(received[0]))
        try:
            self._fork(step, received[2:])
        except OSError as error:
            self._finish(step, [], (None, None, _text(error)))
        finally:
            for descriptor in (received[0], *received[2:]):
                os.close(descriptor)

    def _fork(self, step: _Step, outputs: list[int]) -> None:
        step.report, report_end = os.pipe()
        stdin, stdin_end = os.pipe()
        os.close(stdin_end)
        try:
            kernel.unshare(kernel.CLONE_NEWPID)
            step.pid = os.fork()
            if step.pid == 0:
                _become(step.job, self._surroundings, self._unmounts, (stdin, *outputs), report_end)
        finally:
            kernel.enter_namespace(self._surroundings.pid_namespace, kernel.CLONE_NEWPID)
            os.close(report_end)
            os.close(stdin)
        step.end = os.pidfd_open(step.pid)
        for descriptor in (step.end, step.control.fileno(), step.report):
            self._steps[descriptor] = step
            self._poll.register(descriptor, select.POLLIN)

    def _attend(self, step: _Step, descriptor: int) -> None:
        if descriptor == step.report:
            chunk = os.read(step.report, _CHUNK)
            step.reported += chunk
            if not chunk:
                self._forget(step.report)
        elif descriptor == step.control.fileno():
            kernel.kill(step.end)
            self._forget(descriptor)
        else:
            self._reap(step)

    def _forget(self, descriptor: int) -> None:
        if self._steps.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def _reap(self, step: _Step) -> None:
        """The end of a pid namespace's first process is the end of all of them, and of their mount namespace."""
        _, status = os.waitpid(step.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        while chunk := os.read(step.report, _CHUNK):
            step.reported += chunk
        for descriptor in (step.end, step.control.fileno(), step.report):
            self._forget(descriptor)
        frame = _last_frame(bytes(step.reported))
        if frame is None:  # killed while it was being set up
            self._finish(step, [], (None, -code, None))
        elif frame[2] is not None:
            self._finish(step, [], (None, None, frame[2]))
        else:
            # Seldom is it not gone yet: when something outside holds a file of it, as a descriptor sent over a socket.
            self._unmounting[frame[0]] = (step, frame[1], (code, None, None) if code >= 0 else (None, -code, None))

    def _look_for_unmounts(self) -> None:
        for watch in self._unmounts.gone() & self._unmounting.keys():
            self._finish(*self._unmounting.pop(watch))
            self._unmounts.forget(watch)

    def _give_up_unmounting(self) -> None:
        for step, _, _ in self._unmounting.values():
            text = f"the root file system is still in use {_UNMOUNT_SECONDS} s after the command's end"
            self._finish(step, [], (None, None, text))
        self._unmounting.clear()

    def _finish(self, step: _Step, made: list[stubs.Stub], answer: Answer) -> None:
        try:
            stubs.remove(step.job.upper, made)
        except OSError as error:
            answer = (None, None, f"remove mount points: {_text(error)}")
        with suppress(BrokenPipeError):  # the parent has given it up
            step.control.send(marshal.dumps(answer))
        step.close()


def _become(
    job: Job,
    surroundings: stage.Surroundings,
    unmounts: kernel.Unmounts,
    stdio: tuple[int, ...],
    report: int,
) -> None:
    """In the child: never returns."""
    made: list[stubs.Stub] = []
    watch = -1
    try:
        watch = enter.set_up(job, surroundings, unmounts, made)
        enter.become(job, surroundings, stdio)
        _write_frame(report, (watch, made, None))
        enter.execute(job)
    except OSError as error:
        _write_frame(report, (watch, made, _text(error)))
    except Exception as error:  # whatever it is, this is all that will ever be heard of it
        _write_frame(report, (watch, made, f"{type(error).__name__}: {error}"))
    finally:
        os._exit(127)


def _write_frame(report: int, frame: Frame) -> None:
    data = marshal.dumps(frame)
    data = len(data).to_bytes(_FRAME, "little") + data
    while data:
        data = data[os.write(report, data) :]


def _last_frame(data: bytes) -> Frame | None:
    """None when there is no whole frame."""
    frame = None
    while len(data) >= _FRAME:
        end = _FRAME + int.from_bytes(data[:_FRAME], "little")
        if len(data) >= end:
            frame = marshal.loads(data[_FRAME:end])  # noqa: S302  # written by a fork of this process
        data = data[end:]
    return frame


def _text(error: OSError) -> str:
    if error.errno in {errno.EINVAL, errno.ENODEV} and "overlay" in str(error):
        return f"{error.strerror} (the kernel log says why)"
    if error.filename is None:
        return str(error.strerror)
    name = error.filename if isinstance(error.filename, str) else os.fsdecode(error.filename)
    return f"{name}: {error.strerror}"
