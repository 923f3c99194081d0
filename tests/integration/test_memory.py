"""A file of 1 GiB goes through COPY, into a root file system and out as an image in little memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.memory import resident_together
from tests.conftest import REPOSITORY
from tests.support.builds import Bench, parse

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_tool("busybox"), pytest.mark.slow]

MIB = 1 << 20
SIZE = 1024 * MIB
LIMIT = 200 * MIB
EVERY_S = 0.02
TEXT = "FROM busybox\nCOPY big /big\nRUN test $(stat -c %s /big) = 1073741824\n"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Random and compressible pieces by turns, a MiB each."""
    directory = tmp_path_factory.mktemp("big")
    (directory / "Dockerfile").write_text(TEXT)
    big = directory / "big"
    with big.open("wb") as file:
        for number in range(SIZE // MIB // 2):
            file.write(os.urandom(MIB))
            file.write((b"line %8d\n" % number) * (MIB // 14) + bytes(MIB % 14))
    assert big.stat().st_size == SIZE
    yield directory
    big.unlink()


def peak_of(process: "subprocess.Popen[bytes]") -> int:
    """The most that the process and all below it held at once, looked at every few milliseconds until its end."""
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_together(process.pid))
        time.sleep(EVERY_S)
    return peak


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_copy_of_a_large_file(compression: str, context: Path, bench: Bench, tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    command = bench.command(
        *("build", "--progress", "json", "-o", f"type=oci,compression={compression},dest={output}", context)
    )
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=stderr, env=bench.environment(), cwd=REPOSITORY
        )
        peak = peak_of(process)
    built = parse(process.returncode, log.read_bytes())
    assert built.code == 0, built.stderr
    assert built.executed() == {title for title in built.titles().values() if title.startswith(("COPY", "RUN"))}
    assert SIZE // 2 < output.stat().st_size < SIZE
    output.unlink()
    sys.stdout.write(f"{compression}: at most {peak / MIB:.0f} MiB resident\n")
    assert 0 < peak < LIMIT, f"{peak / MIB:.0f} MiB"
