"""Base layers under whole builds: fetched by the step that needs them, shared, taken up after a kill, and only then.

The registry is the fake one; its log says what moved.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes import faults
from tests.fakes.faults import Handler, Real
from tests.fakes.registry import FakeRegistry
from tests.support.builds import Bench, parse, write_tree
from tests.support.processes import wait_until_gone

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]
LARGE = random.Random(1).randbytes(3 << 20)
_TIMEOUT_S = 120


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry().running() as registry:
        yield registry


@pytest.fixture
def context(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "context", {"file": "of the context"})


def dockerfile(context: Path, *lines: str) -> Path:
    (context / "Dockerfile").write_text("".join(f"{line}\n" for line in lines))
    return context


@pytest.fixture
def bases(bench: Bench, fake: FakeRegistry, tmp_path: Path) -> FakeRegistry:
    """``tools:1`` (busybox and a large file) and ``data:1`` (a layer of its own on nothing)."""
    tools = write_tree(tmp_path / "tools", {"large": LARGE})
    bench.build("--push", "-t", f"{fake.host}/tools:1", dockerfile(tools, "FROM busybox", "COPY large /large"))
    data = write_tree(tmp_path / "data", {"data": b"data" * 1000})
    bench.build("--push", "-t", f"{fake.host}/data:1", dockerfile(data, "FROM scratch", "COPY data /etc/data"))
    fake.log.clear()
    return fake


def layers(fake: FakeRegistry, name: str) -> list[str]:
    return [layer["digest"] for layer in json.loads(fake.manifests[name, "1"].raw)["layers"]]


def fetched(fake: FakeRegistry, name: str) -> list[str]:
    """Of an image's layers, those asked for, each as often as it was."""
    return [digest for digest in layers(fake, name) for _ in fake.requests(f"GET .*/blobs/{digest}")]


def test_a_run_fetches_the_layers_it_stands_on(empty: Bench, bases: FakeRegistry, context: Path) -> None:
    """And what it makes goes onto a base that nobody looks into, without that being moved or sent."""
    app = f"{bases.host}/app:1"
    dockerfile(
        context,
        f"FROM {bases.host}/tools:1 AS tools",
        "RUN wc -c /large > /sum",
        f"FROM {bases.host}/data:1",
        "COPY --link --from=tools /sum /sum",
    )
    empty.build("--push", "-t", app, context)
    assert fetched(bases, "tools") == layers(bases, "tools")
    assert fetched(bases, "data") == []
    assert layers(bases, "app")[:1] == layers(bases, "data")
    bases.log.clear()
    empty.build("--push", "-t", app, context)
    heads = [one.path for one in bases.requests("HEAD .*/blobs/")]
    assert len(heads) == len(set(heads)) == 3
    assert bases.requests("GET .*/blobs/") == []


def test_the_step_that_waits_says_so(empty: Bench, bases: FakeRegistry, context: Path) -> None:
    dockerfile(context, f"FROM {bases.host}/tools:1", "ENV A=b", "RUN true")
    built = empty.build(context)
    (step,) = (number for number, title in built.titles().items() if title.startswith("RUN"))
    moved = built.of("transfer")
    assert {event["step"] for event in moved} == {step}
    assert {event["what"] for event in moved} == {f"layer {digest[:19]}" for digest in layers(bases, "tools")}


def test_two_builds_at_once_share_each_transfer(empty: Bench, bases: FakeRegistry, context: Path) -> None:
    bases.fault("GET .*/blobs/", faults.late(0.5))
    dockerfile(context, f"FROM {bases.host}/tools:1", "RUN wc -c /large")
    started = [
        subprocess.Popen(empty.command("build", context), stderr=subprocess.PIPE, env=empty.environment())
        for _ in range(2)
    ]
    for process in started:
        _, stderr = process.communicate(timeout=_TIMEOUT_S)
        assert process.returncode == 0, stderr
    assert fetched(bases, "tools") == layers(bases, "tools")


def test_killed_while_fetching(empty: Bench, bases: FakeRegistry, context: Path) -> None:
    """What came stays, unbelieved; the next build asks for the rest."""
    large = layers(bases, "tools")[-1]

    def half(handler: Handler, real: Real) -> None:
        code, headers, data = real()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        handler.raw(f"HTTP/1.1 {code} X\r\n{head}Content-Length: {len(data)}\r\n\r\n".encode())
        handler.raw(data[: 2 << 20])
        while not handler.ended():
            time.sleep(0.05)

    bases.fault(f"GET .*/blobs/{large}", half, times=1)
    dockerfile(context, f"FROM {bases.host}/tools:1", "RUN wc -c /large > /sum")
    process = subprocess.Popen(empty.command("build", context), stderr=subprocess.PIPE, env=empty.environment())
    partial = empty.store / "partial" / large.replace(":", "-")
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and not (partial.exists() and partial.stat().st_size >= 1 << 20):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until_gone(empty.store)
    assert large.removeprefix("sha256:") not in {path.name for path in (empty.store / "blobs").rglob("*")}
    there = partial.stat().st_size
    bases.log.clear()
    built = empty.build(context)
    assert built.executed() == {"RUN wc -c /large > /sum"}
    (asked,) = bases.requests(f"GET .*/blobs/{large}")
    assert asked.headers["Range"] == f"bytes={there}-"
    assert list((empty.store / "partial").iterdir()) == []


def attempt_offline(bench: Bench, *words: str | Path) -> tuple[int, str, set[str]]:
    """In a network namespace of its own, in which there is nobody, not even on loopback."""
    done = subprocess.run(
        ["unshare", "--net", *bench.command("build", "--progress", "json", *words)],
        check=False,
        capture_output=True,
        env=bench.environment(),
        timeout=_TIMEOUT_S,
    )
    built = parse(done.returncode, done.stderr)
    errors = [f"{event['message']}\n{event['hint']}" for event in built.of("error")]
    return built.code, "\n".join(errors), built.executed() if built.of("plan-ready") else set()


def test_without_any_network(empty: Bench, bases: FakeRegistry, context: Path) -> None:
    base = f"{bases.host}/tools:1"
    dockerfile(context, f"FROM {base}", "ENV A=b")
    empty.build(context)

    # Nothing is here but what the image says: enough for more of the same, and for nothing else.
    assert attempt_offline(empty, dockerfile(context, f"FROM {base}", "ENV A=c", "CMD x"))[0] == 0
    run = "RUN wc -c /large > /sum"
    code, error, _ = attempt_offline(empty, dockerfile(context, f"FROM {base}", run))
    assert code == 1
    assert f"of {base} (from {bases.host}/tools) is not in the store, and cannot be fetched" in error
    assert "pybuild load" in error

    # Once its bytes are here, it is as good as any.
    empty.build(context)
    assert attempt_offline(empty, context) == (0, "", set())
    more = dockerfile(context, f"FROM {base}", run, "COPY file /", "RUN cat /file > /again")
    assert attempt_offline(empty, "-t", "app", more) == (0, "", {"COPY file /", "RUN cat /file > /again"})
    assert attempt_offline(empty, dockerfile(context, "FROM app", "RUN cat /again"))[0] == 0


def test_one_image_on_another_without_any_network(bench: Bench, context: Path) -> None:
    assert attempt_offline(bench, "-t", "base", dockerfile(context, "FROM busybox", "RUN echo > /base"))[0] == 0
    dockerfile(context, "FROM base", "RUN ls /base > /app", "COPY file /")
    assert attempt_offline(bench, "-t", "app", context)[0] == 0
    assert attempt_offline(bench, "-t", "app", context) == (0, "", set())
