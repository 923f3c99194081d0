"""Build contexts made from a seed: equal shapes give equal bytes, modes and times, on every machine."""

import itertools
import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench import trees
from tests.bench.texts import prose

EPOCH = 1_700_000_000
"""Modification time of everything that is made here, so that no run depends on when it was made."""
CHUNK = 1 << 20
PACKAGES = 20
SOURCES_PER_PACKAGE = 20
FILES_PER_FOLDER = 100
_COPY_TREE = f"COPY {trees.TOP} /app/{trees.TOP}"
FROM_BASE = ("ARG BASE=base", "FROM ${BASE}")
"""The base is ``base`` of the builder's own store, unless a build argument names another."""


class Shape(NamedTuple):
    """How much of everything; ``big`` in bytes."""

    seed: int = 1
    steps: int = 50
    big: int = 256 << 20
    many: int = 20_000
    stages: int = 4
    sleep: int = 3
    """Seconds that each stage of ``parallel`` waits."""


FULL = Shape(big=1 << 30, many=132_000)
Make = Callable[[Path, Shape], None]


def _random(shape: Shape, name: str) -> random.Random:
    """One generator a file: what one file holds depends on no other."""
    return random.Random(f"{shape.seed}/{name}")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _dockerfile(directory: Path, *lines: str) -> None:
    _write(directory / "Dockerfile", "\n".join(lines).encode() + b"\n")


def _put_dockerfile(directory: Path, *lines: str) -> None:
    """Beside a tree that is settled already."""
    trees.put(f"{directory}/Dockerfile", "\n".join(lines).encode() + b"\n", 0o644, EPOCH)
    trees.settle_folder(directory, EPOCH)


def _settle(directory: Path) -> None:
    """Modes and times as on every machine."""
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o644)
            os.utime(path, (EPOCH, EPOCH))
        Path(folder).chmod(0o755)
        os.utime(folder, (EPOCH, EPOCH))


def many_steps(directory: Path, shape: Shape) -> None:
    lines = [*FROM_BASE, *(f"RUN echo {number} > file{number}" for number in range(shape.steps))]
    _dockerfile(directory, *lines)
    _settle(directory)


APP = """\
ARG BASE=base
FROM ${BASE} AS tools
RUN mkdir -p /opt/tools && for n in 1 2 3 4 5 6 7 8; do echo "tool $n" > /opt/tools/tool$n; done

FROM tools AS build
WORKDIR /src
COPY packages.txt ./
RUN while read name; do mkdir -p /deps/$name && echo "$name" > /deps/$name/version; done < packages.txt
COPY src/ src/
RUN mkdir -p /out/bin && find src -name '*.c' | sort | xargs cat | gzip -n > /out/bin/service
RUN for p in src/*; do find $p -type f | sort | xargs sha256sum > /out/$(basename $p).sum; done

FROM ${BASE}
ENV SERVICE_PORT=8080
RUN echo 'service:x:1000:1000:service:/srv:/bin/false' >> /etc/passwd
WORKDIR /srv
COPY --from=build --chown=1000:1000 /out/ ./
COPY config/ /etc/service/
EXPOSE 8080
USER 1000
CMD ["/srv/bin/service"]
"""


def app(directory: Path, shape: Shape) -> None:
    """A service of several stages: 400 sources, a few configuration files, about ten steps."""
    _write(directory / "Dockerfile", APP.encode())
    _write(directory / ".dockerignore", b"*.log\n.git\nbuild\n")
    packages = [f"package{number:02}" for number in range(PACKAGES)]
    _write(directory / "packages.txt", "".join(name + "\n" for name in packages).encode())
    for package in packages:
        for number in range(SOURCES_PER_PACKAGE):
            name = f"src/{package}/unit{number:02}.c"
            rng = _random(shape, name)
            _write(directory / name, prose(rng, rng.randrange(500, 12_000)))
    for number in range(6):
        name = f"config/part{number}.conf"
        _write(directory / name, prose(_random(shape, name), 800))
    _settle(directory)


def edit_app(directory: Path, shape: Shape, number: int) -> Path:
    """One more line in one source file; which file and which line follow from ``number``. Returns the file."""
    rng = _random(shape, f"edit {number}")
    path = directory / f"src/package{rng.randrange(PACKAGES):02}/unit{rng.randrange(SOURCES_PER_PACKAGE):02}.c"
    with path.open("ab") as file:
        file.write(f"/* edit {number}: {rng.getrandbits(64):x} */\n".encode())
    return path


def big(directory: Path, shape: Shape) -> None:
    """One file; every second MiB is incompressible."""
    directory.mkdir(parents=True, exist_ok=True)
    rng = _random(shape, "big.bin")
    text = prose(rng, CHUNK // 8) * 8
    with (directory / "big.bin").open("wb") as file:
        for start in range(0, shape.big, CHUNK):
            size = min(CHUNK, shape.big - start)
            # Each compressible chunk begins with its number: none is a copy of another.
            chunk = rng.randbytes(size) if start // CHUNK % 2 else start.to_bytes(8, "big") + text
            file.write(chunk[:size])
    _dockerfile(directory, *FROM_BASE, "COPY big.bin /data/big.bin")
    _settle(directory)


def many(directory: Path, shape: Shape) -> None:
    """A tree of small files, like installed dependencies of a script language."""
    trees.write(directory, shape.seed, shape.many, EPOCH)
    _put_dockerfile(directory, *FROM_BASE, _COPY_TREE)


def parallel(directory: Path, shape: Shape) -> None:
    """Stages that only wait, joined by the last one."""
    lines = ["ARG BASE=base"]
    for number in range(shape.stages):
        lines += [f"FROM ${{BASE}} AS stage{number}", f"RUN sleep {shape.sleep} && echo {number} > /result{number}"]
    lines.append("FROM ${BASE}")
    lines += [f"COPY --from=stage{number} /result{number} /" for number in range(shape.stages)]
    _dockerfile(directory, *lines)
    _settle(directory)


def many_run(directory: Path, shape: Shape) -> None:
    """The tree of ``many``, seen by two RUNs, the second of which changes ten of its files."""
    trees.write(directory, shape.seed, shape.many, EPOCH)
    files = (item for item in trees.listing(shape.seed, shape.many) if isinstance(item, trees.File))
    names = " ".join(f"/app/{file.path}" for file in itertools.islice(files, 10))
    change = f"RUN for f in {names}; do echo changed >> $f; done"
    _put_dockerfile(directory, *FROM_BASE, _COPY_TREE, "RUN true", change)


def pull(directory: Path, shape: Shape) -> None:
    """One RUN over a base that has to be fetched."""
    _dockerfile(directory, *FROM_BASE, "RUN true")
    _settle(directory)


def apt(directory: Path, shape: Shape) -> None:
    """A compiler and an interpreter out of Debian's packages."""
    install = "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3"
    _dockerfile(directory, *FROM_BASE, f"RUN {install} && rm -rf /var/lib/apt/lists/*")
    _settle(directory)


def metadata(length: int) -> Make:
    """Steps that only say something about the image."""
    return partial(_lines, [f"LABEL l{number}={number}" for number in range(length)])


def copies(length: int) -> Make:
    """Steps that are quick to make, for rebuilds: more than overlayfs takes as layers of one root."""
    return partial(_lines, [f"COPY Dockerfile /copy{number}" for number in range(length)])


def _lines(lines: Sequence[str], directory: Path, shape: Shape) -> None:
    _dockerfile(directory, *FROM_BASE, *lines)
    _settle(directory)


def files(number: int) -> Make:
    """So many small files in folders of a hundred."""
    return partial(_files, number)


def _files(number: int, directory: Path, shape: Shape) -> None:
    folder = directory
    for index in range(number):
        if index % FILES_PER_FOLDER == 0:
            folder = directory / f"tree/{index // 10_000}/{index // FILES_PER_FOLDER}"
            folder.mkdir(parents=True)
        trees.put(f"{folder}/{index}", b"%d\n" % index, 0o644, EPOCH)
    _put_dockerfile(directory, *FROM_BASE, "COPY tree /tree")
    for name, _, _ in os.walk(directory, topdown=False):
        trees.settle_folder(Path(name), EPOCH)
