"""Cache mounts in several processes at once: who holds what, and who lets go of it."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.builds import Bench, Built, dockerfile, parse, said
from tests.support.processes import wait_until_gone

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]


HOLD = """FROM busybox
ARG WHO
RUN --mount=type=cache,id=c,target=/c,sharing=SHARING \
    mkdir /c/held || echo COLLISION; touch /c/$WHO; echo $WHO holds it; COMMAND; ls /c; rmdir /c/held
"""


class Running:
    """A build of ``HOLD`` by a process of its own; its step's output as it comes."""

    def __init__(self, bench: Bench, context: Path, who: str) -> None:
        self.process = subprocess.Popen(
            bench.command("build", "--progress", "json", f"--build-arg=WHO={who}", context),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=bench.environment(),
            cwd=REPOSITORY,
        )
        self._seen = b""

    def built(self) -> Built:
        return parse(self.process.returncode or 0, self._seen)

    def wait_for(self, *, event: str = "step-output", text: str = "") -> Built:
        """Until there is such an event with this text in its data."""
        assert self.process.stderr is not None
        while not any(text in str(found.get("data", "")) for found in self.built().of(event)):
            line = self.process.stderr.readline()
            assert line, self._seen.decode()
            self._seen += line
        return self.built()

    def end(self) -> Built:
        self._seen += self.process.communicate(timeout=60)[1]
        return self.built()

    def finish(self) -> str:
        """What its step printed."""
        built = self.end()
        assert built.code == 0, built.stderr
        return said(built)


Start = Callable[[Path, str], Running]


@pytest.fixture
def start(bench: Bench) -> Iterator[Start]:
    running: list[Running] = []

    def one(context: Path, who: str) -> Running:
        running.append(Running(bench, context, who))
        return running[-1]

    yield one
    for each in running:
        if each.process.returncode is None:
            each.process.kill()
            each.end()


def held(path: Path, sharing: str, command: str) -> Path:
    return dockerfile(path, HOLD.replace("SHARING", sharing).replace("COMMAND", command))


def test_locked_caches_are_held_by_one_process(start: Start, tmp_path: Path) -> None:
    context = held(tmp_path / "context", "locked", "sleep 0.3")
    running = [start(context, f"w{number}") for number in range(4)]
    texts = [each.finish() for each in running]
    assert not [text for text in texts if "COLLISION" in text]
    assert max(sum(f"\nw{number}" in text for number in range(4)) for text in texts) == 4, "all have the same one"


def test_locked_caches_are_held_by_one_step(bench: Bench, tmp_path: Path) -> None:
    run = (
        "RUN --mount=type=cache,target=/c,sharing=locked mkdir /c/held && sleep 0.2 && rmdir /c/held && echo {} > /o\n"
    )
    stages = "".join(f"FROM busybox AS s{number}\n{run.format(number)}" for number in range(4))
    copies = "".join(f"COPY --from=s{number} /o /o{number}\n" for number in range(4))
    bench.build(dockerfile(tmp_path / "context", f"{stages}FROM busybox\n{copies}"))


def test_private_caches_are_not_shared(start: Start, bench: Bench, tmp_path: Path) -> None:
    context = held(tmp_path / "context", "private", "until [ -e /c/go ]; do sleep 0.1; done")
    first = start(context, "first")
    first.wait_for(text="first holds it")
    second = start(context, "second")
    second.wait_for(text="second holds it")
    for found in (bench.store / "caches").glob("*/*/m"):
        (found / "go").touch()
    assert "second" not in first.finish()
    finished = second.finish()
    assert "COLLISION" not in finished
    assert "waiting" not in finished, "it takes another one at once"
    third = held(tmp_path / "context", "private", "true")
    assert "first" in start(third, "third").finish(), "an idle one is used again"


def test_shared_caches_are_shared(start: Start, bench: Bench, tmp_path: Path) -> None:
    command = "until [ -e /c/first ] && [ -e /c/second ]; do sleep 0.1; done; mkdir -p /c/held"
    context = held(tmp_path / "context", "shared", command)
    for each in [start(context, "first"), start(context, "second")]:
        each.end()
    assert len(list((bench.store / "caches").glob("*/*/m"))) == 1


def test_a_killed_build_lets_go_of_its_cache(start: Start, tmp_path: Path) -> None:
    first = start(held(tmp_path / "context", "locked", "sleep 1000"), "first")
    first.wait_for(text="first holds it")
    other = held(tmp_path / "other", "locked", "true")
    waiting, stopped = start(other, "second"), start(other, "third")
    waiting.wait_for(event="step-started")
    stopped.wait_for(text="waiting for the cache mount c, which another step holds")
    stopped.process.send_signal(signal.SIGINT)
    built = stopped.end()
    assert built.code != 0 and "holds it" not in said(built), "what waits can be stopped"
    assert waiting.process.poll() is None and "holds it" not in said(waiting.built())
    first.process.kill()
    first.end()
    assert "COLLISION" in waiting.finish(), "it has what the first one left"


def test_nothing_else_is_left_of_a_killed_build(start: Start, bench: Bench, tmp_path: Path) -> None:
    first = start(held(tmp_path / "context", "locked", "sleep 1000"), "first")
    first.wait_for(text="first holds it")
    first.process.kill()
    first.end()
    wait_until_gone(bench.store)
    bench.pybuild("images")
    assert not list((bench.store / "tmp").iterdir())
