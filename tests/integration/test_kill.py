"""Kill -9 at moments spread evenly over a build: nothing stays behind, nothing is broken, the next build is the same.

Half of the kills hit the build's own process only, half everything it started. The event log that the killed build
wrote tells which part of the work was hit; every part must have been hit often enough to mean something.

PYBUILD_KILL_MOMENTS sets the number of moments (default 60), PYBUILD_KILL_SEED the order of the two ways to kill.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import FIXTURES, REPOSITORY
from tests.support.peers import run
from tests.support.processes import descendants, settle, wait_until_gone

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox"), pytest.mark.slow]

MOMENTS = int(os.environ.get("PYBUILD_KILL_MOMENTS", "60"))
SEED = int(os.environ.get("PYBUILD_KILL_SEED", "20261122"))
LEAST_HITS = max(1, MOMENTS // 12)
PARTS = ("unpack", "run", "pack", "output")
EPOCH = "1700000000"

DOCKERFILE = """\
FROM big
RUN dd if=/dev/urandom of=/random bs=1M count=24 2>/dev/null && rm /random && sleep 0.3 && echo done > /done
COPY payload /payload
RUN cp /payload/a /copy && sleep 0.2
"""


def make_inputs(directory: Path) -> tuple[Path, Path]:
    """A context with a payload that takes a moment to pack, and a base image that takes a moment to unpack."""
    chance = random.Random(SEED)
    context = directory / "context"
    (context / "payload").mkdir(parents=True)
    (context / "payload" / "a").write_bytes(chance.randbytes(40 << 20))
    for number in range(300):
        (context / "payload" / f"f{number}").write_bytes(chance.randbytes(500))
    (context / "Dockerfile").write_text(DOCKERFILE)
    base = directory / "base"
    (base / "tree").mkdir(parents=True)
    (base / "tree" / "large").write_bytes(chance.randbytes(60 << 20))
    for number in range(1500):
        (base / "tree" / f"{number}").write_bytes(chance.randbytes(1000))
    (base / "Dockerfile").write_text("FROM base\nCOPY tree /tree\n")
    return context, base


def pybuild(store: Path, *arguments: str | Path) -> list[str]:
    command, *rest = [str(argument) for argument in arguments]
    return [sys.executable, "-m", "builder", command, "--root", str(store), *rest]


def build_command(store: Path, context: Path, output: Path) -> list[str]:
    """With outputs of three kinds, so that writing them takes a part of the time that kills can hit."""
    outputs = [f"type=oci,dest={output}", f"type=docker,dest={output}.docker", f"type=tar,dest={output}.root"]
    flags = [word for value in outputs for word in ("-o", value)]
    return pybuild(store, "build", "--no-cache", "--progress", "json", *flags, context)


def environment() -> dict[str, str]:
    return {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": str(REPOSITORY)}


def digest_of(output: Path) -> str:
    return run("skopeo", "inspect", "--format", "{{.Digest}}", f"oci-archive:{output}").strip()


def parts_hit(log: Path) -> list[str]:
    """The parts of the work that were under way when the log ends: begun and not ended. Some overlap."""
    under_way: Counter[str] = Counter()
    for line in log.read_bytes().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("event") == "phase" and event["name"] in PARTS:
            under_way[event["name"]] += 1 if event["start"] else -1
    return [part for part in PARTS if under_way[part] > 0] or ["between"]


def wait_for(log: Path, part: str, fraction: float) -> None:
    """Returns when ``part`` has begun, and up to 50 ms later."""
    deadline = time.monotonic() + 60
    while part not in parts_hit(log) and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(0.05 * fraction)


def kill(process: subprocess.Popen[bytes], *, everything: bool) -> None:
    victims = [process.pid, *(descendants(process.pid) if everything else ())]
    for victim in victims:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def check_store(store: Path) -> None:
    """Every blob has the digest it is named by; nothing temporary is left."""
    for blob in (store / "blobs").rglob("*"):
        if blob.is_file():
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name, blob
    left = [path for path in (store / "tmp").rglob("*") if not path.is_dir()]
    assert not left, left
    used = run("du", "-s", "--apparent-size", "--block-size=1", store / "tmp").split()[0]
    empty = (store / "tmp").stat().st_size
    assert int(used) <= empty, used


def test_kill_anywhere(tmp_path: Path) -> None:
    context, base = make_inputs(tmp_path)
    pristine = tmp_path / "pristine"
    run(sys.executable, FIXTURES / "images" / "make.py", "busybox")
    run(*pybuild(pristine, "load", "-t", "base", "-i", FIXTURES / "images" / "out" / "busybox"), cwd=REPOSITORY)
    run(*pybuild(pristine, "build", "-t", "big", base), cwd=REPOSITORY, env=environment())
    settle(pristine)
    output = tmp_path / "out.tar"

    @contextmanager
    def fresh(name: str) -> Iterator[Path]:
        store = tmp_path / name
        run("cp", "-a", pristine, store)
        output.unlink(missing_ok=True)
        yield store
        settle(store)
        shutil.rmtree(store)

    with fresh("warm") as store:
        run(*build_command(store, context, output), env=environment())
        expected = digest_of(output)
    with fresh("timed") as store:
        started = time.monotonic()
        run(*build_command(store, context, output), env=environment())
        duration = time.monotonic() - started
        assert digest_of(output) == expected

    order = [number % 2 == 0 for number in range(MOMENTS)]
    chance = random.Random(SEED)
    chance.shuffle(order)
    hits: Counter[str] = Counter()
    log = tmp_path / "events.jsonl"

    def attack(name: str, when: Callable[[], None], *, everything: bool) -> None:
        with fresh(name) as store:
            with log.open("wb") as events:
                process = subprocess.Popen(
                    build_command(store, context, output), stdout=events, stderr=events, env=environment()
                )
                when()
                kill(process, everything=everything)
            wait_until_gone(store)
            hits.update(parts_hit(log))
            run(*build_command(store, context, output), env=environment())
            assert digest_of(output) == expected, name
            check_store(store)

    for number, everything in enumerate(order):
        moment = duration * (number + 0.5) / MOMENTS
        attack(f"store-{number}", partial(time.sleep, moment), everything=everything)
    evenly = dict(hits)
    # A part that is short on this machine gets kills of its own: as soon as the log says that it has begun.
    for part in PARTS:
        for number in range(4 * LEAST_HITS):
            if hits[part] < LEAST_HITS:
                attack(f"{part}-{number}", partial(wait_for, log, part, chance.random()), everything=number % 2 == 0)
    sys.stdout.write(f"seed {SEED}, {MOMENTS} moments over {duration:.2f} s hit {evenly}, with the aimed ones {hits}\n")
    assert all(hits[part] >= LEAST_HITS for part in PARTS), hits
