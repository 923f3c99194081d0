"""One timed command, and what it used. ``python -m tests.bench.command LOG PROGRAM ARGUMENT...`` prints it as JSON."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import Sample
from tests.bench.memory import resident_together

LIMIT_S = 3600.0
"""A build that takes longer is killed: one that hangs shall not end the benchmark."""
SAMPLING_S = 0.02
QUIET = 0.05
"""Of the processors' time, what others may use before a build is timed."""
QUIET_S = 0.5
PATIENCE_S = 90.0
FORGOTTEN_S = 65.0


class BuildFailed(Exception):
    """With the end of what the builder printed."""


class Finished(NamedTuple):
    """Seconds since the epoch for ``started`` and ``ended``, to be set against events. ``peak``: resident bytes of all
    processes together, if they were sampled. (What wait4 tells is never less than this process itself had when it
    forked.)"""

    started: float
    ended: float
    seconds: float
    processor: float
    peak: int | None = None

    def then(self, after: "Finished") -> "Finished":
        """Both, one after the other."""
        seconds, processor = self.seconds + after.seconds, self.processor + after.processor
        return Finished(self.started, after.ended, seconds, processor)

    def sample(self, phases: Mapping[str, float] | None = None) -> Sample:
        return Sample(self.seconds, self.processor, self.peak, phases or {})


def quiet() -> None:
    """Returns when the machine has nothing else to do: what one builder clears away in the background after its build
    would be timed with the next one's. After PATIENCE_S in any case."""
    deadline = time.monotonic() + PATIENCE_S
    busy, total = _used()
    while time.monotonic() < deadline:
        time.sleep(QUIET_S)
        before, busy, since = busy, *_used()
        used, total = (busy - before) / max(since - total, 1), since
        if used <= QUIET:
            return


def forgotten() -> None:
    """Returns when the file system does not mind any more what was removed before. ext4 without a journal gives nobody
    an inode that was freed in the last minute, but looks at each of them again for every file that is made (Linux,
    fs/ext4/ialloc.c, ``recently_deleted``): after a store was cleared away, that takes ten times as long."""
    os.sync()
    time.sleep(FORGOTTEN_S)


def set_aside(path: Path) -> None:
    """What an earlier build left makes way for a fresh start, and is removed with the benchmark's directory at its end:
    a build begins on a file system that nothing was just removed from (see ``forgotten``), as builds mostly do."""
    if path.exists():
        aside = path.with_name("aside")
        aside.mkdir(exist_ok=True)
        path.rename(aside / f"{path.name}-{len(tuple(aside.iterdir()))}")


def _used() -> tuple[int, int]:
    """Ticks of all processors since the start of the machine: busy ones, and all (proc(5), /proc/stat)."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def timed(
    command: Sequence[str | Path],
    log: Path,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    sampled: bool = False,
    limit: float = LIMIT_S,
) -> Finished:
    """Wall time from before the process exists until it is gone; ``env`` is all of its environment, this process's own
    unless given. ``sampled``: the memory of all its processes is watched, which takes some processor time. Raises
    BuildFailed."""
    arguments = [os.fspath(part) for part in command]
    with log.open("wb") as output:
        started, before = time.time(), time.perf_counter()  # noqa: TID251 - set against the times of events
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,  # what is killed is all of it
        )
        with _killed_after(process, limit) as killed, _watched(process.pid, sampled) as seen:
            # wait4 and not Popen.wait: it tells what was used. Popen is told, so that it does not wait again.
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        ended = time.time()  # noqa: TID251 - as above
        process.returncode = os.waitstatus_to_exitcode(status)
    if killed.is_set():
        raise BuildFailed(f"{' '.join(arguments)}: killed after {limit:.0f} s")
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        raise BuildFailed(f"{' '.join(arguments)}: exit code {process.returncode}\n{tail}")
    return Finished(started, ended, seconds, usage.ru_utime + usage.ru_stime, max(seen, default=None))


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], limit: float) -> Iterator[threading.Event]:
    """Kills the session's processes when it takes too long, or when waiting for it is interrupted."""
    killed = threading.Event()

    def kill() -> None:
        killed.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit, kill)
    timer.start()
    try:
        yield killed
    except BaseException:
        kill()
        process.wait()
        raise
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _watched(pid: int, wanted: bool) -> Iterator[list[int]]:
    """See ``memory.resident_together``, now and then."""
    seen: list[int] = []
    if not wanted:
        yield seen
        return
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLING_S):
            seen.append(resident_together(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def idle(directory: Path, limit: float = 120) -> float:
    """Waits until no process has ``directory`` among its arguments: what a builder left running in the background
    would be timed with the next one, and work on a store that is made anew. Returns seconds waited."""
    begun = time.perf_counter()
    needle = os.fsencode(directory)
    while any(needle in command for command in _commands()):
        if time.perf_counter() - begun > limit:
            raise BuildFailed(f"something still works on {directory}")
        time.sleep(0.005)
    return time.perf_counter() - begun


def _commands() -> Iterator[bytes]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since


def main(log: str, *command: str) -> int:
    """Environment and directory are those of this process, but for what Python alone reads."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        print(json.dumps(timed(command, Path(log), cwd=Path.cwd(), env=env)))
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
