"""Build contexts made from a seed: equal shapes give equal bytes, modes and times, on every machine."""

import os
import random
from pathlib import Path
from typing import NamedTuple

EPOCH = 1_700_000_000
"""Modification time of everything that is made here, so that no run depends on when it was made."""
CHUNK = 1 << 20
PACKAGES = 20
SOURCES_PER_PACKAGE = 20
FILES_PER_FOLDER = 100
FROM_BASE = ("ARG BASE=base", "FROM ${BASE}")
"""The base is ``base`` of the builder's own store, unless a build argument names another."""
WORDS = (
    *("static", "const", "struct", "return", "buffer", "length", "if", "else", "while", "for", "size_t", "NULL"),
    *("request", "response", "handler", "context", "session", "cache", "key", "value", "error", "index", "queue"),
)


class Shape(NamedTuple):
    """How much of everything; ``big`` in bytes."""

    seed: int = 1
    steps: int = 50
    big: int = 256 << 20
    many: int = 20_000
    stages: int = 4
    sleep: int = 3
    """Seconds that each stage of ``parallel`` waits."""


def _random(shape: Shape, name: str) -> random.Random:
    """One generator a file: what one file holds depends on no other."""
    return random.Random(f"{shape.seed}/{name}")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _dockerfile(directory: Path, *lines: str) -> None:
    _write(directory / "Dockerfile", "\n".join(lines).encode() + b"\n")


def _settle(directory: Path) -> None:
    """Modes and times as on every machine."""
    for folder, _, names in os.walk(directory, topdown=False):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o644)
            os.utime(path, (EPOCH, EPOCH))
        Path(folder).chmod(0o755)
        os.utime(folder, (EPOCH, EPOCH))


def prose(rng: random.Random, size: int) -> bytes:
    """Text that compresses about as source code does."""
    words: list[str] = []
    length = 0
    while length < size:
        word = rng.choice(WORDS) if rng.random() < 0.9 else f"v{rng.randrange(1000)}"
        words.append(word + ("\n" if rng.random() < 0.15 else " "))
        length += len(words[-1])
    return "".join(words).encode()[:size]


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
    for number in range(shape.many):
        name = f"tree/module{number // FILES_PER_FOLDER:04}/file{number % FILES_PER_FOLDER:03}.js"
        rng = _random(shape, name)
        # Text by repetition: making 20,000 files word by word would take longer than building with them.
        _write(directory / name, prose(rng, 120) * rng.randrange(1, 40))
    _dockerfile(directory, *FROM_BASE, "COPY tree /tree")
    _settle(directory)


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
    many(directory, shape)
    change = "for n in 0 1 2 3 4 5 6 7 8 9; do echo changed >> /tree/module0000/file00$n.js; done"
    _dockerfile(directory, *FROM_BASE, "COPY tree /tree", "RUN true", f"RUN {change}")
    _settle(directory)


def pull(directory: Path, shape: Shape) -> None:
    """One RUN over a base that has to be fetched."""
    _dockerfile(directory, *FROM_BASE, "RUN true")
    _settle(directory)


def apt(directory: Path, shape: Shape) -> None:
    """A compiler and an interpreter out of Debian's packages."""
    install = "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3"
    _dockerfile(directory, *FROM_BASE, f"RUN {install} && rm -rf /var/lib/apt/lists/*")
    _settle(directory)


def chain(directory: Path, length: int) -> None:
    """Steps that only say something about the image."""
    _dockerfile(directory, *FROM_BASE, *(f"LABEL l{number}={number}" for number in range(length)))
    _settle(directory)


def files(directory: Path, number: int) -> None:
    """So many small files in folders of a hundred."""
    for index in range(number):
        _write(directory / f"tree/{index // 10_000}/{index // FILES_PER_FOLDER}/{index}", b"%d\n" % index)
    _dockerfile(directory, *FROM_BASE, "COPY tree /tree")
    _settle(directory)
