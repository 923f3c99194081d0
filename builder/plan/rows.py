"""What a listing says of its names: as entries, and as the rows that enter a step's key."""

import hashlib
import stat
from collections.abc import Iterable

from builder.plan.content import digest_rows, file_row, other_row
from builder.plan.listing import Listing
from layers.entry import Entry
from layers.listed import PLAIN, Extra, Stat, make_entry

_EMPTY = hashlib.sha256().digest()


def entry_of(root: bytes, directory: bytes, record: Stat, extra: Extra, digest: bytes | None) -> Entry:
    """``directory``: below ``root``, where the bytes of files are."""
    path = directory + b"/" + record[0] if directory else record[0]
    return make_entry(path, root + b"/" + path, record, extra, digest)


def row(root: bytes, path: bytes, record: Stat, extra: Extra, digest: bytes | None) -> bytes:
    """Of one name of directory ``path``; a regular file has a ``digest``."""
    kind = record[1] & 0o170000
    if kind == stat.S_IFREG:
        assert digest is not None
        return file_row(record[0], record[1] & 0o7777, extra[2:], extra[1], digest)
    if kind == stat.S_IFSOCK:
        return file_row(record[0], record[1] & 0o7777, extra[2:], extra[1], _EMPTY)
    return other_row(record[0], entry_of(root, path, record, extra, None))


def rows_of(root: bytes, path: bytes, listing: Listing, records: Iterable[tuple[int, Stat]]) -> bytes:
    """``content.digest_rows`` of ``records`` (with their positions), whose digests are known."""
    extras = listing.extras or {}
    return digest_rows(
        [row(root, path, record, extras.get(position, PLAIN), listing.digest(position)) for position, record in records]
    )
