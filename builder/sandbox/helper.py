"""The helper: a family of processes per build, the only ones that fork. Standard library only, one thread each.

::

    pybuild ── launcher ── keeper (pid 1 of the build's pid namespace) ─┬─ supervisor ── command (pid 1 of its own)
                                                                        └─ supervisor ── ...

The parent sends the keeper one message per command, with descriptors: the job, the command's control socket, its
standard output and error. The keeper forks a supervisor, which forks the command, waits for its end or for a word to
kill it, clears up, and answers on the control socket.

Nothing outlives the parent, however it dies. The keeper ends at the end of file on its socket, or by SIGKILL when the
launcher dies; with it the kernel kills all of its pid namespace, and with that all mount namespaces in it go away. No
signal has to reach a command for that, so one that changed its user (which clears a parent-death signal) dies as well.
"""

import errno
import gc
import marshal
import os
import select
import signal
import socket

from builder.sandbox import enter, kernel, stage, stubs
from builder.sandbox.job import DESCRIPTORS, READY, Answer, Job, read

_UNMOUNT_SECONDS = 10.0
_FRAME = 4
"""Bytes of the length in front of what a command-to-be tells its supervisor."""


def main(descriptor: int) -> None:
    """The launcher. ``descriptor`` is its end of the parent's socket (SOCK_SEQPACKET)."""
    for number in range(1, signal.NSIG):
        if number not in {signal.SIGKILL, signal.SIGSTOP, 32, 33}:  # 32 and 33 are the C library's own
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    parent = socket.socket(fileno=descriptor)
    kernel.unshare(kernel.CLONE_NEWPID)
    keeper = os.fork()
    if keeper == 0:
        try:
            _keep(parent)
        finally:
            os._exit(0)
    parent.close()
    os.waitpid(keeper, 0)


def _keep(parent: socket.socket) -> None:
    kernel.die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are reaped by the kernel
    try:
        extra_namespaces = stage.prepare()
    except OSError as error:
        parent.send(str(error).encode())
        return
    gc.disable()
    parent.send(READY)
    while True:
        message, descriptors, _, _ = socket.recv_fds(parent, 16, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return
        control = socket.socket(fileno=descriptors[1])
        try:
            child = os.fork()
        except OSError as error:
            _answer(control, (None, None, f"fork: {error.strerror}"))
            child = -1
        if child == 0:
            try:
                parent.close()
                _supervise(control, read(descriptors[0]), extra_namespaces, (descriptors[2], descriptors[3]))
            finally:
                os._exit(0)
        control.close()
        for descriptor in (descriptors[0], *descriptors[2:]):
            os.close(descriptor)


def _supervise(control: socket.socket, job: Job, extra_namespaces: int, outputs: tuple[int, int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        answer = _run(control, job, extra_namespaces, outputs)
    except OSError as error:
        answer = (None, None, _text(error))
    _answer(control, answer)


def _answer(control: socket.socket, answer: Answer) -> None:
    control.send(marshal.dumps(answer))


def _run(control: socket.socket, job: Job, extra_namespaces: int, outputs: tuple[int, int]) -> Answer:
    watcher = kernel.watch()
    report, report_end = os.pipe()
    stdin, stdin_end = os.pipe()
    os.close(stdin_end)
    kernel.unshare(kernel.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        _become(job, extra_namespaces, watcher, (stdin, *outputs), report_end)
    for descriptor in (report_end, stdin, *outputs):
        os.close(descriptor)
    data = _watch_over(child, control, report)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    # The end of a pid namespace's first process is the end of all of them, and of their mount namespace.
    frame = _last_frame(data)
    if frame is None:  # killed while it was being set up: nothing was run and the upper directory is of no use
        return None, -code, None
    made, error = frame
    if error is not None:
        return None, None, error
    if not select.select((watcher,), (), (), _UNMOUNT_SECONDS)[0]:
        return None, None, f"the root file system is still in use {_UNMOUNT_SECONDS:.0f} s after the command's end"
    stubs.remove(job.upper, made)
    return (code, None, None) if code >= 0 else (None, -code, None)


def _watch_over(child: int, control: socket.socket, report: int) -> bytes:
    """Waits for the child's end, killing it when told to. Returns what it reported before it became the command."""
    data = bytearray()
    child_end = os.pidfd_open(child)
    poll = select.poll()
    for descriptor in (child_end, control.fileno(), report):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == report:
                chunk = os.read(report, 1 << 16)
                data += chunk
                if not chunk:
                    poll.unregister(report)
            elif descriptor == control.fileno():
                signal.pidfd_send_signal(child_end, signal.SIGKILL)
                poll.unregister(control.fileno())
            else:
                while chunk := os.read(report, 1 << 16):
                    data += chunk
                return bytes(data)


def _become(job: Job, extra_namespaces: int, watcher: int, stdio: tuple[int, int, int], report: int) -> None:
    """In the child: never returns."""
    made: list[stubs.Stub] = []
    try:
        enter.set_up(job, extra_namespaces, watcher, made)
        enter.become(job, stdio)
        _write_frame(report, (made, None))
        enter.execute(job)
    except OSError as error:
        _write_frame(report, (made, _text(error)))
    except Exception as error:  # this is all that will ever be heard of it
        _write_frame(report, (made, f"{type(error).__name__}: {error}"))
    finally:
        os._exit(127)


def _write_frame(report: int, frame: tuple[list[stubs.Stub], str | None]) -> None:
    data = marshal.dumps(frame)
    data = len(data).to_bytes(_FRAME, "little") + data
    while data:
        data = data[os.write(report, data) :]


def _last_frame(data: bytes) -> tuple[list[stubs.Stub], str | None] | None:
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
