"""Several things at once: stages, processes on one store, signals, and failures that stop the rest."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from layers.store import Store
from tests.conftest import REPOSITORY
from tests.support.builds import Bench, Built, parse, write_tree
from tests.support.processes import leftovers, settle, wait_until_gone

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox")]

LIMIT_S = 5
ENDLESS = "sleep 100000"
TIMEOUT_S = 300


def stages(number: int, command: str) -> str:
    """A Dockerfile of independent stages, joined in a last one."""
    parts = [f"FROM busybox AS s{i}\nRUN {command}; echo {i} > /out\n" for i in range(number)]
    joined = "".join(f"COPY --from=s{i} /out /out{i}\n" for i in range(number))
    return "".join(parts) + "FROM busybox\n" + joined


def start(bench: Bench, context: Path, *flags: str, group: bool = False) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        bench.command("build", "--progress", "json", *flags, context),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        env=bench.environment(),
        cwd=REPOSITORY,
        start_new_session=group,
    )


def finish(process: subprocess.Popen[bytes], seen: bytes = b"") -> Built:
    _, stderr = process.communicate(timeout=TIMEOUT_S)
    return parse(process.returncode, seen + stderr)


def read_until(process: subprocess.Popen[bytes], texts: Sequence[bytes]) -> bytes:
    """What the build wrote until every one of ``texts`` has been there."""
    assert process.stderr is not None
    seen, missing = b"", set(texts)
    while missing:
        line = process.stderr.readline()
        assert line, seen.decode()
        seen += line
        missing -= {text for text in missing if text in line}
    return seen


def clean(bench: Bench) -> None:
    """No process, no mount, no temporary file, and nothing wrong in the store."""
    wait_until_gone(bench.store)
    settle(bench.store)
    assert not list((bench.store / "tmp").iterdir())
    assert not list((bench.store / "leases").iterdir())
    with Store.open(str(bench.store)) as store:
        assert store.check() == []


def test_independent_stages_run_at_the_same_time(bench: Bench, tmp_path: Path) -> None:
    """The four of 3 seconds each that are asked to be done in under 5."""
    context = write_tree(tmp_path / "context", {"Dockerfile": stages(4, "sleep 3")})
    built = bench.build(context)
    assert len(built.executed()) == 8
    (finished,) = built.of("build-finished")
    assert finished["seconds"] < LIMIT_S
    titles = built.titles()
    starts = [event["at"] for event in built.of("step-started") if titles[event["step"]].startswith("RUN")]
    ends = [event["at"] for event in built.of("step-finished") if titles[event["step"]].startswith("RUN")]
    assert max(starts) < min(ends)


def test_two_processes_build_different_things(bench: Bench, tmp_path: Path) -> None:
    contexts = []
    for name in ("one", "two"):
        text = f"FROM busybox\nCOPY data /data\nRUN cat /data > /{name}; sleep 0.5\nRUN test -e /{name}\n"
        contexts.append(write_tree(tmp_path / name, {"Dockerfile": text, "data": name * 100_000}))
    processes = [start(bench, context, "-t", context.name) for context in contexts]
    for process in processes:
        built = finish(process)
        assert built.code == 0, built.stderr
        assert set(built.outcomes().values()) == {"run"}
    clean(bench)
    for context in contexts:
        assert not bench.build(context).executed()
        with Store.open(str(bench.store)) as store:
            image = store.image(f"docker.io/library/{context.name}:latest")
            assert image is not None
            data = store.tree(image.rootfs, contents=True).lookup(b"data")
            assert data is not None
            assert data.size == 300_000
            assert store.tree(image.rootfs).lookup(context.name.encode()) is not None


def test_processes_build_the_same_thing(bench: Bench, tmp_path: Path) -> None:
    text = "FROM busybox\nCOPY data /data\nRUN cat /data > /copy\nCOPY data /again\nRUN cat /again >> /copy\n"
    context = write_tree(tmp_path / "context", {"Dockerfile": text, "data": "data" * 100_000})
    outputs = [tmp_path / f"{number}.tar" for number in range(3)]
    processes = [start(bench, context, "-t", "same", "-o", f"type=oci,dest={output}") for output in outputs]
    for process in processes:
        built = finish(process)
        assert built.code == 0, built.stderr
    clean(bench)
    again = bench.build(context)
    assert not again.executed()
    with Store.open(str(bench.store)) as store:
        image = store.image("docker.io/library/same:latest")
        assert image is not None
        copy = store.tree(image.rootfs).lookup(b"copy")
        assert copy is not None
        assert copy.size == 800_000


@pytest.mark.parametrize(
    ("number", "code", "group"),
    [
        (signal.SIGINT, 130, False),
        (signal.SIGINT, 130, True),
        (signal.SIGTERM, 143, False),
        (signal.SIGTERM, 143, True),
    ],
    ids=["int", "int-as-ctrl-c", "term", "term-to-the-group"],
)
def test_signal_in_a_run(number: signal.Signals, code: int, group: bool, bench: Bench, tmp_path: Path) -> None:
    """``group``: as a terminal's Ctrl-C, which every process of the foreground gets."""
    text = (
        "FROM busybox AS other\n"
        f"RUN trap '' INT TERM; echo other; {ENDLESS}; {ENDLESS}\n"
        "FROM busybox\n"
        "COPY Dockerfile /kept\n"
        f"RUN setsid {ENDLESS} & trap '' INT TERM HUP; echo running; {ENDLESS} & wait\n"
        "COPY --from=other / /\n"
    )
    context = write_tree(tmp_path / "context", {"Dockerfile": text})
    output = tmp_path / "out.tar"
    process = start(bench, context, "-o", f"type=oci,dest={output}", group=True)
    seen = read_until(process, [b'"data":"running\\n"', b'"data":"other\\n"'])
    assert leftovers(bench.store), "what is looked for below is seen while the build runs"
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    built = finish(process, seen)
    assert built.code == code, built.stderr
    assert "Traceback" not in built.stderr
    assert not built.of("build-finished")
    clean(bench)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "out"))] == []
    assert bench.plan(context)["COPY Dockerfile /kept"] == ("hit", None)


def test_failing_step_stops_the_others(bench: Bench, tmp_path: Path) -> None:
    text = (
        f"FROM busybox AS long\nRUN echo started; {ENDLESS}\n"
        "FROM busybox AS short\nRUN sleep 2; exit 7\n"
        "FROM busybox\nCOPY --from=long / /\nCOPY --from=short / /\n"
    )
    context = write_tree(tmp_path / "context", {"Dockerfile": text})
    process = start(bench, context)
    built = finish(process)
    assert built.code == 1
    titles = built.titles()
    assert {titles[event["step"]] for event in built.of("step-started")} == {
        f"RUN echo started; {ENDLESS}",
        "RUN sleep 2; exit 7",
    }
    (error,) = built.of("error")
    assert error["exit_code"] == 7
    assert error["span"]["first_line"] == 4
    clean(bench)


FAILING = """\
FROM busybox AS build

RUN echo before
RUN echo compiling; \\
    seq 1 30; \\
    echo broken >&2; exit 42
"""


def test_failure_shows_lines_caret_exit_code_and_tail(bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"Dockerfile": FAILING})
    done = subprocess.run(
        bench.command("build", "--progress", "plain", context),
        check=False,
        capture_output=True,
        text=True,
        env=bench.environment(),
        cwd=REPOSITORY,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    shown = done.stderr[done.stderr.index("\n------\n") :]
    tail = "".join(f"{number}\n" for number in range(12, 31))
    command = "/bin/sh -c echo compiling;     seq 1 30;     echo broken >&2; exit 42"
    assert shown == (
        f"\n------\n{tail}broken\n------\n"
        f"{context}/Dockerfile:4\n"
        "  2 |\n"
        "  3 | RUN echo before\n"
        "> 4 | RUN echo compiling; \\\n"
        "    | ^^^^^^^^^^^^^^^^^^^^^\n"
        "> 5 |     seq 1 30; \\\n"
        "> 6 |     echo broken >&2; exit 42\n"
        f'error: process "{command}" did not complete successfully: exit code: 42\n'
    )
    clean(bench)


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 3", 3), ("sh -c 'kill -9 $$'; exit $?", 137), ("sh -c 'kill -TERM $$'; exit $?", 143), ("/nothing", 127)],
)
def test_exit_codes_of_a_failing_step(command: str, code: int, bench: Bench, tmp_path: Path) -> None:
    context = write_tree(tmp_path / "context", {"Dockerfile": f"FROM busybox\nRUN {command}\n"})
    built = bench.attempt(context)
    assert built.code == 1
    (error,) = built.of("error")
    assert error["exit_code"] == code
    assert str(code) in error["message"]
