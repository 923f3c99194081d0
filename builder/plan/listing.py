"""What is remembered of the names in a directory of the host: packed into about 120 bytes a file."""

import errno
import hashlib
import marshal
import os
import stat
from collections.abc import Sequence
from operator import attrgetter

from layers.directories import Known
from layers.filedigests import StatKey
from layers.listed import KINDS, PLAIN, RAW, Extra, Stat, Xattrs, digest_at, pack_stats, unpack_stats
from layers.owners import PREFIX, owner_of
from layers.tuples import NamedTuple

_NO_XATTRS = {errno.ENOTSUP, errno.ENODATA}
_SIGNED = b"listing 1\0"

Carried = tuple[
    tuple[int, int] | None,
    bytes,
    int,
    tuple[bytes, ...],
    dict[int, Extra] | None,
    bytes | None,
    bytes | None,
    tuple[int, int, int, bool] | None,
]
"""A listing's identity, packed stats, size, folders, extras, digests, rows, weight, as ``marshal`` writes them."""


class Listing:
    """One directory: the stats of its names, packed, and what has been learnt of them since.

    ``folders``: names of the directories in it; ``extras``: of those that have any, by position, None before they were
    read; ``rows``: the digest of the rows of all of it (builder.plan.content), None before there is one; ``weight``:
    None before it was weighed. ``identity``: device and inode of the directory; None of what is no whole directory. The
    store is ``asked`` once what it remembers of that; ``found``: what it knows of a directory of this very signature,
    so that nothing else need be read.
    """

    __slots__ = (
        "asked",
        "digests",
        "early",
        "extras",
        "folders",
        "found",
        "identity",
        "packed",
        "rows",
        "size",
        "weight",
    )

    def __init__(self, carried: "Carried") -> None:
        self.identity, self.packed, self.size, self.folders, self.extras, digests, self.rows, weight = carried
        self.weight = Weight(*weight) if weight is not None else None
        self.digests = bytearray(digests) if digests is not None else None
        self.early: dict[int, Extra] = {}
        """Of names that were looked at before the directory was."""
        self.asked = False
        self.found: Known | None = None

    @classmethod
    def of(cls, stats: Sequence[Stat], identity: tuple[int, int] | None = None) -> "Listing":
        folders = tuple([record[0] for record in stats if record[1] & 0o170000 == stat.S_IFDIR])
        return cls((identity, pack_stats(stats), len(stats), folders, None, None, None, None))

    def carried(self) -> "Carried":
        """What another process needs to have the same listing; nothing that the store knows of it."""
        digests = bytes(self.digests) if self.digests is not None else None
        weight = self.weight
        plain = (weight.size, weight.newest, weight.content, weight.linked) if weight is not None else None
        return (self.identity, self.packed, self.size, self.folders, self.extras, digests, self.rows, plain)

    def signature(self) -> bytes:
        """Differs when any name, mode, owner, size, time or inode does. ctime: also when link text or xattrs do."""
        return hashlib.sha256(_SIGNED + self.packed).digest()

    def stats(self) -> list[Stat]:
        return unpack_stats(self.packed)

    def weigh(self) -> "Weight":
        if self.weight is None:
            self.weight = weigh(self.stats())
        return self.weight

    def digest(self, position: int) -> bytes | None:
        return digest_at(self.digests, position)

    def learn(self, position: int, digest: bytes) -> None:
        if self.digests is None:
            self.digests = bytearray(self.size * RAW)
        self.digests[position * RAW : (position + 1) * RAW] = digest


def pack_extras(extras: dict[int, Extra]) -> bytes:
    return marshal.dumps(extras, 2)


def unpack_extras(packed: bytes) -> dict[int, Extra]:
    extras: dict[int, Extra] = marshal.loads(packed)  # noqa: S302 - packed by ourselves
    return extras


def make_stat(name: bytes, status: os.stat_result) -> Stat | None:
    """None for what is of no kind that there is."""
    if status.st_mode & 0o170000 not in KINDS:
        return None
    return (name, *status[:7], status.st_mtime_ns, status.st_ctime_ns, status.st_rdev)


def scan(host: bytes) -> tuple[list[Stat], tuple[int, int]]:
    """What is in a directory of the host, in order of names, and its device and inode. Names that go meanwhile are left
    out. Raises OSError."""
    identity = os.stat(host)  # noqa: PTH116 - paths of bytes
    with os.scandir(host) as names:
        found = sorted(names, key=attrgetter("name"))
    records = []
    for item in found:
        try:
            record = make_stat(item.name, item.stat(follow_symlinks=False))
        except FileNotFoundError:
            continue
        if record is not None:
            records.append(record)
    return records, (identity.st_dev, identity.st_ino)


class Weight(NamedTuple):
    """``size``: how many names there are; ``newest``: the latest mtime or ctime (ns) of any, 0 of nothing;
    ``content``: bytes of the files, as ``content_of`` counts them; ``linked``: whether a file has several names."""

    size: int
    newest: int
    content: int
    linked: bool


def weigh(stats: Sequence[Stat]) -> Weight:
    newest = content = 0
    linked = False
    for _, mode, _, _, links, _, _, size, mtime_ns, ctime_ns, _ in stats:
        newest = max(newest, mtime_ns, ctime_ns)
        if mode & 0o170000 == stat.S_IFREG:
            content += size + (-size & 511)
            linked = linked or links > 1
    return Weight(len(stats), newest, content, linked)


def content_of(record: Stat) -> int:
    """Bytes of a file, filled up to blocks of an archive; 0 of anything else."""
    return record[7] + (-record[7] & 511) if record[1] & 0o170000 == stat.S_IFREG else 0


def key_of(record: Stat) -> StatKey:
    return (record[3], record[2], record[7], record[8], record[9])


def read_extra(host: bytes, record: Stat, *, owners: bool) -> Extra:
    """``owners``: they are those of the file, else 0:0."""
    link = os.readlink(host) if record[1] & 0o170000 == stat.S_IFLNK else None  # noqa: PTH115 - paths of bytes
    xattrs = _xattrs(host)
    if owners:
        return (link, xattrs, *owner_of(host, os.lstat(host)))
    return (link, xattrs, 0, 0) if link is not None or xattrs else PLAIN


def _xattrs(host: bytes) -> Xattrs:
    try:
        names = os.listxattr(host, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_XATTRS:
            raise
        return ()
    return _read_xattrs(host, names) if names else ()


def _read_xattrs(host: bytes, names: Sequence[str]) -> Xattrs:
    """Those that belong to a file wherever it goes (reference 5.2): capabilities, and what no file system owns."""
    kept = sorted(name for name in map(os.fsencode, names) if carried_xattr(name))
    return tuple((name, os.getxattr(host, name, follow_symlinks=False)) for name in kept)


def carried_xattr(name: bytes) -> bool:
    """Whether COPY keeps an extended attribute of this name."""
    if name == b"security.capability":
        return True
    return not name.startswith((b"security.", b"system.", b"com.apple.", b"user.overlay.", b"trusted.overlay.", PREFIX))
