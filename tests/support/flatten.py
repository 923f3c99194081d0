"""An image as plain values, read with nothing of ours: for comparing what different builders made.

Reads ``docker save`` tars and OCI archives with the standard library's tarfile, applies the layers' whiteouts, and
gives the flattened file system, the config and the history.
"""

import gzip
import hashlib
import io
import itertools
import json
import lzma
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Node(NamedTuple):
    """``links``: the sorted other names of a hard-linked file; ``content``: a short text itself, else the sha256."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int
    link: str
    links: tuple[str, ...]
    content: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, str], ...]


class Flat(NamedTuple):
    files: dict[str, Node]
    config: dict[str, Any]
    layers: int


def _plain(data: bytes) -> bytes:
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.decompress(data)
    return data


def _image(archive: tarfile.TarFile) -> tuple[dict[str, Any], list[bytes]]:
    names = {member.name.removeprefix("./"): member for member in archive.getmembers()}

    def read(name: str) -> bytes:
        file = archive.extractfile(names[name])
        assert file is not None, name
        return file.read()

    def blob(descriptor: dict[str, Any]) -> bytes:
        return read("blobs/" + descriptor["digest"].replace(":", "/"))

    if "manifest.json" in names:
        document = json.loads(read("manifest.json"))[0]
        return json.loads(read(document["Config"])), [_plain(read(name)) for name in document["Layers"]]
    document = json.loads(blob(json.loads(read("index.json"))["manifests"][0]))
    return json.loads(blob(document["config"])), [_plain(blob(layer)) for layer in document["layers"] or ()]


SHORT_BYTES = 400

_KINDS = {
    tarfile.REGTYPE: "file",
    tarfile.AREGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def _node(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
    content = ""
    if member.isreg():
        file = tar.extractfile(member)
        assert file is not None
        content = _content(file.read())
    xattrs = tuple(
        sorted(
            (key.removeprefix("SCHILY.xattr."), value.encode("utf-8", "surrogateescape").hex())
            for key, value in member.pax_headers.items()
            if key.startswith("SCHILY.xattr.")
        )
    )
    device = (member.devmajor, member.devminor) if member.ischr() or member.isblk() else (0, 0)
    kind = _KINDS[member.type]
    return Node(
        kind,
        member.mode & 0o7777 if kind != "symlink" else 0o777,
        member.uid,
        member.gid,
        int(member.mtime),
        member.linkname if kind == "symlink" else "",
        (),
        content,
        device,
        xattrs,
    )


def _content(data: bytes) -> str:
    if len(data) <= SHORT_BYTES and data.isascii() and b"\0" not in data:
        return repr(data.decode())
    return hashlib.sha256(data).hexdigest()


class _Inode(NamedTuple):
    """A node and its identity: hard links share the number."""

    number: int
    node: Node


def _remove(files: dict[str, _Inode], path: str) -> None:
    for name in [name for name in files if name == path or name.startswith(path + "/")]:
        del files[name]


def _path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./").strip("/")


def _delete(files: dict[str, _Inode], members: list[tarfile.TarInfo]) -> None:
    """What a layer's whiteouts take away from the layers below."""
    for member in members:
        head, _, name = _path(member).rpartition("/")
        if name == ".wh..wh..opq":
            for below in [path for path in files if path.startswith(head + "/" if head else "")]:
                del files[below]
        elif name.startswith(".wh."):
            _remove(files, f"{head}/{name[4:]}".lstrip("/"))


def _apply(files: dict[str, _Inode], layer: bytes, numbers: Iterator[int]) -> None:
    """One layer over what is there (image-spec layer.md): deletions first, then what it holds."""
    with tarfile.open(fileobj=io.BytesIO(layer), errors="surrogateescape") as tar:
        members = tar.getmembers()
        _delete(files, members)
        for member in members:
            path = _path(member)
            if path in {"", "."} or path.rpartition("/")[2].startswith(".wh."):
                continue
            if member.islnk():
                inode = files[member.linkname.removeprefix("./").strip("/")]
            else:
                inode = _Inode(next(numbers), _node(tar, member))
            if not (inode.node.kind == "dir" and path in files and files[path].node.kind == "dir"):
                _remove(files, path)
            files[path] = inode


def _linked(files: dict[str, _Inode]) -> dict[str, Node]:
    groups: dict[int, list[str]] = {}
    for path, inode in files.items():
        groups.setdefault(inode.number, []).append(path)
    return {
        path: inode.node._replace(links=tuple(sorted(set(groups[inode.number]) - {path})))
        for path, inode in files.items()
    }


def flatten(path: Path) -> Flat:
    return unfold(path)[0]


Changes = Mapping[str, str]


def unfold(path: Path) -> tuple[Flat, tuple[Changes, ...]]:
    """The image, and of every layer what it does, by path: ``removed``, or kind, mode, owner and content of what it
    holds. Directories that it only repeats are left out, and so is the way in which a removal is written."""
    with tarfile.open(path) as archive:
        config, layers = _image(archive)
    files: dict[str, _Inode] = {}
    numbers = itertools.count()
    changes = []
    for layer in layers:
        before = dict(files)
        _apply(files, layer, numbers)
        changes.append(_changes(before, files))
    return Flat(_linked(files), config, len(layers)), tuple(changes)


def _changes(before: Mapping[str, _Inode], after: Mapping[str, _Inode]) -> Changes:
    changes = {path: "removed" for path in before if path not in after}
    for path, (number, node) in after.items():
        old = before.get(path)
        if old is None or old.number != number:
            text = _text(node)
            if node.kind != "dir" or old is None or _text(old.node) != text:
                changes[path] = text
    return changes


def _text(node: Node) -> str:
    return f"{node.kind} {node.mode:04o} {node.uid}:{node.gid} {node.link}{node.content}"
