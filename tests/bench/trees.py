"""A tree like an installed ``node_modules``: from a seed, and quickly, since it has a hundred thousand files.

Names are drawn package by package. Contents are slices of a pool of generated text, which is as compressible as real
packages are (zlib level 6 makes a quarter to a fifth of it) and long enough that they seldom overlap.
"""

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.texts import code, mappings

TOP = "node_modules"
LONG = 100
"""Every so many packages, one has paths longer than a tar header holds."""
_POOLS = (32 << 20, 8 << 20)
"""The most of code, and of maps."""
_LARGEST = 1 << 19
_SYLLABLES = ("ba", "co", "de", "fi", "gra", "hel", "in", "jo", "kit", "lo", "mer", "nex", "or", "pa", "quo", "re")
_PLACES = ("dist", "lib", "src", "dist/cjs", "dist/esm", "lib/internal", "src/utils", "build", "types", "es/components")
_ENDINGS = {".js": 40, ".d.ts": 18, ".js.map": 14, ".mjs": 8, ".json": 6, ".ts": 6, ".md": 4, ".css": 4}


class File(NamedTuple):
    """``text``: where its contents begin in the pool, as a share of it; a map's are in the pool of maps."""

    path: str
    size: int
    text: float
    executable: bool = False


class Link(NamedTuple):
    path: str
    target: str


class _Package(NamedTuple):
    name: str
    path: str


def listing(seed: int, number: int) -> Iterator[File | Link]:
    """``number`` files, and links to some of them."""
    rng = random.Random(f"{seed}/names")
    parents: list[_Package] = []
    left = number
    count = 0
    while left:
        package = _place(rng, parents, count)
        size = min(left, 4 + int(rng.lognormvariate(3.4, 1.1)))
        names = _paths(rng, size, deep=count % LONG == LONG // 2)
        yield from (_file(rng, f"{package.path}/{name}") for name in names)
        if "bin/cli.js" in names and package in parents:
            yield Link(f"{TOP}/.bin/{package.name.replace('/', '-').strip('@')}", f"../{package.name}/bin/cli.js")
        left -= size
        count += 1


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randrange(2, 5)))


def _place(rng: random.Random, parents: list[_Package], number: int) -> _Package:
    """Below the top, or below another package that wanted a version of its own. The number keeps names apart."""
    name = f"{_word(rng)}-{number}"
    if rng.random() < 0.15:
        name = f"@{_word(rng)}/{name}"
    if parents and rng.random() < 0.15:
        return _Package(name, f"{rng.choice(parents).path}/{TOP}/{name}")
    parents.append(_Package(name, f"{TOP}/{name}"))
    return parents[-1]


def _paths(rng: random.Random, number: int, *, deep: bool) -> list[str]:
    """Folder by folder; those of every package first."""
    usual = ["package.json", "README.md", "LICENSE", "index.js", *(["bin/cli.js"] if rng.random() < 0.12 else [])]
    folders = rng.sample(_PLACES, k=min(len(_PLACES), 1 + number // 20))
    for _ in range(number // 8):
        folders.append(f"{rng.choice(folders)}/{_word(rng)}")
    if deep:
        folders.append("dist/" + "/".join(f"a-component-of-a-component-{depth:02}" for depth in range(10)))
    endings = rng.choices(list(_ENDINGS), weights=list(_ENDINGS.values()), k=number)
    others = sorted(
        f"{folders[-1 - index % len(folders)]}/{_word(rng)}{index}{ending}" for index, ending in enumerate(endings)
    )
    return [*usual, *others][:number]


def _file(rng: random.Random, path: str) -> File:
    typical = 2200 if path.endswith(".map") else 1300
    size = min(_LARGEST, 40 + int(rng.lognormvariate(0, 1.5) * typical))
    return File(path, size, rng.random(), executable=path.endswith("bin/cli.js"))


def write(directory: Path, seed: int, number: int, epoch: int) -> None:
    """Modes and times as on every machine, for everything below ``directory/TOP``."""
    items = list(listing(seed, number))
    pools = _pools(seed, items)
    folders = {TOP: directory / TOP}
    folders[TOP].mkdir(parents=True)
    for item in items:
        inside, _, name = item.path.rpartition("/")
        folder = _folder(folders, inside)
        if isinstance(item, Link):
            (folder / name).symlink_to(item.target)
            os.utime(folder / name, (epoch, epoch), follow_symlinks=False)
        else:
            pool = pools[item.path.endswith(".map")]
            start = int(item.text * (len(pool) - item.size))
            put(f"{folder}/{name}", pool[start : start + item.size], 0o755 if item.executable else 0o644, epoch)
    for folder in folders.values():
        settle_folder(folder, epoch)


def _folder(folders: dict[str, Path], path: str) -> Path:
    """It and those above it, made unless they are in ``folders``."""
    if path not in folders:
        above, _, name = path.rpartition("/")
        folders[path] = _folder(folders, above) / name
        folders[path].mkdir()
    return folders[path]


def settle_folder(folder: Path, epoch: int) -> None:
    """After everything in it is made."""
    folder.chmod(0o755)
    os.utime(folder, (epoch, epoch))


def put(path: str, data: bytes | memoryview, mode: int, epoch: int) -> None:
    """Writes a new file by descriptor: through ``Path`` a tree would take three times as long."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(descriptor, data)
        os.fchmod(descriptor, mode)
        os.utime(descriptor, (epoch, epoch))
    finally:
        os.close(descriptor)


def _pools(seed: int, items: Sequence[File | Link]) -> tuple[memoryview, memoryview]:
    """Of code, and of maps: an eighth of the length that is drawn from them, within bounds."""
    wanted = [0, 0]
    for item in items:
        if isinstance(item, File):
            wanted[item.path.endswith(".map")] += item.size
    sizes = [min(most, max(2 * _LARGEST, size // 8)) for size, most in zip(wanted, _POOLS, strict=True)]
    texts = random.Random(f"{seed}/code"), random.Random(f"{seed}/maps")
    return memoryview(code(texts[0], sizes[0])), memoryview(mappings(texts[1], sizes[1]))
