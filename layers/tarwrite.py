"""Entry stream to tar stream: deterministic, and as BuildKit writes layers.

Whole-second times, numeric owners only, directories with a trailing slash, no entry for the root, extended attributes
as ``SCHILY.xattr.*``, whiteouts as image-spec layer.md has them.
"""

import hashlib
from collections.abc import Callable, Iterable

from layers.content import CHUNK, SMALL, Seen, chunks, show, small
from layers.entry import Entry, FileSource, Kind, is_reserved, opaque_name, whiteout_name
from layers.errors import PybuildError
from layers.listed import Item, Stretch, expanded
from layers.making import UNMADE, Maker, Unmade
from layers.overlayfmt import is_reserved_xattr
from layers.stretches import Records, Stretches
from layers.tarbatches import Batches
from layers.tarheader import BLOCK, END, build, padding, plain_file

Write = Callable[[bytes | memoryview], object]

_ZEROS = bytes(BLOCK)
_FLAGS = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.CHAR: b"3",
    Kind.BLOCK: b"4",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
}


def write_tar(  # noqa: PLR0913 - what goes in, where it goes, and who is told
    entries: Iterable[Item],
    write: Write,
    *,
    clamp: int | None = None,
    seen: Seen | None = None,
    records: Callable[[Records], None] | None = None,
    maker: Maker | Unmade = UNMADE,
) -> int:
    """Writes the archive and gives its size in bytes.

    ``clamp``: no mtime is later than this (seconds since the epoch). ``seen`` gets each entry, and the raw SHA-256 of a
    FILE's bytes; with ``records``, that gets some of them in its place, as records of an index. ``maker`` makes the
    files in a directory, too; its ``finish`` is still to come. What ``write`` is given never changes afterwards, and
    comes in pieces of about 1 MiB.

    Raises SourceChanged when a file has another size or digest than its entry says, PybuildError for what no layer can
    hold: a name that begins with ``.wh.``, an extended attribute with ``=`` in its name.
    """
    out = _Out(write)
    hashed = seen is not None

    def done(entry: Entry, digest: bytes | None) -> None:
        if seen is not None:
            seen(entry, digest)

    def alone(entry: Entry, block: bytes) -> None:
        digest = None
        maker.begin(entry)
        if entry.kind is not Kind.FILE:
            out.add(block)
        elif entry.size <= SMALL:
            digest = _small(entry, block, out, maker.write, hashed=hashed)
        else:
            out.add(block)
            digest = _large(entry, out, maker.write, hashed=hashed)
        maker.end(entry)
        done(entry, digest)

    with (
        Batches(out.piece, done, alone, hashed=hashed) as batches,
        Stretches(
            out.piece, records or _unwanted, lambda entry: alone(entry, header(entry, clamp)), maker
        ) as stretches,
    ):
        for entry in entries if records is not None and clamp is None else expanded(entries):
            if isinstance(entry, Stretch):
                batches.flush()
                stretches.take(entry)
            elif not stretches.queue(entry):
                block = header(entry, clamp)
                if maker is not UNMADE or not batches.take(entry, block):
                    alone(entry, block)
        stretches.finish()
        batches.flush()
    out.add(END)
    out.flush()
    return out.total


class _Out:
    """Joins small pieces until there is about a MiB: what comes behind (hashes, compressors) wants large buffers."""

    __slots__ = ("_parts", "_waiting", "_write", "total")

    def __init__(self, write: Write) -> None:
        self._write = write
        self._parts: list[bytes] = []
        self._waiting = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting >= CHUNK:
            self.flush()

    def piece(self, data: bytes) -> None:
        """As ``add``, for what may be large."""
        if len(data) >= CHUNK // 2:
            self.flush()
        self.add(data)

    def flush(self) -> None:
        if self._parts:
            self.total += self._waiting
            self._waiting = 0
            joined = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
            self._write(joined)


def _small(entry: Entry, block: bytes, out: _Out, copy: Callable[[bytes], object], *, hashed: bool) -> bytes | None:
    """Writes a FILE; gives the digest of its bytes when it is asked for. One that was checked isn't made again."""
    data = small(entry)
    copy(data)
    out.add(block + data + _ZEROS[: -len(data) & (BLOCK - 1)])
    if not hashed:
        return None
    source = entry.source
    known = source.sha256 if isinstance(source, FileSource) else None
    return known or hashlib.sha256(data).digest()


def _large(entry: Entry, out: _Out, copy: Callable[[bytes], object], *, hashed: bool) -> bytes | None:
    """As ``_small`` for the bytes alone, piece by piece."""
    size = entry.size
    known = getattr(entry.source, "sha256", None)
    digest = hashlib.sha256() if hashed and known is None else None
    for chunk in chunks(entry):
        copy(chunk)
        if digest is not None:
            digest.update(chunk)
        if len(chunk) == CHUNK:
            out.flush()  # so that a large chunk is passed on as it is
        out.add(chunk)
    out.add(_ZEROS[: padding(size)])
    return known if digest is None else digest.digest()


def _unwanted(records: Records) -> None:
    raise AssertionError("nobody asked for records")


def header(entry: Entry, clamp: int | None) -> bytes:
    path, kind, mode, uid, gid, mtime_ns, size, link, device, xattrs, _ = entry
    if kind is Kind.WHITEOUT:
        return build(whiteout_name(path), b"0")
    if kind is Kind.OPAQUE:
        return build(opaque_name(path), b"0")
    if is_reserved(path):
        raise PybuildError(
            f"{show(path)} cannot be stored in an image: names that begin with .wh. mark deleted files there",
            hint="rename it, or leave it out",
            code="reserved-name",
        )
    mtime = mtime_ns // 1_000_000_000
    if clamp is not None and mtime > clamp:
        mtime = clamp
    if kind is Kind.FILE and not xattrs:
        plain = plain_file(path, mode, uid, gid, size, mtime)
        if plain is not None:
            return plain
    if kind is Kind.DIRECTORY:
        path += b"/"
    return build(
        path,
        _FLAGS[kind],
        mode=mode,
        uid=uid,
        gid=gid,
        size=size if kind is Kind.FILE else 0,
        mtime=mtime,
        link=link or b"",
        device=device or (0, 0),
        xattrs=_checked_xattrs(path, xattrs) if xattrs else (),
    )


def _checked_xattrs(path: bytes, xattrs: tuple[tuple[bytes, bytes], ...]) -> list[tuple[bytes, bytes]]:
    for name, _ in xattrs:
        if b"=" in name:
            raise PybuildError(
                f"{show(path)}: the extended attribute {show(name)} cannot be stored in an image (its name contains =)",
                hint="remove the attribute with setfattr -x",
                code="reserved-name",
            )
    return [pair for pair in xattrs if not is_reserved_xattr(pair[0])]
