"""Generated contexts: a tree of files, as a list of paths and the shell script that makes it."""

import random
import shlex
from typing import NamedTuple

FOLDERS = (
    "src",
    "lib",
    "conf",
    "data",
    "docs",
    ".config",
    "src/core",
    "lib/v1",
    "data/raw/deep",
    "docs/img",
    "with space",
)
FILES = (
    "main.c",
    "util.h",
    "a.txt",
    "b.txt",
    "ab.txt",
    ".env",
    "README.md",
    "Makefile",
    "x.tmp",
    "build.log",
    "run.sh",
)
OLD = ("2001-02-03 04:05:06", "2019-05-06 07:08:09.5", "1971-01-01 00:00:00")
ARCHIVES = ("tar -cf", "tar -czf", "tar -cjf", "tar -cJf")


class Tree(NamedTuple):
    """Paths are relative to the context. ``archives`` are among the files; ``links`` are symbolic."""

    files: tuple[str, ...]
    folders: tuple[str, ...]
    links: tuple[str, ...]
    archives: tuple[str, ...]
    script: str


def make_tree(rng: random.Random, label: str) -> Tree:
    """``label`` goes into the content of every file: no two cases share one, so that a cache, whose keys have no times,
    cannot give one case the times of another's files."""
    folders = sorted(_with_parents(rng.sample(FOLDERS, rng.randint(2, 6))))
    files = sorted(
        {f"{folder}/{name}".lstrip("/") for folder in ("", *folders) for name in rng.sample(FILES, rng.randint(0, 4))}
    ) or ["a.txt"]
    lines = [f"mkdir -p {_words(folders)}"]
    lines += [f"echo {shlex.quote(f'{label} {path}')} > {shlex.quote(path)}" for path in files]
    links = _links(rng, files, folders, lines)
    _metadata(rng, files, folders, lines)
    archives = _archives(rng, label, files, folders, lines)
    if rng.random() < 0.4:
        times = rng.sample(files, min(len(files), 3)) + rng.sample(folders, 1)
        lines.append(f"touch -d '{rng.choice(OLD)} UTC' {_words(times)}")
    return Tree((*files, *archives), tuple(folders), tuple(links), tuple(archives), "\n".join(lines) + "\n")


def _words(paths: list[str]) -> str:
    return " ".join(shlex.quote(path) for path in paths)


def _with_parents(folders: list[str]) -> set[str]:
    return {"/".join(folder.split("/")[: depth + 1]) for folder in folders for depth in range(folder.count("/") + 1)}


def _links(rng: random.Random, files: list[str], folders: list[str], lines: list[str]) -> list[str]:
    links = []
    for number in range(rng.choice((0, 0, 1, 2))):
        folder = rng.choice(("", *(f"{folder}/" for folder in folders)))
        up = "../" * folder.count("/")
        inside = [path for path in files if path.startswith(folder)]
        target = rng.choice(
            (
                up + rng.choice(files),
                up + rng.choice(folders),
                rng.choice(inside or [f"{folder}nothing"])[len(folder) :],
            )
        )
        target = rng.choice((*(target,) * 8, f"./{target}", "nowhere", "/etc/passwd", ".."))
        links.append(f"{folder}link{number}")
        lines.append(f"ln -s {shlex.quote(target)} {shlex.quote(links[-1])}")
    if rng.random() < 0.2:
        lines.append(f"ln {shlex.quote(rng.choice(files))} hard")
        files.append("hard")
    return links


def _metadata(rng: random.Random, files: list[str], folders: list[str], lines: list[str]) -> None:
    for path in rng.sample(files, min(len(files), rng.randint(0, 3))):
        lines.append(f"chmod {rng.choice(('755', '600', '4755', '640', '444', '777'))} {shlex.quote(path)}")
    for path in rng.sample(folders, rng.randint(0, 1)):
        lines.append(f"chmod {rng.choice(('700', '1777', '2755', '750'))} {shlex.quote(path)}")
    if rng.random() < 0.3:
        lines.append(f"chown {rng.choice(('33:33', '1000:1000', '0:7'))} {shlex.quote(rng.choice(files))}")
    if rng.random() < 0.2:
        lines.append("mkdir -p hollow/inner")
        folders.append("hollow")


def _archives(rng: random.Random, label: str, files: list[str], folders: list[str], lines: list[str]) -> list[str]:
    archives = []
    if rng.random() < 0.4:
        archives.append(rng.choice(("pack.tar", "pack.tgz", "pack.bin")))
        content = rng.choice((rng.choice(folders), rng.choice(files)))
        owner = rng.choice(("", " --owner=1000 --group=1000", " --numeric-owner"))
        lines.append(
            f"{rng.choice(ARCHIVES)} {archives[-1]}{owner} --mtime='{rng.choice(OLD)} UTC' {_words([content])}"
        )
    if rng.random() < 0.15:
        archives.append("false.tar")
        lines.append(f"echo {shlex.quote(label)} is no archive > false.tar")
    return archives


def make_ignore(rng: random.Random, tree: Tree) -> str:
    """A .dockerignore of one to five patterns, most of which match something.

    What is taken back is named without wildcards, and only files are ignored after it: Docker's client of 2022 looks
    into an ignored directory only if a ``!`` pattern begins with its name, and then sends it even if it is empty.
    """
    patterns: list[str] = []
    back = False
    for _ in range(rng.randint(1, 5)):
        path = rng.choice((*tree.files, *tree.folders))
        if patterns and rng.random() < 0.35:
            patterns.append(f"!{path}")
            back = True
        else:
            patterns.append(
                rng.choice(_ignoring_files(path) if back else (*_ignoring_files(path), *_ignoring_more(path)))
            )
    return "\n".join(patterns) + "\n"


def _ignoring_files(path: str) -> tuple[str, ...]:
    suffix = path.rpartition(".")[2] if "." in path else "tmp"
    return f"*.{suffix}", f"**/*.{suffix}", f"[a-d]*.{suffix}", "**/.e*", "# nothing", "", f"*/*.{suffix}"


def _ignoring_more(path: str) -> tuple[str, ...]:
    name, top = path.rpartition("/")[2], path.partition("/")[0]
    return (
        *(path, f"/{path}", f"{path}/", f"./{path}", name, f"**/{name}", f"*/{name}", f"{top}/**", f"{top}/*"),
        *(f"?{name[1:]}", f"**/{name[:1]}*", f"{top}/../{name}", "*", "**/.*"),
    )
