"""USER and ``--chown`` words looked up in the passwd and group bytes of a root filesystem. Pure.

The rules are BuildKit's (reference 1.8 USER, 1.10 --chown): a word of digits is always an id; supplementary groups
come only without an explicit group; the primary group is among the supplementary ones (CVE-2022-36109).
"""

from collections.abc import Iterator

from builder.sandbox.spec import Identity
from layers.tuples import NamedTuple

MAX_ID = (1 << 32) - 2
"""The highest id: the kernel reads 2**32 - 1 as "no change"."""


class UserError(ValueError):
    """A user or group that the root filesystem does not know. ``name`` is the part of the word that is unknown."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class _User(NamedTuple):
    name: bytes
    uid: int
    gid: int
    home: bytes


class _Group(NamedTuple):
    name: bytes
    gid: int
    members: tuple[bytes, ...]


def identify(user: str, passwd: bytes, group: bytes) -> Identity:
    """Who a command under ``USER user`` is. ``passwd`` and ``group`` are the files' bytes, empty when there are none.

    ``user`` is ``name|uid[:name|gid]``; "" is root. Raises UserError for a name that is not found and for ids out of
    range.
    """
    user_word, _, group_word = user.partition(":")
    uid, gid, name = _user_ids(user_word or "0", passwd)
    if group_word:
        gid = _gid(group_word, group)
        groups: tuple[int, ...] = ()
    else:
        groups = tuple(entry.gid for entry in _groups(group) if name is not None and name in entry.members)
    if gid not in groups:
        groups = (gid, *groups)
    return Identity(uid, gid, groups, _home(uid, passwd))


def owner(spec: str, passwd: bytes, group: bytes) -> tuple[int, int]:
    """(uid, gid) of a ``--chown`` word, or of WORKDIR's current user.

    Unlike under USER, a lone uid is its own gid, ``name:`` has gid 0 and ``:gid`` has uid 0. Nor is an unknown name an
    error: each half is looked up by itself, an unknown user is 0:0, and an unknown group leaves the user's own. Raises
    UserError for ids out of range.
    """
    user_word, colon, group_word = spec.partition(":")
    uid = gid = 0
    if _is_number(user_word):
        uid = gid = _number(user_word)
    elif user_word and (user := _find_user(user_word, passwd)) is not None:
        uid, gid = user.uid, user.gid
    if not colon:
        return uid, gid
    if not group_word:
        return uid, 0
    try:
        return uid, _gid(group_word, group)
    except UserError:
        if _is_number(group_word):
            raise
        return uid, gid


def unknown_names(spec: str, passwd: bytes, group: bytes) -> tuple[str, ...]:
    """``user x``, ``group y``: the names in ``user[:group]`` that ``owner`` passes over."""
    user_word, _, group_word = spec.partition(":")
    found = []
    if user_word and not _is_number(user_word) and _find_user(user_word, passwd) is None:
        found.append(f"user {user_word}")
    name = group_word.encode(errors="surrogateescape")
    if group_word and not _is_number(group_word) and all(entry.name != name for entry in _groups(group)):
        found.append(f"group {group_word}")
    return tuple(found)


def has_names(spec: str) -> bool:
    """Whether a part of ``user[:group]`` has to be looked up."""
    return any(word and not _is_number(word) for word in spec.split(":", 1))


def _user_ids(word: str, passwd: bytes) -> tuple[int, int, bytes | None]:
    """uid, primary gid, and the name whose groups apply."""
    if _is_number(word):
        uid = _number(word)
        known = next((user for user in _users(passwd) if user.uid == uid), None)
        return (uid, 0, None) if known is None else (uid, known.gid, known.name)
    user = _find_user(word, passwd)
    if user is None:
        raise UserError(f"unable to find user {word}: no matching entries in passwd file", word)
    return user.uid, user.gid, user.name


def _gid(word: str, group: bytes) -> int:
    if _is_number(word):
        return _number(word)
    name = word.encode(errors="surrogateescape")
    for entry in _groups(group):
        if entry.name == name:
            return entry.gid
    raise UserError(f"unable to find group {word}: no matching entries in group file", word)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _number(word: str) -> int:
    # Checked by length first: int() of a very long word is slow, and refused above 4300 digits.
    if len(word) > 12 or int(word) > MAX_ID:
        raise UserError(f"id {word[:32]} is out of range (0-{MAX_ID})", word)
    return int(word)


def _find_user(word: str, passwd: bytes) -> _User | None:
    name = word.encode(errors="surrogateescape")
    return next((user for user in _users(passwd) if user.name == name), None)


def _home(uid: int, passwd: bytes) -> str:
    """By uid, not by name: it is what runc does, and it decides between two names of one uid."""
    user = next((user for user in _users(passwd) if user.uid == uid), None)
    return "/" if user is None or not user.home else user.home.decode(errors="surrogateescape")


def _users(passwd: bytes) -> Iterator[_User]:
    for fields in _fields(passwd, 4):
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is not None and gid is not None:
            yield _User(fields[0], uid, gid, fields[5] if len(fields) > 5 else b"")


def _groups(group: bytes) -> Iterator[_Group]:
    for fields in _fields(group, 3):
        gid = _id(fields[2])
        if gid is not None:
            yield _Group(fields[0], gid, tuple(fields[3].split(b",")) if len(fields) > 3 else ())


def _fields(data: bytes, least: int) -> Iterator[list[bytes]]:
    for line in data.splitlines():
        fields = line.strip().split(b":")
        if len(fields) >= least and fields[0]:
            yield fields


def _id(field: bytes) -> int | None:
    """None for what is no id: such a line names nobody (in particular, not root)."""
    if not field.isdigit() or len(field) > 12 or int(field) > MAX_ID:
        return None
    return int(field)
