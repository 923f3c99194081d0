"""``archive_maker.py SEED LABEL NAME COMPRESSION``: an archive with odd members, the same for equal arguments."""

import bz2
import gzip
import io
import lzma
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NAMES = (
    "a",
    "b.txt",
    "d/f",
    "d/e/g",
    "./h",
    "x/../y",
    "d",
    "ü",
    "with space",
    "d/l",
    ".hidden",
    "e" * 120,
    "n/" * 60 + "z",
)
ESCAPING = ("../up", "/absolute", "d/../../out", "..", "/etc/passwd")
MODES = (0o644, 0o755, 0o600, 0o4755, 0o1777, 0o2755, 0o000, 0o444)
TIMES = (0, 1, 1_000_000_000, 1_557_126_489, 86_400, -86_400, 2_000_000_000, 4_300_000_000)


def member(rng: random.Random, name: str, kind: bytes, text: bytes = b"") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, rng.choice(MODES), rng.choice(TIMES[:5])
    info.uid, info.gid = rng.choice(((0, 0), (1000, 1000), (33, 7), (70_000, 3_000_000)))
    info.uname, info.gname = rng.choice((("", ""), ("www-data", "users"), ("nosuch", "nosuch")))
    info.size = len(text)
    return info, text


def file(rng: random.Random, label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    return member(
        rng, rng.choice(NAMES), tarfile.REGTYPE, f"{label} {rng.random()}\n".encode() * rng.choice((1, 1, 300))
    )


def empty(rng: random.Random, _label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    return member(rng, rng.choice(NAMES), tarfile.REGTYPE)


def folder(rng: random.Random, _label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    return member(rng, rng.choice(("d", "d/", "d/e", "new/", "./", ".", "x", "deep/er/est/")), tarfile.DIRTYPE)


def symlink(rng: random.Random, _label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    info, _text = member(rng, rng.choice(("l", "d/l", "d", "x", "sub")), tarfile.SYMTYPE)
    info.linkname = rng.choice(("a", "d", "../a", "/etc", "nowhere", ".", "/", "../../..", "l", "d/e"))
    return info, b""


def hardlink(rng: random.Random, _label: str, before: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    info, _text = member(rng, rng.choice(("hl", "d/hl", "hl2")), tarfile.LNKTYPE)
    info.linkname = rng.choice((*before, *before, "nowhere") if rng.random() < 0.1 or not before else before)
    return info, b""


def special(rng: random.Random, _label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    info, _text = member(rng, rng.choice(("fifo", "dev", "d/dev")), rng.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE)))
    info.devmajor, info.devminor = 1, rng.choice((3, 5))
    return info, b""


def odd(rng: random.Random, label: str, _: list[str]) -> tuple[tarfile.TarInfo, bytes]:
    name = rng.choice((*ESCAPING, ".wh.a", "d/.wh..wh..opq", "pax_global"))
    info, text = member(rng, name, tarfile.REGTYPE, label.encode())
    if rng.random() < 0.4:
        info.mtime = rng.choice(TIMES)
    return info, text


MAKERS: tuple[Callable[[random.Random, str, list[str]], tuple[tarfile.TarInfo, bytes]], ...] = (
    *(file, file, file, file, empty, folder, folder, symlink, hardlink, special, odd),
)


def archive(rng: random.Random, label: str) -> bytes:
    buffer = io.BytesIO()
    before: list[str] = []
    with tarfile.open(fileobj=buffer, mode="w", format=rng.choice(FORMATS), errors="surrogateescape") as tar:
        for _ in range(rng.choice((0, 1, 2, 3, 5, 8))):
            info, text = rng.choice(MAKERS)(rng, label, before)
            if tar.format == tarfile.PAX_FORMAT and rng.random() < 0.2:
                info.pax_headers = {
                    rng.choice(("SCHILY.xattr.user.mark", "comment", "mtime")): rng.choice(("1", "2.5"))
                }
            try:
                tar.addfile(info, io.BytesIO(text))
            except ValueError:  # what this format cannot say
                continue
            if info.isreg():
                before.append(info.name)
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(zipfile.ZipInfo("in.txt"), data[:100])
    return buffer.getvalue()


def gz(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda data: data,
    "gz": gz,
    "gz-twice": lambda data: gz(data[:700]) + gz(data[700:]),
    "gz-cut": lambda data: gz(data)[: len(data) // 40],
    "gz-of-no-tar": lambda _: gz(b"no archive" * 100),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "xz-junk": lambda data: lzma.compress(data) + b"\0" * 8,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "zst": zstd,
    "zip": zipped,
}


def main(seed: str, label: str, name: str, compression: str) -> None:
    Path(name).write_bytes(COMPRESSIONS[compression](archive(random.Random(f"{seed}/{label}"), label)))


if __name__ == "__main__":
    main(*sys.argv[1:])
