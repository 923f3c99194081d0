"""The command line as tests use it: one store, builds of it as processes of their own, and what each step did."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import FIXTURES, REPOSITORY
from tests.support.peers import run

TIMEOUT_S = 900
EPOCH = "1700000000"


class Built(NamedTuple):
    """A build that has ended: its exit code, its events (``--progress json``), and its whole standard error."""

    code: int
    events: tuple[dict[str, Any], ...]
    stderr: str

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def titles(self) -> dict[int, str]:
        """Every step of the plan; ``FROM`` and contexts among them."""
        (ready,) = self.of("plan-ready")
        return {step["step"]: step["title"] for step in ready["steps"]}

    def lines(self) -> dict[int, int]:
        (ready,) = self.of("plan-ready")
        return {step["step"]: step["first_line"] for step in ready["steps"]}

    def outcomes(self) -> dict[str, str]:
        """By title, of the steps that make layers: ``run``, or the kind of key that hit (``recipe``, ``content``)."""
        titles = self.titles()
        found = {event["step"]: "run" for event in self.of("step-started")}
        found |= {event["step"]: event["how"] for event in self.of("step-cached")}
        return {titles[step]: how for step, how in found.items() if not titles[step].startswith(("FROM", "load "))}

    def executed(self) -> set[str]:
        return {title for title, how in self.outcomes().items() if how == "run"}

    @property
    def image_id(self) -> str:
        text: str = self.of("build-finished")[0]["image_id"]
        return text

    @property
    def digest(self) -> str:
        """Of the manifest that an output wrote."""
        text = self.of("build-finished")[0]["manifest_digest"]
        assert isinstance(text, str)
        return text


class Bench:
    """A store, and the environment its builds run in."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def command(self, *arguments: str | Path) -> list[str]:
        command, *rest = [str(argument) for argument in arguments]
        return [sys.executable, "-m", "builder", command, "--root", str(self.store), *rest]

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPOSITORY), **(env or {})}

    def pybuild(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Standard output; AssertionError when the command fails."""
        return run(*self.command(*arguments), env=self.environment(env), cwd=REPOSITORY)

    def attempt(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Built:
        """A build with events, whatever comes of it."""
        done = subprocess.run(
            self.command("build", "--progress", "json", *arguments),
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=self.environment(env),
            cwd=REPOSITORY,
            timeout=TIMEOUT_S,
        )
        return parse(done.returncode, done.stderr)

    def build(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Built:
        built = self.attempt(*arguments, env=env)
        assert built.code == 0, built.stderr
        return built

    def plan(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> dict[str, tuple[str, str | None]]:
        """By title, of the steps that make layers: its state, and the title of the step that depends on."""
        steps = json.loads(self.pybuild("plan", "--json", *arguments, env=env))["steps"]
        titles = {step["id"]: step["title"] for step in steps}
        return {
            step["title"]: (step["state"], titles[step["on"]] if step["on"] is not None else None)
            for step in steps
            if step["state"] != "source" and step["kind"] != "merge"
        }

    def load(self, base: str, tag: str) -> None:
        """One of the bases of fixtures/images, made if it is not there."""
        run(sys.executable, FIXTURES / "images" / "make.py", base)
        self.pybuild("load", "-t", tag, "-i", FIXTURES / "images" / "out" / base)


def parse(code: int, stderr: bytes) -> Built:
    """Events out of what a build with ``--progress json`` wrote; other lines stay in ``stderr`` alone."""
    text = stderr.decode(errors="replace")
    events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return Built(code, tuple(events), text)


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def dockerfile(context: Path, text: str) -> Path:
    """A context with this Dockerfile; returns it."""
    return write_tree(context, {"Dockerfile": text})


def said(built: Built) -> str:
    """What the commands of a build printed."""
    return "".join(str(event["data"]) for event in built.of("step-output"))


def output(bench: Bench, context: Path, text: str, *arguments: str) -> str:
    """What the commands of a Dockerfile print."""
    return said(bench.build(dockerfile(context, text), *arguments))


def clone(store: Path, to: Path) -> Bench:
    """A copy of a store that nothing works in."""
    shutil.copytree(store, to, symlinks=True)
    return Bench(to)
