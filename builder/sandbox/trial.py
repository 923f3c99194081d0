"""A trial of the sandbox, for ``pybuild doctor``: whether whoever runs this process can build here.

A child process does all that a RUN does, up to a command that is not there: what it complains of must be that.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from builder.sandbox.detect import has_admin, open_runner
from builder.sandbox.enter import NOT_FOUND
from builder.sandbox.reasons import Reason, failed_start
from builder.sandbox.seccomp import default_filter
from builder.sandbox.spec import DEFAULT_CAPABILITIES, Identity, OverlayRoot, SandboxSpec
from builder.sandbox.userns import attempt

_OVERLAY = "mount overlay on "


class Trial(NamedTuple):
    """``refusal``: why no user namespace can be entered. ``notice``: what the one that is entered lacks. ``overlay``:
    what the kernel says of an overlay in the directory. ``start``: why a command cannot be started otherwise."""

    refusal: Reason | None = None
    notice: Reason | None = None
    overlay: str | None = None
    start: Reason | None = None


def hold(directory: str | None) -> Trial:
    """In ``directory``, which is empty and stays so but for what the caller removes; None: as far as one gets without.

    To be called before the first thread.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writer, json.dumps(_held(directory)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as file:
        said = file.read()
    os.waitpid(child, 0)
    if not said:
        return Trial(start=Reason("the trial of the sandbox ended early", "run pybuild --debug doctor"))
    refusal, notice, overlay, start = json.loads(said)
    return Trial(_reason(refusal), _reason(notice), overlay, _reason(start))


def _reason(texts: Sequence[str] | None) -> Reason | None:
    return None if texts is None else Reason(*texts)


def _held(directory: str | None) -> Trial:
    notice = None
    with open("/proc/self/status") as file:
        admin = os.geteuid() == 0 and has_admin(file.read())
    if not admin:
        entered = attempt(_nobody)
        if isinstance(entered, Reason):
            return Trial(refusal=entered)
        notice = entered.notice
    error = None if directory is None else _start(directory)
    if error is None:
        return Trial(notice=notice)
    if error.startswith(_OVERLAY):
        return Trial(notice=notice, overlay=error.partition(": ")[2])
    return Trial(notice=notice, start=Reason(error, failed_start(error) or "the kernel log may say more"))


def _start(directory: str) -> str | None:
    """Why a command cannot be started."""
    for name in ("lower", "upper", "work"):
        os.mkdir(f"{directory}/{name}")
    spec = SandboxSpec(
        root=OverlayRoot(directory, ("lower",), f"{directory}/upper", f"{directory}/work"),
        args=("nothing",),
        env=(("PATH", "/"),),
        cwd="/",
        identity=Identity(0, 0, (0,), "/"),
        files=(),
        hostname="trial",
        capabilities=DEFAULT_CAPABILITIES,
        seccomp=default_filter(os.uname().machine, DEFAULT_CAPABILITIES),
    )
    runner = open_runner()
    try:
        error = runner.run(spec, lambda _stream, _data: None).error
    finally:
        runner.close()
    return None if error == NOT_FOUND else error or "a command ran that is not there"


def _nobody(arguments: Sequence[str], given: bytes, environ: Mapping[str, str]) -> tuple[int, bytes]:
    """Nothing is run outside in a trial."""
    raise NotImplementedError
