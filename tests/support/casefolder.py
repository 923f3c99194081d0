"""A case of a comparison as a folder: Dockerfile, context, and beside them what steers the build.

``arguments`` has flags of the build, one a line; ``setup.sh`` makes what git cannot hold (modes, links, xattrs,
archives), run inside a copy of the folder; ``message`` is part of what pybuild says when it must refuse.
"""

import os
import subprocess
from pathlib import Path

STEERING = ("setup.sh", "arguments", "message")
CONTEXT_TIME_S = 1_600_000_000
"""Given to all files of a context whose setup.sh sets none."""


def settle_context(context: Path, started: int) -> tuple[str, ...]:
    """Turns the folder into the context itself, no file of it with a time since ``started``; returns the flags."""
    steering = {}
    for name in STEERING:
        if (context / name).exists():
            steering[name] = (context / name).read_text()
            (context / name).unlink()
    _make_old(context, since=0)
    subprocess.run(["bash", "-ec", "umask 022\n" + steering.get("setup.sh", "")], cwd=context, check=True)
    _make_old(context, since=started)
    return tuple(steering.get("arguments", "").split())


def _make_old(context: Path, *, since: int) -> None:
    for folder, folders, files in os.walk(context):
        for path in (folder, *(f"{folder}/{name}" for name in (*folders, *files))):
            if os.lstat(path).st_mtime >= since:
                os.utime(path, (CONTEXT_TIME_S, CONTEXT_TIME_S), follow_symlinks=False)
