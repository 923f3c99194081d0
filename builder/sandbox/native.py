"""NativeRunner: runs commands in namespaces, through a helper process. ``detect`` says what a host lacks."""

import contextlib
import marshal
import os
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

from builder.sandbox import overlay, sockets
from builder.sandbox.capabilities import mask
from builder.sandbox.child import Child
from builder.sandbox.job import EMPTY, KILL, LAUNCH, READY, Answer, Job, JobMount, command, write
from builder.sandbox.sockets import Socket
from builder.sandbox.spec import HostMount, Mount, Outcome, SandboxSpec, SecretFile, TmpfsMount, TreeMount

_SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_CHUNK = 1 << 16
_DIED: Answer = (None, None, "the sandbox helper died")
_CLOSE_SECONDS = 10.0

MAX_GROUPS = 65536
"""NGROUPS_MAX of the kernel (getgroups(2))."""


class NativeRunner:
    """A Runner (``spec``). Starting one takes a fork; its helper gets ready meanwhile, in about 30 ms.

    A cancelled runner starts nothing more: ``run`` then returns as if the command had been killed.
    """

    def __init__(self) -> None:
        self._requests, helper_end = sockets.pair()
        try:
            self._helper = Child(partial(command, LAUNCH, _SOURCES), helper_end.fileno())
        finally:
            helper_end.close()
        self._ready: str | None = None
        self._ready_lock = threading.Lock()
        """Apart from the other one: nobody who wants to cancel waits for the helper's start."""
        self._lock = threading.Lock()
        self._controls: set[Socket] = set()
        self._cancelled = False
        self._closed = False

    @property
    def pid(self) -> int:
        """The launcher: it waits for the keeper, whose end is the end of its pid namespace."""
        return self._helper.pid

    def run(self, spec: SandboxSpec, output: Callable[[int, bytes], None]) -> Outcome:
        """See Runner. The command's HOME is the identity's, unless ``env`` says otherwise."""
        started = time.monotonic()
        try:
            job = _job(spec)
        except ValueError as error:
            answer: Answer = (None, None, str(error))
        else:
            answer = self._run(job, output)
        return Outcome(*answer, seconds=time.monotonic() - started)

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            for control in self._controls:
                _kill(control)

    def release(self) -> None:
        """Lets the helper end, without waiting for it. Nothing more can be run; whatever still runs is killed."""
        with self._lock:
            if not self._closed:
                self._requests.shutdown(sockets.SHUT_RDWR)
            self._closed = True

    def close(self) -> None:
        """Releases, and waits. May be called twice."""
        self.release()
        if not self._helper.wait(_CLOSE_SECONDS):
            self._kill_helper()
        with self._ready_lock, self._lock:
            self._requests.close()

    def _run(self, job: Job, output: Callable[[int, bytes], None]) -> Answer:
        with contextlib.ExitStack() as stack:
            control, control_end = sockets.pair()
            stack.callback(control.close)
            ours, theirs = [], [write(job), control_end.detach()]
            for _ in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                stack.callback(os.close, read_end)
                ours.append(read_end)
                theirs.append(write_end)
            try:
                refusal = self._request(control, theirs)
            finally:
                for descriptor in theirs:
                    os.close(descriptor)
            if refusal is not None:
                return refusal
            try:
                answer = _pump(control, ours, output)
            finally:
                with self._lock:
                    self._controls.discard(control)
            if answer == _DIED:
                # What is left of the helper's family might not be able to end its commands: end them all.
                self._kill_helper()
            return answer

    def _request(self, control: Socket, descriptors: list[int]) -> Answer | None:
        """Hands the job to the helper; an Answer at once when that cannot be."""
        with self._ready_lock:
            if self._ready is None and not self._closed:
                self._ready = self._requests.recv(_CHUNK).decode(errors="replace")
        with self._lock:
            if self._closed:
                return None, None, "the runner is closed"
            if self._cancelled:
                return None, 9, None
            if self._ready != READY.decode():
                return None, None, f"the sandbox cannot be set up: {self._ready or 'its helper ended'}"
            try:
                sockets.send(self._requests, b"run", descriptors)
            except BrokenPipeError:
                return _DIED
            self._controls.add(control)
        return None

    def _kill_helper(self) -> None:
        self._helper.kill()
        self._helper.wait()


def _pump(control: Socket, outputs: list[int], output: Callable[[int, bytes], None]) -> Answer:
    """Passes on what the command writes until the supervisor answers. Kills it when ``output`` raises."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    streams = {descriptor: number for number, descriptor in enumerate(outputs, 1)}
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    answer: Answer | None = None
    try:
        while streams or answer is None:
            events = poll.poll(None if answer is None else 0)
            if answer is not None and not events:
                break  # all is read; the pipe was passed to a process outside, which holds it open
            for descriptor, _ in events:
                if descriptor == control.fileno():
                    answer = _receive(control)
                    poll.unregister(control)
                elif chunk := os.read(descriptor, _CHUNK):
                    output(streams[descriptor], chunk)
                else:
                    poll.unregister(descriptor)
                    del streams[descriptor]
    finally:
        if answer is None:
            _kill(control)
            _receive(control)
    return answer


def _receive(control: Socket) -> Answer:
    try:
        data = control.recv(_CHUNK)
    except ConnectionResetError:
        # Says, once, that the other end was closed with a word of ours unread. Its answer comes after that.
        data = control.recv(_CHUNK)
    if not data:
        return _DIED
    exit_code, signal, error = marshal.loads(data)  # noqa: S302  # written by this process's own helper
    return exit_code, signal, error


def _kill(control: Socket) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended by itself
        control.send(KILL)


def _job(spec: SandboxSpec) -> Job:
    """Raises ValueError for what cannot be run."""
    if spec.network not in {"host", "none"}:
        raise ValueError(f"network {spec.network!r} is not supported: it is host or none")
    _check(spec)
    mounted = overlay.describe(spec.root, os.fsdecode(EMPTY))
    env = {_bytes(name): _bytes(value) for name, value in (("HOME", spec.identity.home), *spec.env)}
    return Job(
        args=tuple(map(_bytes, spec.args)),
        capabilities=mask(spec.capabilities),
        cwd=_bytes(spec.cwd),
        directory=os.fsencode(mounted.directory),
        env=env,
        files=tuple((_bytes(file.target), file.data, file.mode, file.read_only) for file in spec.files),
        gid=spec.identity.gid,
        groups=spec.identity.groups,
        hostname=_bytes(spec.hostname),
        insecure=spec.insecure,
        mounts=tuple(map(_mount, sorted(spec.mounts, key=lambda mount: mount.target))),
        options=os.fsencode(mounted.options),
        own_network=spec.network == "none",
        seccomp=spec.seccomp,
        limits=spec.limits,
        shm_size=spec.shm_size,
        uid=spec.identity.uid,
        upper=os.fsencode(spec.root.upper),
    )


def _mount(mount: Mount) -> JobMount:
    """Raises TooManyLayers."""
    target = _bytes(mount.target)
    match mount:
        case TreeMount():
            described = overlay.describe(mount.root, os.fsdecode(EMPTY))
            texts = (os.fsencode(described.directory), os.fsencode(described.options), mount.source)
            return "tree", target, mount.directory, mount.read_only, texts, ()
        case HostMount():
            return (
                "device" if mount.devices else "host",
                target,
                mount.directory,
                mount.read_only,
                (os.fsencode(mount.path),),
                (),
            )
        case TmpfsMount():
            return "tmpfs", target, True, mount.read_only, (), (mount.size,)
        case SecretFile():
            return "secret", target, False, True, (mount.data,), (mount.mode, mount.uid, mount.gid)
        case _:
            assert_never(mount)


def _check(spec: SandboxSpec) -> None:
    """What execve(2) cannot be given. Raises ValueError that says so in the words of a Dockerfile."""
    if not spec.args or not spec.args[0]:
        raise ValueError("the command has no name: its first word is empty")
    if len(spec.identity.groups) > MAX_GROUPS:
        raise ValueError(f"the user is in {len(spec.identity.groups)} groups; the kernel takes {MAX_GROUPS}")
    if not all(name for name, _ in spec.env):
        raise ValueError("the environment has a variable without a name")
    texts = (*spec.args, *(text for pair in spec.env for text in pair), spec.cwd, spec.identity.home)
    if any("\0" in text for text in texts):
        raise ValueError("its words, environment or directory hold a NUL character")


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
